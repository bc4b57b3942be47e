//! The block: where the tracer puts what the loader maps, and which files lie where.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use memmap2::Mmap;
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use statify_elf::holes;
use statify_elf::machine::{CpuSites, Machine, Space};
use statify_elf::{ElfFile, page_up};
use statify_params::agent::AGENT_ROOM;
use statify_process::procfs::page_size;
use statify_room::root::Root;

use super::stopwatch::Stopwatch;

/// Room for the loader's anonymous memory right behind the loader, so that its pieces and the
/// loader's data lie together: fewer mappings at start. Not more than most programs need: a hole
/// takes page tables.
const ARENA: u64 = 256 << 10;

/// The program's index in a capture's objects.
pub const PROGRAM: usize = 0;
/// The loader's.
pub const LOADER: usize = 1;

/// Room for the agent behind a loader that ends at an address: its permissions are others, so that it shares no page with it,
/// however large pages are.
pub fn room_for_agent(machine: Machine, loader_end: u64) -> Range<u64> {
    let start = loader_end.next_multiple_of(machine.largest_page());
    start..start + AGENT_ROOM
}

/// A file of which something is mapped.
#[derive(Clone, Debug)]
pub struct Object {
    /// The path as the kernel shows it.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Arc<Mmap>,
    /// `st_dev`, `st_ino`.
    pub id: (u64, u64),
    /// The addresses it was given, page-rounded, its zero-initialised data included.
    pub range: Range<u64>,
}

impl Object {
    /// Says where it is: to the end of the kernel's last page.
    pub fn lie_at(&mut self, range: Range<u64>) {
        self.range = range.start..range.end.next_multiple_of(page_size());
    }
}

/// A root's files, those that are mapped by `st_dev` and `st_ino`: several captures look at the same.
#[derive(Clone, Debug, Default)]
pub struct Files {
    root: Root,
    mapped: Arc<Mutex<ById<Mmap>>>,
    cpu_sites: Arc<Mutex<ById<OnceLock<CpuSites>>>>,
    keys: Arc<Mutex<ById<OnceLock<u64>>>>,
    looking: Arc<Stopwatch>,
    handoffs: Arc<Mutex<HashMap<(u64, u64), u64>>>,
    asked: Arc<Mutex<BTreeSet<PathBuf>>>,
}

type ById<T> = HashMap<(u64, u64), Arc<T>>;

impl Files {
    /// The files of `root`, none of them mapped yet.
    pub fn of(root: &Root) -> Self {
        Self { root: root.clone(), ..Self::default() }
    }

    /// Where they lie.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// How long was looked for what is looked for once.
    pub fn looking(&self) -> Arc<Stopwatch> {
        self.looking.clone()
    }

    /// A capture of a privileged program has asked for a file.
    pub fn note_asked(&self, path: PathBuf) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }

    /// What captures of a privileged program have asked for.
    pub fn asked(&self) -> BTreeSet<PathBuf> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An object's instructions that tell of the CPU, looked for once: who comes second waits for the first.
    pub fn cpu_sites(&self, object: &Object, elf: &ElfFile<'_>) -> CpuSites {
        let known = || self.cpu_sites.lock().unwrap_or_else(PoisonError::into_inner);
        let sites = known().entry(object.id).or_default().clone();
        let find = |elf: &ElfFile<'_>| {
            elf.machine().map(|machine| machine.cpu_sites(elf)).unwrap_or_default()
        };
        sites.get_or_init(|| self.looking.time(|| find(elf))).clone()
    }

    /// A number that depends on a file's contents only, found once: from its build-id, or else from its
    /// bytes.
    pub fn content_key(&self, object: &Object, elf: &ElfFile<'_>) -> u64 {
        let known = || self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = known().entry(object.id).or_default().clone();
        *key.get_or_init(|| self.looking.time(|| content_key(elf, &object.bytes)))
    }

    /// How far behind its entry point a loader's hand-off lies, looked for once.
    pub fn handoff<E>(
        &self,
        loader: &Object,
        find: impl FnOnce() -> Result<u64, E>,
    ) -> Result<u64, E> {
        let known = || self.handoffs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&offset) = known().get(&loader.id) {
            return Ok(offset);
        }
        let offset = find()?;
        known().insert(loader.id, offset);
        Ok(offset)
    }

    /// The file behind a link of a process's /proc directory.
    pub fn of_process(&self, pid: Pid, link: &str) -> std::io::Result<Object> {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        let link = directory.join(link);
        let mut path = std::fs::read_link(&link)?;
        if self.root.directory().is_some() {
            let root = std::fs::read_link(directory.join("root"))?;
            path = path.strip_prefix(root).map(|path| Path::new("/").join(path)).unwrap_or(path);
        }
        self.object(&link, path)
    }

    /// The file at a path of the root.
    pub fn at(&self, path: &Path) -> std::io::Result<Object> {
        let found = self.root.find(path)?;
        self.object(found.link(), found.path()?)
    }

    /// The file at `link`, which may be one of /proc's links; `path` is its name for people.
    fn object(&self, link: &Path, path: PathBuf) -> std::io::Result<Object> {
        let metadata = std::fs::metadata(link)?;
        let id = (metadata.dev(), metadata.ino());
        let known = self.mapped.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        let bytes = match known {
            Some(bytes) => bytes,
            None => {
                // To open a FIFO might take forever.
                if !metadata.is_file() {
                    return Err(std::io::Error::other(
                        "something is mapped that is no regular file",
                    ));
                }
                let file = File::open(link)?;
                holes::check(&file).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                })?;
                // SAFETY: a file that changes while it is converted gives a wrong output at worst,
                // as it would crash the original; the bytes are only ever read as bytes.
                let bytes = Arc::new(unsafe { Mmap::map(&file)? });
                self.mapped
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(id, bytes.clone());
                bytes
            }
        };
        Ok(Object { path, bytes, id, range: 0..0 })
    }
}

