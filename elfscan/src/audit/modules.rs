//! Which modules a process has, at which bias, and which file each is of: from its mappings, from the
//! loader's list, and for a converted program from its manifest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use goblin::elf::dynamic::DT_DEBUG;
use goblin::elf::program_header::{PF_X, PT_DYNAMIC, PT_LOAD};
use memmap2::Mmap;
use statify_elf::{ElfFile, PROT_EXEC, page_down};
use statify_format::manifest::{Manifest, NOTE_NAME, NOTE_TYPE};
use statify_format::parameters::has_starter;
use statify_process::procfs::Mapping;

use super::bases::Bases;
use super::converted;
use super::image::{Backing, Bytes, Image};
use super::links::{self, Links};
use super::names::mapping_at;
use super::pages;
use super::pool::Pool;
use super::process::{FileId, Identity, Process, Refusal};
use super::report::{Information, InformationKind, MOST_TOLD};

/// More has no program.
const MOST_MODULES: usize = 8 << 10;
/// The symbols under which glibc's loader has its `struct r_debug`, and musl's a pointer to it.
const R_DEBUG: &[u8] = b"_r_debug";
const R_DEBUG_POINTER: &[u8] = b"_dl_debug_addr";

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The modules; the program first, if it is one.
    pub images: Vec<Image>,
    /// How many belong to the program file itself: one, or all of a converted one.
    pub of_program: usize,
    /// The loader's list.
    pub links: Links,
    /// The converted file whose program it is, if it is one.
    pub converted: Option<FileId>,
    /// The files that were opened.
    pub files: BTreeMap<FileId, Arc<Mmap>>,
    /// What was seen on the way.
    pub information: Vec<Information>,
}

/// An opened file of a process's mappings.
struct Opened<'a> {
    mappings: Vec<&'a Mapping>,
    name: String,
    bytes: Option<Arc<Mmap>>,
}

/// Finds the modules of a process that has these mappings.
pub fn find(process: &Process, maps: &[Mapping]) -> Result<Found, Refusal> {
    let mut by_file: HashMap<FileId, Vec<&Mapping>> = HashMap::new();
    for mapping in maps {
        if let Some(file) = FileId::of(mapping) {
            by_file.entry(file).or_default().push(mapping);
        }
    }
    let (files, found) = (BTreeMap::new(), Found::default());
    let (program, pool) = (None, Pool::default());
    let mut search = Search { process, maps, by_file, files, program, pool, found };
    search.find_program();
    search.find_pool();
    search.open_files();
    search.add_program()?;
    search.add_complete();
    if search.found.images.len() > MOST_MODULES {
        let name = process.name.clone();
        return Err(Refusal::TooMany(process.pid, name, MOST_MODULES, "modules"));
    }
    search.read_links();
    search.add_listed();
    let files = search.files.iter();
    let files = files.filter_map(|(file, opened)| Some((*file, opened.bytes.clone()?))).collect();
    Ok(Found { files, ..search.found })
}

struct Search<'a> {
    process: &'a Process,
    maps: &'a [Mapping],
    /// The mappings of each file; ascending.
    by_file: HashMap<FileId, Vec<&'a Mapping>>,
    files: BTreeMap<FileId, Opened<'a>>,
    /// The program's file, and its manifest if it is a converted one.
    program: Option<(FileId, Option<Manifest>)>,
    /// The files of its pool.
    pool: Pool<'a>,
    found: Found,
}

impl<'a> Search<'a> {
    /// Those that have executable mappings.
    fn executable(&self) -> BTreeSet<FileId> {
        let executable = self.maps.iter().filter(|mapping| mapping.prot & PROT_EXEC != 0);
        executable.filter_map(FileId::of).collect()
    }

    /// Opens them.
    fn open_files(&mut self) {
        for file in self.executable() {
            self.open(file);
        }
    }

    /// Finds and opens the program's file.
    fn find_program(&mut self) {
        let Some(path) = self.process.program() else { return };
        let path = path.as_os_str().as_encoded_bytes();
        let id = self.process.open_program().and_then(|file| file.metadata()).ok();
        let Some(id) = id.map(|file| {
            use std::os::unix::fs::MetadataExt;
            let device = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
            FileId { device, inode: file.ino() }
        }) else {
            return;
        };
        let is_program = |file: &FileId| {
            let mut names =
                self.by_file.get(file).into_iter().flatten().map(|mapping| &mapping.name);
            *file == id || id.inode == file.inode && names.next().is_some_and(|name| name == path)
        };
        let Some(file) = self.executable().into_iter().find(is_program) else { return };
        let bytes = self.open(file).and_then(|opened| opened.bytes.clone());
        let elf = bytes.as_deref().and_then(|bytes| ElfFile::parse_any(bytes).ok());
        self.program = Some((file, elf.and_then(|elf| Manifest::read(&elf))));
    }

