//! A snapshot that is read: what it says is added to what others said before it.

use std::collections::HashSet;

use super::domain::Domains;
use super::files::Files;
use super::identity::{Identity, Known};
use super::kind::Kind;
use super::numbers::Numbers;
use super::partition::Partition;
use super::source::Source;
use super::users::{NOBODY, Users};
use crate::error::{self, Error};
use crate::snapshot::{
    Block, Damage, File, Header, Mapping, PageFlags, Placed, Process, Scope, Visitor,
};

/// PROT_EXEC.
const EXECUTE: u32 = 4;

/// What all snapshots add to.
pub struct Filling {
    /// Of each frame, what it is.
    pub kinds: Vec<Kind>,
    /// Who uses them.
    pub users: Users,
    /// What they hold.
    pub contents: Partition,
    /// The domains.
    pub domains: Domains,
    /// The files.
    pub files: Files,
    /// How many processes were seen.
    pub processes: usize,
    /// There are more frames than have numbers.
    pub is_full: bool,
}

/// What newer snapshots of the machine have said: older ones are not asked again.
#[derive(Default)]
pub struct Seen {
    processes: HashSet<(u32, u64)>,
    cached: HashSet<(u64, u64)>,
    /// What the snapshot that is read now has said.
    new_processes: Vec<(u32, u64)>,
    new_cached: Vec<(u64, u64)>,
}

impl Seen {
    /// Ends a snapshot.
    pub fn settle(&mut self) {
        self.processes.extend(self.new_processes.drain(..));
        self.cached.extend(self.new_cached.drain(..));
    }
}

/// Where pages belong to that come now.
#[derive(Clone, Copy)]
enum Place {
    /// They do not count.
    Nowhere,
    /// A mapping of this domain, maybe of a file.
    Mapping(u32, Option<u32>),
    /// A file that is cached.
    Cache(u32, u32),
}

/// A snapshot that is read.
pub struct Reading<'a> {
    all: &'a mut Filling,
    known: &'a mut Known,
    seen: &'a mut Seen,
    machine: u32,
    header: &'a Header,
    /// Which of all frames its own are.
    pub identity: Identity,
    /// The frames' numbers, of one that has no pages.
    pub numbers: Option<Numbers>,
    /// Of each kind of attributes, what a frame is and who uses it.
    table: Vec<(Kind, u32)>,
    frames: u64,
    /// Its files: their numbers among all.
    files: Vec<u32>,
    own_files: Vec<File>,
    process: Option<(Process, Option<u32>)>,
    place: Place,
    /// Pages whose frames are not there yet.
    waiting: Vec<(Placed, Place)>,
}

impl<'a> Reading<'a> {
    /// Begins one.
    pub fn new(
        all: &'a mut Filling,
        known: &'a mut Known,
        seen: &'a mut Seen,
        machine: u32,
        header: &'a Header,
        identity: Identity,
    ) -> Self {
        Self {
            all,
            known,
            seen,
            machine,
            header,
            identity,
            numbers: (header.scope == Scope::Ram).then(Numbers::default),
            table: Vec::new(),
            frames: 0,
            files: Vec::new(),
            own_files: Vec::new(),
            process: None,
            place: Place::Nowhere,
            waiting: Vec::new(),
        }
    }

    fn is_ram(&self) -> bool {
        self.header.scope == Scope::Ram
    }

    /// Whether all pages had their frames.
    pub fn is_complete(&self, source: &Source<'_>) -> error::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let damage = Damage::Nonsense("a page is in a frame that is not there");
        Err(Error::Snapshot(source.path().into(), damage))
    }

    /// Counts pages whose frames are there.
    fn count(&mut self, placed: &Placed, place: Place) {
        let (domain, file, is_mapped) = match place {
            Place::Nowhere => return,
            Place::Mapping(domain, file) => (domain, file, true),
            Place::Cache(domain, file) => (domain, Some(file), false),
        };
        let is_ram = self.is_ram();
        let alone = self.all.users.sets.number(&[(domain, 1)]);
        for local in placed.frames() {
            let frame = self.identity.global(local);
            if !is_ram {
                self.all.users.add(frame, domain, alone);
            }
            let Some(file) = file else { continue };
            if self.all.kinds[frame as usize].is_named() {
                self.all.files.own(file, frame, is_mapped);
            } else {
                self.all.files.copy(file);
            }
        }
    }
}