fn content_key(elf: &ElfFile<'_>, bytes: &[u8]) -> u64 {
    let hash = Sha256::digest(elf.build_id().as_deref().unwrap_or(bytes));
    u64::from_le_bytes(hash[..8].try_into().unwrap_or_default())
}

/// How modules form groups, and how far these lie from one another. A group is what will have one
/// address at each start: all its modules slide alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distances {
    /// Each library is a group of its own; else the loader and all libraries are one.
    pub apart: bool,
    /// Groups lie further apart than in the first capture.
    pub further: bool,
}

/// Where the block begins, and how objects get their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// One behind the other, as in a conversion's first capture.
    First,
    /// The same, higher by [`Space::slide`].
    Higher,
    /// Each where its contents say (as long as two do not want the same), in every capture: nothing slides.
    Own,
}

/// What a file is to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program itself.
    Program,
    /// Its loader.
    Loader,
    /// What the loader has loaded.
    Library,
}

/// Gives out addresses.
#[derive(Debug)]
pub struct Block {
    space: Space,
    /// The largest size of pages: none is of two modules.
    page: u64,
    base: u64,
    distances: Distances,
    /// Where each group begins; ascending.
    groups: Vec<u64>,
    next: u64,
    arena: Range<u64>,
    scratch: u64,
    /// What is taken where objects lie at addresses of their own.
    taken: Option<Vec<Range<u64>>>,
}

impl Block {
    /// An empty block in a process of such a machine, whose program lies at `program` if it cannot be moved. `None` if there
    /// is no room beside it.
    pub fn new(
        machine: Machine,
        program: Option<&Range<u64>>,
        place: Placement,
        distances: Distances,
    ) -> Option<Self> {
        let (page, space) = (machine.largest_page(), *machine.space());
        let space = program.map_or(Some(space), |program| space.beside(program))?;
        let (base, next) = match place {
            Placement::First => (space.base, space.base),
            Placement::Higher => (space.base + space.slide, space.base + space.slide),
            Placement::Own => (space.fixed_base, space.rest),
        };
        let taken = (place == Placement::Own).then(|| program.cloned().into_iter().collect());
        let scratch = next + space.scratch;
        Some(Self {
            space,
            page,
            base,
            distances,
            groups: Vec::new(),
            next,
            arena: 0..0,
            scratch,
            taken,
        })
    }

    /// The addresses that the block has so far.
    pub fn range(&self) -> Range<u64> {
        self.base..self.next.next_multiple_of(self.page)
    }

    /// Where each group begins; ascending. None where nothing slides.
    pub fn groups(&self) -> &[u64] {
        &self.groups
    }

