//! What a sample of `pagescan watch` takes besides its snapshot, of 2 million frames of 40 processes:
//! `cargo run --release -p pagescan --example watch_many`.

use std::fs;
use std::time::Instant;

use pagescan::hash::{Algorithm, PageHash};
use pagescan::snapshot::{
    Attributes, FrameFlags, Frames, Header, Mapping, Means, PageFlags, Placed, Process, Scope,
    Snapshot, Task, Totals, Vma,
};
use pagescan::watch::{Kernel, Observer};

const FRAMES: u64 = 2 << 20;
const PROCESSES: u64 = 40;
const SAMPLES: u64 = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut snapshot = make();
    let mut observer = Observer::new(Kernel::default());
    for sample in 0..SAMPLES {
        let next = snapshot.clone();
        let (cpu, wall) = (cpu_seconds()?, Instant::now());
        let seen = observer.see(next)?;
        let (cpu, wall) = (cpu_seconds()? - cpu, wall.elapsed().as_secs_f64());
        println!(
            "sample {sample}: {cpu:.2} CPU seconds, {wall:.2} s; {:?}, {} sharings",
            seen.classes, seen.sharings.alive
        );
        // A hundredth changes, and a second passes.
        for frame in (sample as usize..snapshot.frames.len()).step_by(100) {
            snapshot.frames.hashes[frame].0[0] ^= 0x55;
        }
        snapshot.header.taken += 1_000_000_000;
    }
    println!("at most {} MiB of memory", most_memory()? >> 10);
    Ok(())
}

/// As one finds them: a tenth is zeros, a quarter is like others, an eighth is in two processes.
fn make() -> Snapshot {
    let mut state = 1u64;
    let mut chance = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % end
    };
    let mut frames = Frames::default();
    for flags in
        [FrameFlags::ANONYMOUS, FrameFlags::NAMED, FrameFlags::ANONYMOUS | FrameFlags::ZERO]
    {
        frames.attributes.push(Attributes { flags, ..Attributes::default() });
    }
    for index in 0..FRAMES {
        let content = if chance(4) == 0 { chance(1 << 18) } else { 1 << 41 | index };
        frames.numbers.push(index * 2);
        frames
            .hashes
            .push(PageHash(xxhash_rust::xxh3::xxh3_128(&content.to_le_bytes()).to_be_bytes()));
        frames.kinds.push([0, 0, 0, 0, 0, 1, 1, 1, 1, 2][chance(10) as usize]);
    }
    let own = FRAMES / PROCESSES;
    let task = |number: u64| {
        let run = |page, frame, len| Placed { page, frame, len, flags: PageFlags::default() };
        let mut runs: Vec<Placed> =
            (0..own / 16).map(|piece| run(piece * 17, number * own + piece * 16, 16)).collect();
        runs.push(run(own * 2, (number + 1) % PROCESSES * own, own / 8));
        let mapping = Mapping { range: 0x10000..0x10_0000_0000, ..Mapping::default() };
        let process = Process {
            pid: number as u32 + 1,
            start: 1,
            name: format!("p{number}"),
            ..Process::default()
        };
        Task { process, vmas: vec![Vma { mapping, runs }] }
    };
    let tasks: Vec<Task> = (0..PROCESSES).map(task).collect();
    Snapshot {
        header: Header {
            taken: 1_000_000_000,
            host: "host".into(),
            boot: "boot".into(),
            kernel: String::new(),
            page_size: 4096,
            memory: FRAMES * 4096,
            algorithm: Algorithm::Xxh3_128,
            key_id: None,
            scope: Scope::Processes,
            means: Means::Process,
            lacks: Vec::new(),
        },
        totals: Totals { frames: FRAMES, ..Totals::default() },
        frames,
        tasks,
        files: Vec::new(),
    }
}

/// What this process has used (proc_pid_stat(5): utime and stime, in hundredths of a second).
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit_once(')').ok_or("no name")?.1;
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// The most memory that this process has had, in KiB.
fn most_memory() -> Result<u64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}