impl Visitor for Reading<'_> {
    fn frames(&mut self, block: Block<'_>) -> Result<(), Damage> {
        if self.all.kinds.len() + block.kinds.len() >= u32::MAX as usize {
            self.all.is_full = true;
            return Err(Damage::TooLarge);
        }
        for attributes in &block.attributes[self.table.len()..] {
            let kind = Kind::of(attributes.flags);
            let set = if !self.is_ram() || kind.is_free() {
                NOBODY
            } else {
                let domain = self.all.domains.of_memory(self.machine, attributes.cgroup);
                self.all.users.sets.number(&[(domain, attributes.map_count.max(1))])
            };
            self.table.push((kind, set));
        }
        if let Some(numbers) = &mut self.numbers {
            block.numbers.iter().for_each(|number| numbers.push(*number));
        }
        let mut hashes = block.hashes.iter();
        for (index, &of) in block.kinds.iter().enumerate() {
            let (kind, set) = self.table[of as usize];
            let has_hash = block.attributes[of as usize].flags.is_hashed();
            let hash = if has_hash { hashes.next() } else { None };
            let next = self.all.kinds.len() as u32;
            let number = block.numbers.get(index).copied();
            if self.identity.place(self.known, number, next) {
                self.all.kinds.push(kind);
                self.all.users.push(set);
                if let (true, Some(hash)) = (kind.is_compared(), hash) {
                    self.all.contents.push(*hash, next);
                }
            }
        }
        self.frames += block.kinds.len() as u64;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|(placed, place)| {
            let is_there = placed.frame + placed.len <= self.frames;
            if is_there {
                self.count(placed, *place);
            }
            !is_there
        });
        self.waiting = waiting;
        Ok(())
    }

    fn process(&mut self, process: &Process) -> Result<(), Damage> {
        let id = (process.pid, process.start);
        self.place = Place::Nowhere;
        self.process = None;
        if !self.seen.processes.contains(&id) {
            self.seen.new_processes.push(id);
            self.all.processes += 1;
            let domain = self.all.domains.of_process(self.machine, process, self.header);
            self.process = Some((process.clone(), domain));
        }
        Ok(())
    }

    fn mapping(&mut self, mapping: &Mapping) -> Result<(), Damage> {
        self.place = Place::Nowhere;
        let Some((process, domain)) = &self.process else { return Ok(()) };
        let index = mapping.file.map(|file| file as usize);
        let own = index.and_then(|index| self.own_files.get(index));
        let file = index.and_then(|index| self.files.get(index)).copied();
        let domain = match domain {
            Some(domain) => *domain,
            None => self.all.domains.of_mapping(self.machine, mapping, own),
        };
        if let (Some(file), Some(own)) = (file, own) {
            let page_size = u64::from(self.header.page_size.max(1));
            let pages = (mapping.range.end - mapping.range.start) / page_size;
            let as_library = mapping.prot & EXECUTE != 0 && own.path != process.exe;
            self.all.files.map(file, self.all.processes, pages, as_library);
        }
        self.place = Place::Mapping(domain, file);
        Ok(())
    }

    fn file(&mut self, file: &File) -> Result<(), Damage> {
        let number = self.all.files.number(self.machine, file);
        self.files.push(number);
        self.own_files.push(file.clone());
        self.place = Place::Nowhere;
        if !self.seen.cached.contains(&(file.device, file.inode)) {
            let domain = self.all.domains.of_cache(self.machine, file);
            self.place = Place::Cache(domain, number);
        }
        Ok(())
    }

    fn pages(&mut self, pages: &[Placed]) -> Result<(), Damage> {
        if let (Place::Cache(..), Some(file), false) =
            (self.place, self.own_files.last(), pages.is_empty())
        {
            self.seen.new_cached.push((file.device, file.inode));
        }
        self.numbers = None;
        // What is no memory of the process, such as a device's, is in nobody's Rss.
        for placed in pages.iter().filter(|placed| !placed.flags.has(PageFlags::SPECIAL)) {
            if placed.frame + placed.len <= self.frames {
                self.count(placed, self.place);
            } else {
                self.waiting.push((*placed, self.place));
            }
        }
        Ok(())
    }
}
