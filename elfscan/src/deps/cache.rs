//! `/etc/ld.so.cache`: the libraries that ldconfig found, by name (glibc's
//! sysdeps/generic/dl-cache.h: the old format, the new one, and the new one behind the old; the
//! extension that says which entries are of `glibc-hwcaps` subdirectories).

use std::collections::HashMap;
use std::ops::Range;

use statify_elf::machine::CacheFlags;

/// Where it lies.
pub const CACHE_FILE: &str = "/etc/ld.so.cache";
/// One of a hundred thousand libraries has some 10 MiB; none is longer, in bytes.
pub const LONGEST_CACHE: u64 = 256 << 20;

const MAGIC_OLD: &[u8] = b"ld.so-1.7.0";
const MAGIC_NEW: &[u8] = b"glibc-ld.so.cache1.1";
/// In bytes: magic and, at the next multiple of four, the number of entries.
const HEADER_OLD: usize = 16;
/// Flags, name, path.
const ENTRY_OLD: usize = 12;
/// Magic, number of entries, size of the strings, flags, offset of the extensions.
const HEADER_NEW: usize = 48;
/// The same, version of the system, capabilities.
const ENTRY_NEW: usize = 24;
const EXTENSION_MAGIC: u32 = -358_342_284i32 as u32;
const EXTENSION_HWCAPS: u32 = 1;
/// In an entry's capabilities: the low half is the index of a subdirectory, bits 32 to 41 are the
/// level of instructions that the library says it needs.
const HWCAP_EXTENSION: u32 = 1 << 30;
const ISA_LEVEL_MASK: u32 = 0x3ff;

/// What a loader takes of the entries that need something of the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The subdirectories of `glibc-hwcaps` that it searches, the best first; empty also for
    /// loaders that know none.
    pub subdirectories: Vec<String>,
    /// The highest level of instructions (0 for x86-64, 3 for x86-64-v4).
    pub isa_level: u32,
    /// The bits of the older scheme that it has; `None` for loaders that take no such entry.
    pub legacy: Option<u64>,
    /// Its platform as a bit of that scheme; 0 for none that it knows.
    pub platform: u64,
}

/// The bits of the older scheme that are a platform, and the one for `tls` (glibc up to 2.36,
/// sysdeps/x86/dl-procinfo.h, sysdeps/generic/dl-hwcaps.h).
pub const LEGACY_PLATFORM: u64 = 0xf << 48;
const LEGACY_TLS: u64 = 1 << 63;

/// A parsed cache.
#[derive(Debug, Default)]
pub struct Cache {
    bytes: Vec<u8>,
    /// By name, in the file's order.
    entries: HashMap<Box<[u8]>, Vec<Entry>>,
    /// The names of `glibc-hwcaps` subdirectories, by index.
    subdirectories: Vec<Range<usize>>,
}

#[derive(Clone, Debug)]
struct Entry {
    flags: u32,
    path: Range<usize>,
    /// Low and high half; `None` in the old format.
    hwcap: Option<[u32; 2]>,
}

/// A library that a cache names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached<'a> {
    /// Where it is.
    pub path: &'a [u8],
    /// The subdirectory of `glibc-hwcaps` that ldconfig found it in.
    pub subdirectory: Option<&'a [u8]>,
}

/// What a cache says of a name, as far as loaders look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The kind of library.
    pub flags: u32,
    /// Where it is.
    pub path: &'a [u8],
    /// What it needs of the CPU, low and high half; `None` in the old format.
    pub hwcap: Option<[u32; 2]>,
    /// The subdirectory of `glibc-hwcaps` that it was found in.
    pub subdirectory: Option<&'a [u8]>,
}

/// A cache's numbers, in the byte order of the machine that it is for.
#[derive(Clone, Copy)]
struct Words<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Words<'_> {
    fn get(&self, at: usize) -> Option<u32> {
        let word = self.bytes.get(at..)?.first_chunk().copied()?;
        Some(if self.little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) })
    }
}

impl Cache {
    /// Reads a whole file for loaders of a byte order. What no loader would take is as if the file
    /// were empty.
    pub fn parse(bytes: &[u8], is_little_endian: bool) -> Self {
        Self::read(bytes, is_little_endian).unwrap_or_default()
    }

    /// The same; `None` if no loader would take it for a cache.
    pub fn read(bytes: &[u8], is_little_endian: bool) -> Option<Self> {
        read(bytes, is_little_endian)
    }