    /// Whether addresses belong to it or to what is mapped for reading only.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        self.base <= range.start && range.end <= self.scratch
    }

    /// Room for a file's segments, `span` being their unbiased addresses; `key` is asked for its
    /// [content's](Files::content_key) if an address depends on that. Returns the bias; `None` if there
    /// is no room.
    pub fn place_object(
        &mut self,
        elf: &ElfFile<'_>,
        span: &Range<u64>,
        role: Role,
        key: impl FnOnce() -> u64,
    ) -> Option<u64> {
        let align = elf.alignment().max(self.page);
        let Some(taken) = &mut self.taken else {
            let begins = self.begins_group(role);
            let bias = self.next.saturating_sub(span.start).next_multiple_of(align);
            self.next = bias.checked_add(span.end)?;
            if self.next > self.scratch {
                return None;
            }
            if begins {
                self.groups.push(bias + span.start);
            }
            return Some(bias);
        };
        let own_addresses = self.space.own_addresses;
        let align = align.max(self.space.own_alignment);
        let slots = own_addresses / align;
        let len = span.end - span.start;
        let wanted = key() % slots;
        for slot in (wanted..slots).chain(0..wanted) {
            let start = self.base + slot * align;
            let range = start..start + len;
            let free = |taken: &Range<u64>| range.end <= taken.start || taken.end <= range.start;
            if taken.iter().all(free) && range.end <= self.base + own_addresses {
                taken.push(range);
                return Some(start.wrapping_sub(span.start));
            }
        }
        None
    }

    /// Whether a module of this role begins a group; the distance to that is left then.
    fn begins_group(&mut self, role: Role) -> bool {
        let begins = role != Role::Library || self.distances.apart;
        if begins && self.distances.further && !self.groups.is_empty() {
            self.next += self.space.further;
        }
        begins
    }

    /// Room for a library that the loader aligns by itself.
    pub fn reserve_library(&mut self, len: u64) -> u64 {
        if self.taken.is_none() && self.begins_group(Role::Library) {
            self.groups.push(self.next.next_multiple_of(self.page));
        }
        self.reserve(len)
    }

    /// Makes the arena, at the end of what has been placed.
    pub fn open_arena(&mut self) {
        let start = self.next.next_multiple_of(self.page);
        self.arena = start..start + ARENA;
        self.next = self.arena.end;
    }

    /// Room for anonymous memory.
    pub fn place_anonymous(&mut self, len: u64) -> u64 {
        let len = len.next_multiple_of(page_size());
        if len <= self.arena.end - self.arena.start {
            let at = self.arena.start;
            self.arena.start += len;
            return at;
        }
        self.reserve(len)
    }

    /// Room for memory that is too large for the arena.
    fn reserve(&mut self, len: u64) -> u64 {
        let at = self.next.next_multiple_of(self.page);
        self.next = at + page_up(len);
        at
    }

    /// Room for a file that is read and given back before the hand-off.
    pub fn place_scratch(&mut self, len: u64) -> u64 {
        let at = self.scratch;
        self.scratch += len.next_multiple_of(self.page);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statify_elf::machine::Machine;

    static SPACE: &Space = Machine::HOST.space();
    const TOGETHER: Distances = Distances { apart: false, further: false };

    #[test]
    fn groups_lie_further_apart_in_the_same_order() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = ElfFile::parse(&bytes).unwrap();
        let span = elf.span().unwrap();
        let groups = |apart, further| {
            let mut block =
                Block::new(Machine::HOST, None, Placement::First, Distances { apart, further })
                    .unwrap();
            for role in [Role::Program, Role::Loader, Role::Library, Role::Library] {
                block.place_object(&elf, &span, role, || 0).unwrap();
            }
            block.groups().to_vec()
        };
        let by = |apart| {
            let (near, far) = (groups(apart, false), groups(apart, true));
            near.iter()
                .zip(&far)
                .map(|(near, far)| (far - near) / SPACE.further)
                .collect::<Vec<_>>()
        };
        assert_eq!(by(false), [0, 1]);
        assert_eq!(by(true), [0, 1, 2, 3]);
    }

    #[test]
    fn an_object_has_its_own_address_whatever_comes_before() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = ElfFile::parse(&bytes).unwrap();
        let span = elf.span().unwrap();
        let mut alone = Block::new(Machine::HOST, None, Placement::Own, TOGETHER).unwrap();
        let address =
            alone.place_object(&elf, &span, Role::Library, || content_key(&elf, &bytes)).unwrap();
        let mut other = Block::new(Machine::HOST, None, Placement::Own, TOGETHER).unwrap();
        other.open_arena();
        other.reserve(1 << 30);
        assert_eq!(
            other.place_object(&elf, &span, Role::Library, || content_key(&elf, &bytes)),
            Some(address)
        );
        let again =
            other.place_object(&elf, &span, Role::Library, || content_key(&elf, &bytes)).unwrap();
        assert!(again != address && again.is_multiple_of(SPACE.own_alignment));
        // A program that cannot be moved has it already.
        let program = address + span.start..address + span.end;
        let mut taken =
            Block::new(Machine::HOST, Some(&program), Placement::Own, TOGETHER).unwrap();
        let place =
            taken.place_object(&elf, &span, Role::Library, || content_key(&elf, &bytes)).unwrap();
        assert_ne!(place, address);
    }

    #[test]
    fn the_arena_keeps_small_memory_together() {
        let mut block = Block::new(Machine::HOST, None, Placement::First, TOGETHER).unwrap();
        block.open_arena();
        assert_eq!(block.place_anonymous(100), SPACE.base);
        assert_eq!(block.place_anonymous(4096), SPACE.base + 4096);
        assert_eq!(block.place_anonymous(ARENA), SPACE.base + ARENA);
        assert_eq!(block.place_anonymous(1), SPACE.base + 8192);
    }
}
