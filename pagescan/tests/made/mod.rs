//! Snapshots made up: of machines whose memory is known to the last page, as a few numbers say.

#![allow(dead_code)]

use pagescan::hash::{Algorithm, PageHash};
use pagescan::snapshot::{
    Attributes, File, FrameFlags, Header, Mapping, Means, PageFlags, Process, Scope, Snapshot,
    Totals, Writer, read_all,
};

pub const ANONYMOUS: FrameFlags = FrameFlags::ANONYMOUS;
pub const NAMED: FrameFlags = FrameFlags::NAMED;

/// How a snapshot of this scope begins.
pub fn header(host: &str, taken: u64, scope: Scope) -> Header {
    Header {
        taken,
        host: host.into(),
        boot: format!("boot of {host}"),
        kernel: "6.18".into(),
        page_size: 4096,
        memory: 1 << 30,
        algorithm: Algorithm::Xxh3_128,
        key_id: None,
        scope,
        means: Means::Frame,
        lacks: Vec::new(),
    }
}

/// The hash of a content that a number stands for.
pub fn hash(content: u64) -> PageHash {
    PageHash(xxhash_rust::xxh3::xxh3_128(&content.to_le_bytes()).to_be_bytes())
}

/// A frame: its number, what it holds, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub number: Option<u64>,
    pub content: u64,
    pub flags: FrameFlags,
    pub map_count: u32,
    pub cgroup: u64,
}

/// A mapping of a process: pages in these frames, by index, none where a page is absent; of a file, by its index, or of none.
#[derive(Clone, Debug, Default)]
pub struct Mapped {
    pub file: Option<u32>,
    pub prot: u32,
    pub name: String,
    /// It is no memory of the process.
    pub is_special: bool,
    pub frames: Vec<Option<u64>>,
}

/// A process.
#[derive(Clone, Debug, Default)]
pub struct Made {
    pub pid: u32,
    pub uid: u32,
    pub cgroup: String,
    pub name: String,
    pub mappings: Vec<Mapped>,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub struct Machine {
    pub header: Header,
    pub frames: Vec<Frame>,
    /// Files, each with the frames of its cached pages.
    pub files: Vec<(File, Vec<u64>)>,
    pub processes: Vec<Made>,
}

impl Machine {
    pub fn new(host: &str, taken: u64, scope: Scope) -> Self {
        let header = header(host, taken, scope);
        Self { header, frames: Vec::new(), files: Vec::new(), processes: Vec::new() }
    }

    /// Adds a frame; its index.
    pub fn frame(&mut self, number: u64, content: u64, flags: FrameFlags) -> u64 {
        self.frames.push(Frame { number: Some(number), content, flags, map_count: 1, cgroup: 0 });
        self.frames.len() as u64 - 1
    }

    /// Adds a file without cached pages; its index.
    pub fn file(&mut self, inode: u64, path: &str) -> u32 {
        let file = File { device: 1, inode, path: path.into(), size: 1 << 20 };
        self.files.push((file, Vec::new()));
        self.files.len() as u32 - 1
    }

    /// Adds a process with a mapping of these frames.
    pub fn process(&mut self, pid: u32, file: Option<u32>, frames: &[u64]) {
        let frames = frames.iter().copied().map(Some).collect();
        let mapping = Mapped { file, prot: 5, frames, ..Mapped::default() };
        let process =
            Made { pid, name: format!("p{pid}"), mappings: vec![mapping], ..Made::default() };
        self.processes.push(process);
    }

    /// Writes it behind others.
    pub fn write(&self, bytes: Vec<u8>) -> Vec<u8> {
        let header = self.header.clone();
        let writer = if bytes.is_empty() {
            Writer::new(bytes, header)
        } else {
            Writer::append(bytes, header)
        };
        let mut writer = writer.unwrap();
        for frame in &self.frames {
            let Frame { number, content, flags, map_count, cgroup } = *frame;
            let attributes = Attributes { flags, map_count, ref_count: map_count + 1, cgroup };
            writer.frame(number, attributes, hash(content)).unwrap();
        }
        for (file, cached) in &self.files {
            writer.file(file.clone()).unwrap();
            for (page, frame) in cached.iter().enumerate() {
                writer.page(page as u64, *frame, PageFlags::default()).unwrap();
            }
        }
        for made in &self.processes {
            let Made { pid, uid, cgroup, name, mappings } = made.clone();
            let start = u64::from(pid) * 10;
            let exe = format!("/bin/{name}").into();
            writer
                .process(Process { pid, start, name, uid, cgroup, exe, ..Process::default() })
                .unwrap();
            let mut at = 0x10_0000;
            for Mapped { file, prot, name, is_special, frames } in mappings {
                let flags = if is_special { PageFlags::SPECIAL } else { PageFlags::FILE };
                let range = at..at + frames.len() as u64 * 4096;
                at = range.end + 4096;
                writer.mapping(Mapping { range, prot, file, name, ..Mapping::default() }).unwrap();
                for (page, frame) in frames.iter().enumerate() {
                    if let Some(frame) = frame {
                        writer.page(page as u64, *frame, flags).unwrap();
                    }
                }
            }
        }
        writer.finish(Totals::default()).unwrap()
    }