    /// Finds what it has mapped from its pool, which is no module of its own where it belongs.
    fn find_pool(&mut self) {
        let Some((file, Some(manifest))) = &self.program else { return };
        self.pool = Pool::find(self.process, manifest, &self.by_file);
        let own = self.by_file.get(file).map_or(&[][..], Vec::as_slice);
        let bases = Bases::find(manifest, own, self.pool.by_index());
        for file in self.pool.files() {
            if let Some(mappings) = self.by_file.get_mut(&file) {
                mappings.retain(|mapping| !self.pool.belongs(manifest, &bases, mapping));
                if mappings.is_empty() {
                    self.by_file.remove(&file);
                }
            }
        }
    }

    /// The bytes of a mapped file; `None`, and said once, if they cannot be had.
    fn open(&mut self, file: FileId) -> Option<&Opened<'a>> {
        if !self.files.contains_key(&file) {
            let mappings = self.by_file.get(&file)?.clone();
            let first = mappings.first()?;
            let name = String::from_utf8_lossy(&first.name).into_owned();
            let bytes = self.read(first, &name).map(Arc::new);
            self.files.insert(file, Opened { mappings, name, bytes });
        }
        self.files.get(&file)
    }

    fn read(&mut self, mapping: &Mapping, name: &str) -> Option<Mmap> {
        let what = match self.process.open_mapped(mapping) {
            Ok((file, identity)) => {
                // SAFETY: the map is only read, and its bytes may be anything at any time. A file
                // that is truncated meanwhile ends this process as it would end the audited one.
                match unsafe { Mmap::map(&file) } {
                    Ok(bytes) if identity == Identity::Same || self.is_mapped(mapping, &bytes) => {
                        if name.ends_with(" (deleted)") && !name.starts_with("/memfd:") {
                            self.inform(InformationKind::DeletedFile, mapping, name);
                        }
                        return Some(bytes);
                    }
                    _ => InformationKind::ReplacedFile,
                }
            }
            Err(_) => InformationKind::UnreadableFile,
        };
        self.inform(what, mapping, name);
        None
    }

    fn inform(&mut self, kind: InformationKind, mapping: &Mapping, name: &str) {
        let name = name.to_owned();
        self.found.information.push(Information::new(kind, mapping.range.clone(), name));
    }

    /// Whether a file that has a build-id is the one that is mapped, by the page that this begins with.
    fn is_mapped(&self, mapping: &Mapping, bytes: &[u8]) -> bool {
        let mut page = [0; 4096];
        let len = self.process.read_some(mapping.range.start, &mut page);
        let at = usize::try_from(mapping.offset).unwrap_or(usize::MAX);
        let has_id = ElfFile::parse_any(bytes).is_ok_and(|elf| elf.build_id().is_some());
        has_id && len == page.len() && bytes.get(at..at.saturating_add(len)) == Some(&page[..])
    }

    fn add_program(&mut self) -> Result<(), Refusal> {
        let (pid, name) = (self.process.pid, self.process.name.clone());
        self.process.program().ok_or_else(|| self.process.vanished())?;
        let Some((file, manifest)) = self.program.take() else { return Ok(()) };
        let Some(opened) = self.files.get(&file) else { return Ok(()) };
        let Some(bytes) = &opened.bytes else { return Ok(()) };
        let elf = match ElfFile::parse_any(bytes) {
            Ok(elf) => elf,
            Err(error) => return Err(Refusal::Unsupported(pid, name, error)),
        };
        if let Err(error) = elf.known_machine() {
            return Err(Refusal::Unsupported(pid, name, error));
        }
        if let Some(manifest) = manifest {
            let damaged = || Refusal::Manifest(pid, name.clone());
            let bases = Bases::find(&manifest, &opened.mappings, self.pool.by_index());
            let images = converted::modules(bytes, &manifest, file, &bases, &self.pool);
            let images = images.ok_or_else(damaged)?;
            let plugins = plugins(&manifest, opened, file);
            self.found.of_program = images.len();
            self.found.images = images;
            self.found.images.extend(plugins);
            self.found.converted = Some(file);
        } else if elf.note(NOTE_NAME, NOTE_TYPE).is_some() || has_starter(&elf) {
            return Err(Refusal::Manifest(pid, name));
        } else if let Some(base) = base(&elf, &opened.mappings) {
            let image = image(opened, file, 0, base);
            self.found.images.extend(image);
            self.found.of_program = 1;
        }
        Ok(())
    }

    /// Adds every file that has executable memory and is mapped as a loader maps a file.
    fn add_complete(&mut self) {
        let mut images = Vec::new();
        for (file, opened) in &self.files {
            let Some(bytes) = &opened.bytes else { continue };
            if Some(*file) == self.found.converted {
                continue;
            }
            let Ok(elf) = ElfFile::parse_any(bytes) else {
                let code = opened.mappings.iter().filter(|mapping| mapping.prot & PROT_EXEC != 0);
                self.found.information.extend(code.take(MOST_TOLD).map(|mapping| {
                    let range = mapping.range.clone();
                    Information::new(InformationKind::NoElfCode, range, opened.name.clone())
                }));
                continue;
            };
            let word = self.process.word_size;
            if elf.machine().is_none_or(|machine| !machine.runs_here() || machine.word() != word) {
                let Some(first) = opened.mappings.first() else { continue };
                let range = first.range.clone();
                let kind = InformationKind::ForeignFile;
                self.found.information.push(Information::new(kind, range, opened.name.clone()));
                continue;
            }
            for bias in biases(&elf, &opened.mappings) {
                images.extend(image(opened, *file, 0, bias));
            }
        }
        for image in images {
            self.add(image);
        }
    }

    fn add(&mut self, image: Image) {
        let is_known = |known: &Image| {
            known.bias == image.bias
                && match (&known.backing, &image.backing) {
                    (Backing::Segments(a, s), Backing::Segments(b, t)) => a == b && s == t,
                    _ => false,
                }
        };
        if !self.found.images.iter().any(is_known) {
            self.found.images.push(image);
        }
    }

    /// The loader's list: where the program's DT_DEBUG says it is, or the loader's symbol.
    fn read_links(&mut self) {
        let mut places = Vec::new();
        for image in &self.found.images {
            let Ok(elf) = ElfFile::parse_any(image.contents()) else { continue };
            let Ok(Some(facts)) = elf.dynamic() else { continue };
            let Some(segment) = elf.segments().iter().find(|s| s.p_type == PT_DYNAMIC) else {
                continue;
            };
            let at = facts.entries().iter().position(|entry| entry.0 == DT_DEBUG);
            let value = at.and_then(|index| {
                let entry = (2 * index as u64 + 1) * self.process.word_size;
                let entry = segment.p_vaddr.wrapping_add(entry);
                self.process.word(entry.wrapping_add(image.bias))
            });
            places.extend(value.filter(|&value| value != 0));
        }
        for image in &self.found.images {
            let Ok(elf) = ElfFile::parse_any(image.contents()) else { continue };
            let Ok(Some(facts)) = elf.dynamic() else { continue };
            if facts
                .soname()
                .is_some_and(|name| !name.starts_with(b"ld-") && !name.starts_with(b"libc."))
            {
                continue;
            }
            for symbol in facts.symbols().iter().filter(|symbol| symbol.is_defined()) {
                let at = symbol.value.wrapping_add(image.bias);
                match facts.string(symbol.name.into()) {
                    Some(R_DEBUG) => places.push(at),
                    Some(R_DEBUG_POINTER) => places.extend(self.process.word(at)),
                    _ => {}
                }
            }
        }
        let mut left = links::MOST;
        if let Some(links) =
            places.iter().find_map(|&place| Links::read(self.process, place, &mut left))
        {
            self.found.links = links;
        }
    }

    /// Adds what the loader lists and has no executable memory.
    fn add_listed(&mut self) {
        let dynamics: BTreeSet<u64> = self.found.images.iter().filter_map(dynamic_at).collect();
        let links: Vec<(u64, u64)> = self
            .found
            .links
            .namespaces
            .iter()
            .flatten()
            .map(|link| (link.dynamic, link.bias))
            .filter(|link| !dynamics.contains(&link.0))
            .collect();
        for (dynamic, bias) in links {
            let Some(file) = mapping_at(self.maps, dynamic).and_then(FileId::of) else { continue };
            let Some(opened) = self.open(file) else { continue };
            let image = image(opened, file, 0, bias);
            if let Some(image) = image.filter(|image| dynamic_at(image) == Some(dynamic)) {
                self.add(image);
            }
        }
    }
}

