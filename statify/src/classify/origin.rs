//! `$ORIGIN`: what the loader has made of it at the conversion, which must mean the output's directory at
//! each start.
//!
//! A loader expands a search path when it first looks into it, and remembers the result beside the
//! module in its list of modules (`struct link_map`, whose first fields are public: gABI's debugger
//! interface, link.h). So a search path of the program's that says `$ORIGIN` becomes "not yet looked
//! into" again, and the loader itself finds the output's directory, by /proc/self/exe as in the original;
//! where there is no /proc, glibc leaves such directories out. Libraries that were found by `$ORIGIN` have
//! paths that begin with the program's directory: their names, and the directories that `$ORIGIN` means
//! in them, become the output's directory and the rest of the path.
//!
//! glibc also remembers of each directory whether it was there. Of those that a search path names and that
//! were not, it becomes unknown again, as it is when the original starts.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use statify_elf::c_library::CLibrary;
use statify_elf::{DynamicFacts, ElfFile, PAGE, PROT_READ, little_endian, page_down, word_mask};

use super::frame::Frame;
use super::words;
use crate::capture::{Capture, LOADER, PROGRAM};
use crate::place::Place;

/// What depends on the program's directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Words that become null: search paths, and the program's directory.
    pub forgotten: Vec<Place>,
    /// Words that hold the address of the program's directory and this behind it.
    pub relative: Vec<(Place, Vec<u8>)>,
    /// Fields of 4 bytes that become 0: that a directory was not there.
    pub missing: Vec<Place>,
}

/// The program's search path says `$ORIGIN`, and it is not found what the loader has made of it.
#[derive(Debug, PartialEq, Eq)]
pub struct NotFound;

/// No `struct link_map` is longer, in bytes.
const MOST_MAP: u64 = 2048;
/// glibc's list of directories of a search path: not more than these, and `struct r_search_path_elem`
/// has its path among these words.
const MOST_DIRECTORIES: u64 = 256;
const FIRST_WORDS: u64 = 5;
/// What glibc remembers of a directory (`enum r_dir_status`), and of how many of its subdirectories at most.
const MISSING: u32 = 1;
const EXISTING: u32 = 2;
const MOST_STATUSES: u64 = 64;

/// Finds it.
pub fn find(c_library: CLibrary, capture: &Capture, frame: &Frame) -> Result<Origin, NotFound> {
    let modules = modules(capture);
    if modules.values().all(Module::is_plain) {
        return Ok(Origin::default());
    }
    let memory = Memory { capture, words: words::Memory { capture, frame } };
    let size = memory.size();
    let Some(program) = capture.objects.get(PROGRAM) else { return Err(NotFound) };
    let directory = parent(program.path.as_os_str().as_bytes());
    let maps = maps(&memory, &modules);
    // The directory of each module that was found by way of the program's.
    let mut origins = BTreeMap::from([(PROGRAM, directory.clone())]);
    for (&index, &map) in maps.iter().filter(|&(&index, _)| index > LOADER) {
        let name = memory.word(map + size).and_then(|name| memory.string(name)).unwrap_or_default();
        let by = |(other, origin): (&usize, &Vec<u8>)| {
            modules.get(other).is_some_and(|module| module.leads_to(origin, &name))
        };
        if origins.iter().any(by) && behind(&directory, &name).is_some() {
            origins.insert(index, parent(&name));
        }
    }
    let mut found = Origin::default();
    let directories: BTreeSet<Vec<u8>> =
        modules.values().flat_map(|module| module.directories.iter().cloned()).collect();
    if c_library == CLibrary::Glibc && !directories.is_empty() {
        found.missing.extend(memory.missing(&directories).into_iter().map(|at| frame.place(at)));
        let has_some = |index: &usize| !modules[index].directories.is_empty();
        for (_, &map) in maps.iter().filter(|(index, _)| has_some(index)) {
            // Of a path without a directory that is there glibc keeps that, and whether it had a list.
            let is_given_up = |at: &u64| {
                memory.word(*at) == Some(word_mask(size))
                    && memory.word(at + size).is_some_and(|word| word <= 1)
            };
            let lists = fields_of(&maps, map, size).filter(is_given_up);
            found.forgotten.extend(lists.map(|at| frame.place(at)));
        }
    }
    for (&index, origin) in &origins {
        let (Some(&map), Some(module)) = (maps.get(&index), modules.get(&index)) else { continue };
        let mut dirs = 0;
        for at in fields_of(&maps, map, size) {
            let Some(value) = memory.word(at) else { break };
            let is_path = match c_library {
                CLibrary::Glibc => memory.is_search_path(value, origin),
                CLibrary::Musl => module.paths.iter().any(|path| {
                    memory.string(value).is_some_and(|text| text == expanded(path, origin))
                }),
            };
            if is_path && !module.paths.is_empty() {
                found.forgotten.push(frame.place(at));
                dirs += 1;
                continue;
            }
            let Some(text) = memory.string(value) else { continue };
            let is_element =
                text.ends_with(b"/") && memory.word(at + size) == Some(text.len() as u64);
            match behind(&directory, &text) {
                _ if is_element => {}
                Some(b"") if index == PROGRAM => found.forgotten.push(frame.place(at)),
                Some(rest) if index > LOADER => {
                    found.relative.push((frame.place(at), rest.to_vec()));
                }
                _ => {}
            }
        }
        // What is not looked into before the hand-off is expanded later by itself: a library's, and
        // with musl a program's whose libraries are all in memory already.
        if index == PROGRAM && dirs == 0 && !module.paths.is_empty() && c_library == CLibrary::Glibc
        {
            return Err(NotFound);
        }
    }
    Ok(found)
}