    /// All that it says of a name, in its order: whatever the loader and the CPU, nothing else decides
    /// what [`Cache::find`] finds.
    pub fn lines(&self, name: &[u8]) -> impl Iterator<Item = Line<'_>> {
        self.entries.get(name).into_iter().flatten().map(|entry| Line {
            flags: entry.flags,
            path: &self.bytes[entry.path.clone()],
            hwcap: entry.hwcap,
            subdirectory: self.subdirectory(entry),
        })
    }

    fn subdirectory(&self, entry: &Entry) -> Option<&[u8]> {
        let range = self.subdirectories.get(entry.named()?.index as usize)?;
        Some(&self.bytes[range.clone()])
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry that a loader takes (elf/dl-cache.c, `search_cache`).
    pub fn find(
        &self,
        name: &[u8],
        flags: CacheFlags,
        capabilities: &Capabilities,
    ) -> Option<Cached<'_>> {
        let mut best: Option<(usize, Cached<'_>)> = None;
        let mut found = None;
        for entry in self.entries.get(name)? {
            if !flags.accepted.contains(&entry.flags) {
                continue;
            }
            let path = &self.bytes[entry.path.clone()];
            if let Some(named) = entry.named() {
                let subdirectory = self.subdirectory(entry);
                let known = capabilities.subdirectories.iter();
                let priority = known
                    .map(String::as_bytes)
                    .position(|known| Some(known) == subdirectory)
                    .filter(|_| named.isa_level <= capabilities.isa_level);
                if let Some(priority) = priority
                    && best.as_ref().is_none_or(|(best, _)| priority < *best)
                {
                    best = Some((priority, Cached { path, subdirectory }));
                }
                continue;
            }
            // Those of subdirectories come first.
            if best.is_some() {
                break;
            }
            if !entry.is_allowed(capabilities) {
                continue;
            }
            found = Some(Cached { path, subdirectory: None });
            if entry.flags == flags.exact {
                break;
            }
        }
        best.map(|(_, cached)| cached).or(found)
    }
}

struct Named {
    index: u32,
    isa_level: u32,
}

impl Entry {
    fn named(&self) -> Option<Named> {
        let [index, high] = self.hwcap?;
        (high & !ISA_LEVEL_MASK == HWCAP_EXTENSION)
            .then_some(Named { index, isa_level: high & ISA_LEVEL_MASK })
    }

    fn is_allowed(&self, capabilities: &Capabilities) -> bool {
        let Some([low, high]) = self.hwcap else { return true };
        let hwcap = u64::from(high) << 32 | u64::from(low);
        let Some(own) = capabilities.legacy else { return hwcap == 0 };
        let platform = hwcap & LEGACY_PLATFORM;
        hwcap & !(own | LEGACY_PLATFORM | LEGACY_TLS) == 0
            && (platform == 0 || platform == capabilities.platform)
    }
}

fn read(bytes: &[u8], little: bool) -> Option<Cache> {
    if bytes.starts_with(MAGIC_NEW) {
        return read_new(bytes, 0, little);
    }
    if !bytes.starts_with(MAGIC_OLD) {
        return None;
    }
    let words = Words { bytes, little };
    let count = words.get(12)? as usize;
    let strings = HEADER_OLD.checked_add(count.checked_mul(ENTRY_OLD)?)?;
    if strings > bytes.len() {
        return None;
    }
    let new = strings.next_multiple_of(8);
    if bytes.get(new..).is_some_and(|rest| rest.starts_with(MAGIC_NEW)) {
        return read_new(bytes, new, little);
    }
    Some(collect(words, HEADER_OLD, ENTRY_OLD, count, strings))
}

/// The new format from `start` on, where its strings are counted from.
fn read_new(bytes: &[u8], start: usize, little: bool) -> Option<Cache> {
    let words = Words { bytes, little };
    let count = words.get(start + 20)? as usize;
    let order = bytes.get(start + 28)? & 3;
    if order != 0 && order != if little { 2 } else { 3 } {
        return None;
    }
    let libraries = start + HEADER_NEW;
    if bytes.len().checked_sub(libraries)? / ENTRY_NEW < count {
        return None;
    }
    let mut cache = collect(words, libraries, ENTRY_NEW, count, start);
    cache.subdirectories = read_subdirectories(words, start).unwrap_or_default();
    Some(cache)
}

fn collect(words: Words<'_>, start: usize, size: usize, count: usize, strings: usize) -> Cache {
    let mut entries: HashMap<Box<[u8]>, Vec<Entry>> = HashMap::new();
    for index in 0..count {
        let at = start + index * size;
        let word = |field: usize| words.get(at + 4 * field);
        let (Some(flags), Some(name), Some(path)) = (word(0), word(1), word(2)) else { break };
        let string = |offset: u32| string_at(words.bytes, strings.checked_add(offset as usize)?);
        let (Some(name), Some(path)) = (string(name), string(path)) else { continue };
        let hwcap = (size == ENTRY_NEW).then(|| [word(4), word(5)].map(Option::unwrap_or_default));
        let entry = Entry { flags, path, hwcap };
        entries.entry(words.bytes[name].into()).or_default().push(entry);
    }
    Cache { bytes: words.bytes.to_vec(), entries, subdirectories: Vec::new() }
}