    /// As it is read.
    pub fn snapshot(&self) -> Snapshot {
        read_all(&self.write(Vec::new())[..]).unwrap().remove(0)
    }
}

/// Numbers without end, from a seed: xorshift64*.
pub struct Chance(pub u64);

impl Chance {
    /// One below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % end
    }
}

/// Snapshots of up to three machines, some of them of several moments, with all that may be in one.
pub fn any_snapshots(seed: u64, may_be_ram: bool) -> Vec<Machine> {
    let mut chance = Chance(seed | 1);
    let mut all = Vec::new();
    for host in 0..1 + chance.below(3) {
        let scope = match chance.below(4) {
            0 if may_be_ram => Scope::Ram,
            1 => Scope::Cache,
            _ => Scope::All,
        };
        let moments = if scope == Scope::Ram { 1 } else { 1 + chance.below(3) };
        for moment in 0..moments {
            let host = format!("host{host}");
            all.push(any_machine(&mut chance, &host, moment, scope.clone()));
        }
    }
    all
}

fn any_machine(chance: &mut Chance, host: &str, moment: u64, scope: Scope) -> Machine {
    let mut machine = Machine::new(host, 1000 + moment, scope.clone());
    let is_numbered = scope == Scope::Ram || chance.below(5) > 0;
    let frames = chance.below(60);
    let mut number = 0;
    for _ in 0..frames {
        number += 1 + chance.below(3);
        let content = chance.below(25);
        let mut flags = match chance.below(8) {
            0..4 => FrameFlags::ANONYMOUS,
            4..6 => FrameFlags::NAMED,
            6 => FrameFlags::ANONYMOUS | FrameFlags::KSM,
            _ => FrameFlags::KERNEL,
        };
        match chance.below(14) {
            0 => flags |= FrameFlags::ZERO,
            1 => flags |= FrameFlags::UNREAD,
            2 => flags = FrameFlags::ZERO | FrameFlags::ZERO_PAGE,
            3 if scope == Scope::Ram => flags |= FrameFlags::FREE,
            4 => flags |= FrameFlags::SHMEM,
            _ => {}
        }
        let map_count = chance.below(4) as u32;
        let cgroup = chance.below(3);
        let number = is_numbered.then_some(number);
        machine.frames.push(Frame { number, content, flags, map_count, cgroup });
    }
    if scope == Scope::Ram || frames == 0 {
        return machine;
    }
    for inode in 0..3 {
        let path = if inode == 2 { String::new() } else { format!("/lib/f{inode}.so") };
        let file = machine.file(inode, &path);
        if scope == Scope::Cache {
            let pages = (0..chance.below(6)).map(|_| chance.below(frames)).collect();
            machine.files[file as usize].1 = pages;
        }
    }
    if scope == Scope::Cache {
        return machine;
    }
    for _ in 0..chance.below(6) {
        let pid = chance.below(8) as u32;
        if machine.processes.iter().any(|made| made.pid == pid) {
            continue;
        }
        let mappings = (0..1 + chance.below(3)).map(|_| Mapped {
            file: [None, Some(0), Some(1), Some(2)][chance.below(4) as usize],
            prot: chance.below(8) as u32,
            is_special: chance.below(8) == 0,
            name: ["", "[heap]"][chance.below(2) as usize].into(),
            frames: (0..chance.below(12))
                .map(|_| (chance.below(5) > 0).then(|| chance.below(frames)))
                .collect(),
        });
        let mappings = mappings.collect();
        machine.processes.push(Made {
            pid,
            uid: chance.below(2) as u32,
            cgroup: format!("/{}", pid % 2),
            name: format!("p{pid}"),
            mappings,
        });
    }
    machine
}