/// What a module says of `$ORIGIN`.
#[derive(Debug, Default)]
struct Module {
    /// Its bias and the address of its dynamic section.
    at: (u64, u64),
    /// The search paths that count and have the token.
    paths: Vec<Vec<u8>>,
    /// The names of needed libraries that have it.
    names: Vec<Vec<u8>>,
    /// The directories without tokens of the search path that counts, each with a slash at its end.
    directories: Vec<Vec<u8>>,
}

impl Module {
    /// It says nothing that is looked for here.
    fn is_plain(&self) -> bool {
        self.paths.is_empty() && self.names.is_empty() && self.directories.is_empty()
    }

    /// Whether a library with this path may have been found by the token, which means `origin`.
    fn leads_to(&self, origin: &[u8], path: &[u8]) -> bool {
        let directories = self.paths.iter().flat_map(|path| path.split(|&byte| byte == b':'));
        let mut texts = directories.chain(self.names.iter().map(Vec::as_slice));
        texts.any(|text| {
            let Some(rest) = TOKENS.iter().find_map(|token| text.strip_prefix(*token)) else {
                return false;
            };
            // Other tokens mean something that is not known here.
            let known = rest.split(|&byte| byte == b'$').next().unwrap_or_default();
            let known = if known == rest { rest.trim_ascii_end() } else { known };
            let known = known.strip_suffix(b"/").unwrap_or(known);
            path.starts_with(&[origin, known].concat())
        })
    }
}

const TOKENS: [&[u8]; 2] = [b"$ORIGIN", b"${ORIGIN}"];

/// By object.
fn modules(capture: &Capture) -> BTreeMap<usize, Module> {
    let read = |object: &crate::capture::Object| {
        let elf = ElfFile::parse(&object.bytes).ok()?;
        let bias = object.range.start.wrapping_sub(elf.span()?.start);
        let dynamic = elf.of_type(goblin::elf::program_header::PT_DYNAMIC).next()?.p_vaddr;
        let facts = elf.dynamic().ok()??;
        let at = (bias, bias.wrapping_add(dynamic));
        let has_token = |text: &&[u8]| TOKENS.iter().any(|token| contains(text, token));
        // DT_RPATH counts without DT_RUNPATH only.
        let path = facts.runpath().or_else(|| facts.rpath());
        let paths = path.into_iter().filter(has_token).map(<[u8]>::to_vec).collect();
        let directories = path.into_iter().flat_map(|path| path.split(|&byte| byte == b':'));
        let directories =
            directories.filter(|text| text.starts_with(b"/") && !text.contains(&b'$'));
        let directories = directories.map(with_slash).collect();
        let names = DynamicFacts::needed(&facts).into_iter().filter(has_token);
        let names = names.map(<[u8]>::to_vec).collect();
        Some(Module { at, paths, names, directories })
    };
    let objects = capture.objects.iter().enumerate();
    objects.filter_map(|(index, object)| Some((index, read(object)?))).collect()
}