/// Where the dynamic section of a module lies.
pub fn dynamic_at(image: &Image) -> Option<u64> {
    let elf = ElfFile::parse_any(image.contents()).ok()?;
    let segment = elf.segments().iter().find(|segment| segment.p_type == PT_DYNAMIC)?;
    Some(segment.p_vaddr.wrapping_add(image.bias))
}

fn image(opened: &Opened<'_>, file: FileId, start: u64, bias: u64) -> Option<Image> {
    let bytes = opened.bytes.as_ref()?;
    let window = usize::try_from(start).ok()?..bytes.len();
    Some(Image {
        name: opened.name.clone(),
        bytes: Bytes::Mapped(bytes.clone()),
        window,
        bias,
        backing: Backing::Segments(file, start),
        known: None,
        headers: None,
        written: None,
        stored_bias: None,
    })
}

/// The bias that a file's mapping would have if it were of this segment.
fn bias_of(load: &goblin::elf::ProgramHeader, mapping: &Mapping) -> Option<u64> {
    let into = mapping.offset.checked_sub(pages::down(load.p_offset))?;
    let len = pages::up(load.p_offset.checked_add(load.p_filesz)?) - pages::down(load.p_offset);
    (into < len).then(|| mapping.range.start.wrapping_sub(pages::down(load.p_vaddr) + into))
}