/// The extension whose sections are (tag, flags, offset, size).
fn read_subdirectories(words: Words<'_>, start: usize) -> Option<Vec<Range<usize>>> {
    // All offsets here count from the file's start, not from where the new format begins.
    let directory = words.get(start + 32)? as usize;
    if directory == 0 || words.get(directory)? != EXTENSION_MAGIC {
        return None;
    }
    let count = words.get(directory.checked_add(4)?)? as usize;
    let room = words.bytes.len().checked_sub(directory)? / 16;
    let section = (0..count.min(room))
        .map(|index| directory + 8 + 16 * index)
        .find(|&section| words.get(section) == Some(EXTENSION_HWCAPS))?;
    let (at, size) = (words.get(section + 8)? as usize, words.get(section + 12)? as usize);
    let count = (size / 4).min(words.bytes.len() / 4);
    (0..count)
        .map(|index| {
            let offset = words.get(at.checked_add(4 * index)?)? as usize;
            string_at(words.bytes, offset)
        })
        .collect()
}

/// Where the string is that begins there; none is longer than a path.
fn string_at(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let len = rest.iter().take(libc::PATH_MAX as usize).position(|&byte| byte == 0)?;
    Some(start..start + len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLAGS: CacheFlags = CacheFlags { accepted: [0x303; 2], exact: 0x303 };

    /// A cache in the new format: entries are (flags, hwcap, name, path).
    fn new_format(entries: &[(u32, u64, &str, &str)], subdirectories: &[&str]) -> Vec<u8> {
        let mut strings = Vec::new();
        let strings_at = HEADER_NEW + ENTRY_NEW * entries.len();
        let mut add = |text: &str| {
            let at = strings_at + strings.len();
            strings.extend(text.as_bytes());
            strings.push(0);
            at as u32
        };
        let mut bytes = MAGIC_NEW.to_vec();
        let mut table = Vec::new();
        for (flags, hwcap, name, path) in entries {
            for word in [*flags, add(name), add(path), 0] {
                table.extend(word.to_le_bytes());
            }
            table.extend(hwcap.to_le_bytes());
        }
        let named: Vec<u32> = subdirectories.iter().map(|name| add(name)).collect();
        let extension = (strings_at + strings.len()).next_multiple_of(4);
        for word in [entries.len() as u32, strings.len() as u32, 2, extension as u32, 0, 0, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(table);
        bytes.extend(strings);
        bytes.resize(extension, 0);
        let size = 4 * named.len() as u32;
        for word in [EXTENSION_MAGIC, 1, EXTENSION_HWCAPS, 0, extension as u32 + 24, size] {
            bytes.extend(word.to_le_bytes());
        }
        named.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes
    }

    fn named(index: u64, isa_level: u64) -> u64 {
        1 << 62 | isa_level << 32 | index
    }

    #[test]
    fn the_best_subdirectory_that_the_cpu_has() {
        let entries = [
            (0x303, named(1, 0), "liba.so.1", "/l/glibc-hwcaps/v3/liba.so.1"),
            (0x303, named(0, 0), "liba.so.1", "/l/glibc-hwcaps/v2/liba.so.1"),
            (0x303, 0, "liba.so.1", "/l/liba.so.1"),
            (3, 0, "liba.so.1", "/l32/liba.so.1"),
            (0x303, named(1, 3), "libb.so.1", "/l/glibc-hwcaps/v3/libb.so.1"),
            (0x303, 0, "libb.so.1", "/l/libb.so.1"),
        ];
        let cache = Cache::parse(&new_format(&entries, &["v2", "v3"]), true);
        assert_eq!(cache.len(), 6);
        let ask = |name: &str, known: &[&str], isa_level| {
            let subdirectories = known.iter().map(|&name| name.to_owned()).collect();
            let capabilities = Capabilities { subdirectories, isa_level, ..Default::default() };
            let cached = cache.find(name.as_bytes(), FLAGS, &capabilities)?;
            Some(String::from_utf8_lossy(cached.path).into_owned())
        };
        let found = |path: &str| Some(path.to_owned());
        assert_eq!(ask("liba.so.1", &["v3", "v2"], 3), found("/l/glibc-hwcaps/v3/liba.so.1"));
        assert_eq!(ask("liba.so.1", &["v2"], 1), found("/l/glibc-hwcaps/v2/liba.so.1"));
        assert_eq!(ask("liba.so.1", &[], 0), found("/l/liba.so.1"));
        // One that says that it needs more than its directory does.
        assert_eq!(ask("libb.so.1", &["v3", "v2"], 2), found("/l/libb.so.1"));
        assert_eq!(ask("libc.so.1", &["v3"], 3), None);
        let other = CacheFlags { accepted: [1, 3], exact: 3 };
        let cached = cache.find(b"liba.so.1", other, &Capabilities::default());
        assert_eq!(cached.map(|cached| cached.path), Some(&b"/l32/liba.so.1"[..]));
    }

    #[test]
    fn all_lines_of_a_name() {
        let entries = [
            (0x303, named(0, 1), "liba.so.1", "/l/glibc-hwcaps/v2/liba.so.1"),
            (3, 7 << 32, "libb.so.1", "/l/libb.so.1"),
            (0x303, 7 << 32, "liba.so.1", "/l/liba.so.1"),
        ];
        let cache = Cache::read(&new_format(&entries, &["v2"]), true).unwrap();
        let lines: Vec<_> = cache.lines(b"liba.so.1").collect();
        let plain =
            Line { flags: 0x303, path: b"/l/liba.so.1", hwcap: Some([0, 7]), subdirectory: None };
        let path = b"/l/glibc-hwcaps/v2/liba.so.1";
        let hwcap = Some([0, HWCAP_EXTENSION | 1]);
        assert_eq!(lines, [Line { path, hwcap, subdirectory: Some(b"v2"), ..plain }, plain]);
        assert_eq!(cache.lines(b"libc.so.1").count(), 0);
        assert!(Cache::read(b"/lib:/usr/lib", true).is_none());
    }

    #[test]
    fn this_machine_s_own() {
        let Ok(bytes) = std::fs::read(CACHE_FILE) else {
            return;
        };
        let cache = Cache::parse(&bytes, cfg!(target_endian = "little"));
        assert!(cache.lines(b"libc.so.6").any(|line| line.path.starts_with(b"/")));
    }

    #[test]
    fn entries_of_the_older_scheme() {
        let haswell = 1u64 << 50;
        let entries = [
            (0x303, haswell, "liba.so.1", "/l/haswell/liba.so.1"),
            (0x303, 0, "liba.so.1", "/l/liba.so.1"),
        ];
        let cache = Cache::parse(&new_format(&entries, &[]), true);
        let ask = |legacy, platform| {
            let capabilities = Capabilities { legacy, platform, ..Default::default() };
            cache.find(b"liba.so.1", FLAGS, &capabilities).unwrap().path
        };
        assert_eq!(ask(None, 0), b"/l/liba.so.1");
        assert_eq!(ask(Some(2), haswell), b"/l/haswell/liba.so.1");
        assert_eq!(ask(Some(2), 1 << 51), b"/l/liba.so.1");
    }

    #[test]
    fn the_old_format_alone_and_before_the_new() {
        let strings = b"liba.so.1\0/old/liba.so.1\0";
        let mut old = MAGIC_OLD.to_vec();
        old.push(0);
        for word in [1u32, 3, 0, 10] {
            old.extend(word.to_le_bytes());
        }
        let head = old.clone();
        old.extend(strings);
        let flags = CacheFlags { accepted: [1, 3], exact: 3 };
        let cache = Cache::parse(&old, true);
        let found = cache.find(b"liba.so.1", flags, &Capabilities::default());
        assert_eq!(found.unwrap().path, b"/old/liba.so.1");
        let mut both = head;
        both.resize(both.len().next_multiple_of(8), 0);
        both.extend(new_format(&[(0x303, 0, "liba.so.1", "/new/liba.so.1")], &[]));
        let cache = Cache::parse(&both, true);
        let found = cache.find(b"liba.so.1", FLAGS, &Capabilities::default());
        assert_eq!(found.unwrap().path, b"/new/liba.so.1");
        // The other byte order is no cache at all.
        assert!(Cache::parse(&both, false).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_cache(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
            len in any::<prop::sample::Index>(),
            little: bool,
        ) {
            let entries = [(0x303, named(0, 0), "liba.so.1", "/l/liba.so.1"), (3, 0, "a", "b")];
            let mut bytes = new_format(&entries, &["v2"]);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(len.index(bytes.len() + 1));
            let cache = Cache::parse(&bytes, little);
            let _ = cache.find(b"liba.so.1", FLAGS, &Capabilities::default());
            assert!(cache.lines(b"liba.so.1").count() <= cache.len());
        }
    }
}