/// Where the loader's record of each module is: its bias, the address of its name and that of its
/// dynamic section follow one another.
fn maps(memory: &Memory<'_>, modules: &BTreeMap<usize, Module>) -> BTreeMap<usize, u64> {
    let by_section: BTreeMap<u64, usize> =
        modules.iter().map(|(&index, module)| (module.at.1, index)).collect();
    let mut maps = BTreeMap::new();
    let size = memory.size();
    for (address, page) in memory.capture.pages.iter() {
        for (index, word) in page.chunks_exact(size as usize).enumerate() {
            let Some(&object) = by_section.get(&little_endian(word)) else { continue };
            let at = (address + size * index as u64).wrapping_sub(2 * size);
            let bias = modules[&object].at.0;
            if memory.word(at) != Some(bias) {
                continue;
            }
            let name = || memory.string(memory.word(at + size)?);
            let is_map = match memory.capture.objects[object].range.contains(&at) {
                // Its own GOT begins with that address, too. But musl allocates in the gaps of modules'
                // pages as well, those of the very module among them.
                true => bias != 0 && name().is_some_and(|name| name.starts_with(b"/")),
                // The initial stack, where musl's program has its name, is not in a capture.
                false => object == PROGRAM || name().is_some(),
            };
            if is_map {
                maps.entry(object).or_insert(at);
            }
        }
    }
    maps
}

/// The words, of so many bytes, of a module's record.
fn fields_of(
    maps: &BTreeMap<usize, u64>,
    map: u64,
    size: u64,
) -> impl Iterator<Item = u64> + use<> {
    let next = maps.values().copied().filter(|&other| other > map).min();
    (map..next.unwrap_or(u64::MAX).min(map + MOST_MAP)).step_by(size as usize)
}

/// A capture's memory by address.
struct Memory<'a> {
    capture: &'a Capture,
    words: words::Memory<'a>,
}