/// The bias that most bytes of a file's mappings agree on.
fn base(elf: &ElfFile<'_>, mappings: &[&Mapping]) -> Option<u64> {
    let mut votes: BTreeMap<u64, u64> = BTreeMap::new();
    for mapping in mappings {
        for bias in elf.loads().filter_map(|load| bias_of(load, mapping)).collect::<BTreeSet<_>>() {
            *votes.entry(bias).or_default() += mapping.range.end - mapping.range.start;
        }
    }
    votes.into_iter().max_by_key(|vote| vote.1).map(|vote| vote.0)
}

/// The biases at which a file is mapped as a loader maps it: the first of its segments is there, and
/// executable ones.
fn biases(elf: &ElfFile<'_>, mappings: &[&Mapping]) -> BTreeSet<u64> {
    let loads: Vec<_> = elf.loads().filter(|load| load.p_filesz > 0).collect();
    let is_mapped = |load: &goblin::elf::ProgramHeader, bias: u64| {
        let at = page_down(load.p_vaddr).wrapping_add(bias);
        let after = mappings.partition_point(|mapping| mapping.range.end <= at);
        mappings.get(after).is_some_and(|mapping| {
            mapping.range.contains(&at)
                && at - mapping.range.start + mapping.offset == page_down(load.p_offset)
        })
    };
    let code = mappings.iter().filter(|mapping| mapping.prot & PROT_EXEC != 0);
    let candidates = code.flat_map(|mapping| {
        let code = loads.iter().filter(|load| load.p_flags & PF_X != 0 && load.p_type == PT_LOAD);
        code.filter_map(|load| bias_of(load, mapping))
    });
    let candidates: BTreeSet<u64> = candidates.collect();
    let is_whole = |bias: &u64| loads.iter().all(|load| is_mapped(load, *bias));
    candidates.into_iter().filter(is_whole).collect()
}

/// The plugins that a converted program has opened out of its own file.
fn plugins(manifest: &Manifest, opened: &Opened<'_>, file: FileId) -> Vec<Image> {
    let mut images = Vec::new();
    let mut seen = BTreeSet::new();
    for mapping in &opened.mappings {
        let Some((part, extent)) = converted::plugin_at(manifest, mapping.offset) else { continue };
        if !seen.insert(extent.start) {
            continue;
        }
        let Some(mut image) = image(opened, file, extent.start, 0) else { continue };
        image.window.end = usize::try_from(extent.end).unwrap_or(usize::MAX).min(image.window.end);
        image.name = part.path.display().to_string();
        let Ok(elf) = ElfFile::parse_any(image.contents()) else { continue };
        let inside = opened.mappings.iter().filter(|mapping| extent.contains(&mapping.offset));
        let moved: Vec<Mapping> = inside
            .map(|mapping| {
                let offset = mapping.offset - extent.start;
                Mapping { offset, ..(**mapping).clone() }
            })
            .collect();
        let moved: Vec<&Mapping> = moved.iter().collect();
        for bias in biases(&elf, &moved) {
            images.push(Image { bias, ..image.clone() });
        }
    }
    images
}
