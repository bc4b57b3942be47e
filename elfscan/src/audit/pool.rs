//! Files of a pool (`statify --pool`) that a converted program has mapped: whole libraries, each under the name of its SHA-256.
//!
//! Which files they are decides where modules are looked for, and what is said of other files; their bytes decide nothing: what
//! is in memory is compared with what the converted file stores.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;

use statify_elf::page_up;
use statify_format::manifest::Manifest;
use statify_process::procfs::Mapping;

use super::bases::Bases;
use super::process::{FileId, Process};
use crate::converted::pool::distrust;

/// What the kernel says behind the name of a file that has none any more (proc(5)).
const DELETED: &[u8] = b" (deleted)";

/// The files of a pool that a process has mapped.
#[derive(Debug, Default)]
pub struct Pool<'m> {
    /// The mappings of each, and the numbers of the embedded files that it is.
    files: BTreeMap<FileId, (Vec<&'m Mapping>, Vec<usize>)>,
}

impl<'m> Pool<'m> {
    /// Of the mapped files those that have a library's name, and that a start would take: of the right length, and nobody but
    /// root can have written them. (A directory may have got another name since, so that it does not count.) What cannot be
    /// looked at is believed.
    pub fn find(
        process: &Process,
        manifest: &Manifest,
        by_file: &HashMap<FileId, Vec<&'m Mapping>>,
    ) -> Self {
        let mut libraries: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (index, file) in manifest.files.iter().enumerate() {
            if file.pooled.is_some() {
                libraries.entry(file.sha256.as_bytes()).or_default().push(index);
            }
        }
        let mut files = BTreeMap::new();
        if libraries.is_empty() {
            return Self { files };
        }
        let root = process.root_user();
        for (file, mappings) in by_file {
            let Some(first) = mappings.first() else { continue };
            let path = first.name.strip_suffix(DELETED).unwrap_or(&first.name);
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let Some(indices) = libraries.get(name) else { continue };
            let len =
                indices.first().and_then(|&index| manifest.files.get(index)).map(|it| it.size);
            let is_one = process.open_mapped(first).and_then(|(file, _)| file.metadata());
            let is_one = is_one.map_or(true, |stat| {
                let others = |root| distrust(stat.uid(), stat.mode(), root).is_some();
                Some(stat.len()) == len && !(others(root) && others(0))
            });
            if is_one {
                files.insert(*file, (mappings.clone(), indices.clone()));
            }
        }
        Self { files }
    }

    /// All.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        self.files.keys().copied()
    }

    /// Those that are an embedded file, by its number.
    pub fn of(&self, index: usize) -> Vec<FileId> {
        let own = self.files.iter().filter(|(_, (_, indices))| indices.contains(&index));
        own.map(|(file, _)| *file).collect()
    }

    /// Embedded files, by their numbers, and the mappings of each.
    pub fn by_index(&self) -> impl Iterator<Item = (usize, &[&Mapping])> {
        self.files.values().flat_map(|(mappings, indices)| {
            indices.iter().map(|&index| (index, mappings.as_slice()))
        })
    }

    /// Whether a mapping of one of these files is where a module has its bytes.
    pub fn belongs(&self, manifest: &Manifest, bases: &Bases, mapping: &Mapping) -> bool {
        let Some((_, indices)) = FileId::of(mapping).and_then(|file| self.files.get(&file)) else {
            return false;
        };
        let len = mapping.range.end - mapping.range.start;
        indices.iter().filter_map(|&index| Some((index, manifest.files.get(index)?))).any(
            |(index, file)| {
                let base = if file.fixed { 0 } else { bases.of(index) };
                let address = mapping.range.start.wrapping_sub(base);
                let end = page_up(file.size);
                let is_whole = mapping.offset.checked_add(len).is_some_and(|last| last <= end);
                is_whole
                    && file.memory.iter().any(|memory| {
                        let into = address.checked_sub(memory.address);
                        let into = into.filter(|into| *into < memory.size);
                        into.is_some_and(|into| {
                            memory.file_offset.and_then(|offset| offset.checked_add(into))
                                == Some(mapping.offset)
                        })
                    })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_POOL: FileId = FileId { device: (1, 2), inode: 3 };

    fn mapping(start: u64, len: u64, offset: u64) -> Mapping {
        let FileId { device, inode } = OF_POOL;
        let range = start..start + len;
        Mapping { range, prot: 5, shared: false, offset, device, inode, name: b"/p/aa".to_vec() }
    }

    /// A library of which the output has nothing mapped itself.
    #[test]
    fn a_base_is_known_by_the_pool_alone() {
        let manifest = Manifest::from_json(
            br#"{"version": "0", "options": {"fixed": false, "align": 4096, "aslr": "full",
                "seal": "never", "bound": true, "host_libs": "allow", "pool": "/p",
                "cpu": {"least": "x86-64", "prepared": [], "chosen_at_start": false}},
                "files": [{"kind": "library", "path": "/l", "size": 12288, "sha256": "aa",
                "address": 65536, "pooled": "00", "stored_blake3": "", "memory": [
                {"address": 65536, "size": 8192, "prot": "r-x", "file_offset": 4096,
                "stored_at": 40960}]}], "memory": []}"#,
        );
        let manifest = manifest.unwrap();
        let found = mapping(0x7000_0001_0000, 8192, 4096);
        let files = BTreeMap::from([(OF_POOL, (vec![&found], vec![0]))]);
        let pool = Pool { files };
        let bases = Bases::find(&manifest, &[], pool.by_index());
        assert_eq!(bases, Bases(vec![0x7000_0000_0000]));
        assert_eq!(pool.of(0), [OF_POOL]);
        assert!(pool.belongs(&manifest, &bases, &found));
        // Elsewhere, other pages of it, and more than there are.
        for (start, len, offset) in [
            (0x7000_0005_0000, 8192, 4096),
            (0x7000_0001_0000, 8192, 0),
            (0x7000_0001_0000, 16384, 4096),
        ] {
            assert!(!pool.belongs(&manifest, &bases, &mapping(start, len, offset)));
        }
        assert_eq!(Bases::find(&manifest, &[], Pool::default().by_index()), Bases(vec![0]));
    }
}