impl Memory<'_> {
    /// The size of a word, in bytes.
    fn size(&self) -> u64 {
        self.words.word_size()
    }

    fn word(&self, address: u64) -> Option<u64> {
        self.capture.region_at(address)?;
        self.capture.region_at(address.checked_add(self.size() - 1)?)?;
        Some(self.words.word(self.words.frame.place(address)))
    }

    /// The string at an address; `None` if there is none that a path may be.
    fn string(&self, address: u64) -> Option<Vec<u8>> {
        const LONGEST: usize = 1 << 16;
        let mut text = Vec::new();
        let mut at = address;
        while text.len() < LONGEST {
            let region = self.capture.region_at(at)?;
            if region.prot & PROT_READ == 0 {
                return None;
            }
            let page = self.words.page(self.words.frame.place(page_down(at)));
            let rest = &page[(at % PAGE) as usize..];
            match rest.iter().position(|&byte| byte == 0) {
                Some(end) => {
                    text.extend(&rest[..end]);
                    return Some(text);
                }
                None => text.extend(rest),
            }
            at = page_down(at) + PAGE;
        }
        None
    }

    /// Whether `address` is that of glibc's list of a search path's directories (pointers, the last
    /// of them null), of which one is in `origin`. A directory has its path, which ends with a
    /// slash, and then its length.
    fn is_search_path(&self, address: u64, origin: &[u8]) -> bool {
        let size = self.size();
        let elements = (0..MOST_DIRECTORIES).map_while(|index| {
            self.word(address.checked_add(size * index)?).filter(|&element| element != 0)
        });
        let mut fields = elements.flat_map(|element| {
            (0..FIRST_WORDS).map(move |word| element.wrapping_add(size * word))
        });
        fields.any(|field| {
            let text = self.word(field).and_then(|text| self.string(text)).unwrap_or_default();
            text.ends_with(b"/")
                && text.starts_with(origin)
                && self.word(field.wrapping_add(size)) == Some(text.len() as u64)
        })
    }

    /// The fields that say of these directories that they were not there. They lie between the length of
    /// a directory's path and the path itself, whose address is in front of the length.
    fn missing(&self, directories: &BTreeSet<Vec<u8>>) -> Vec<u64> {
        let lengths: BTreeSet<u64> = directories.iter().map(|path| path.len() as u64).collect();
        let mut missing = Vec::new();
        let size = self.size();
        for (address, page) in self.capture.pages.iter() {
            for (index, word) in page.chunks_exact(size as usize).enumerate() {
                if !lengths.contains(&little_endian(word)) {
                    continue;
                }
                let field = address + size * index as u64;
                let text = field.checked_sub(size).and_then(|at| self.word(at)).unwrap_or(0);
                let (start, end) = (field + size, text.min(field + size + 4 * MOST_STATUSES));
                if text < start
                    || !self.string(text).is_some_and(|text| directories.contains(&text))
                {
                    continue;
                }
                let fields = (start..end).step_by(4);
                let value = |at: &u64| {
                    let rest = at % size;
                    Some((self.word(at - rest)? >> (8 * rest)) as u32)
                };
                if fields.clone().all(|at| value(&at).is_some_and(|value| value <= EXISTING)) {
                    missing.extend(fields.filter(|at| value(at) == Some(MISSING)));
                }
            }
        }
        missing
    }
}

/// As glibc has a directory: with one slash at its end.
fn with_slash(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    [&path[..end], b"/"].concat()
}

/// What is behind a directory in a path: nothing, or what begins with a slash.
fn behind<'a>(directory: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    path.strip_prefix(directory).filter(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
}

/// A path's directory, as loaders take it.
fn parent(path: &[u8]) -> Vec<u8> {
    Path::new(std::ffi::OsStr::from_bytes(path))
        .parent()
        .map_or_else(Vec::new, |parent| parent.as_os_str().as_bytes().to_vec())
}

/// A search path with the token replaced, as musl does it.
fn expanded(path: &[u8], origin: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = path;
    while let Some((&first, more)) = rest.split_first() {
        match TOKENS.iter().find_map(|token| rest.strip_prefix(*token)) {
            Some(more) => {
                text.extend(origin);
                rest = more;
            }
            None => {
                text.push(first);
                rest = more;
            }
        }
    }
    text
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_libraries_are_found_by_the_token() {
        for (path, library, found) in [
            ("$ORIGIN/lib", "/a/b/lib/x.so", true),
            ("/c:${ORIGIN}/../lib/", "/a/b/../lib/x.so", true),
            ("$ORIGIN", "/a/b/glibc-hwcaps/x86-64-v2/x.so", true),
            ("$ORIGIN/../$LIB", "/a/b/../lib64/x.so", true),
            ("$ORIGIN/lib", "/a/lib/x.so", false),
            ("/a/b/lib", "/a/b/lib/x.so", false),
        ] {
            let module = Module { paths: vec![path.into()], ..Module::default() };
            assert_eq!(module.leads_to(b"/a/b", library.as_bytes()), found, "{path} {library}");
        }
        assert_eq!(behind(b"/a/b", b"/a/b/c"), Some(&b"/c"[..]));
        assert_eq!(behind(b"/a/b", b"/a/b"), Some(&b""[..]));
        assert_eq!(behind(b"/a/b", b"/a/bc"), None);
        assert_eq!(expanded(b"$ORIGIN/x:/y:${ORIGIN}", b"/a"), b"/a/x:/y:/a");
    }
}
