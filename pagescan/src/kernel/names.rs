//! Where files are in their file systems, from the directory entries that the kernel has in memory (include/linux/dcache.h).

use std::collections::HashMap;

/// No path is deeper.
pub(super) const DEEPEST: usize = 2048;

/// Where a file is in its file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The path, beginning with `/`; empty if no name is known.
    pub path: Vec<u8>,
    /// Nothing leads to it any more.
    pub is_deleted: bool,
    /// It never was in a directory, as files in memory (memfd) are not.
    pub is_alone: bool,
}

/// A directory entry (struct dentry). Entries are known by their addresses.
pub(super) struct Entry {
    /// That of the directory; the root of a file system is its own.
    pub parent: u64,
    /// Its name.
    pub name: Vec<u8>,
    /// The inode it leads to.
    pub inode: u64,
    /// It can be found; deleted ones cannot.
    pub is_hashed: bool,
}

/// The way from the root of a file system to an entry of an inode. Nothing if it has been used for something else meanwhile.
pub(super) fn names(entries: &HashMap<u64, Entry>, first: u64, inode: u64) -> Names {
    let mut parts = Vec::new();
    let mut is_deleted = false;
    let mut at = first;
    loop {
        let Some(entry) = entries.get(&at) else { return Names::default() };
        if at == first && entry.inode != inode || parts.len() > DEEPEST {
            return Names::default();
        }
        if entry.parent == at {
            if at == first && entry.name != b"/" {
                let path = [b"/", &entry.name[..]].concat();
                return Names { path, is_deleted: true, is_alone: true };
            }
            break;
        }
        is_deleted |= !entry.is_hashed;
        parts.push(&entry.name[..]);
        at = entry.parent;
    }
    let mut path = Vec::new();
    for part in parts.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Names { path, is_deleted, is_alone: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(parent: u64, name: &str, is_hashed: bool) -> Entry {
        Entry { parent, name: name.into(), inode: 7, is_hashed }
    }

    #[test]
    fn paths_are_put_together() {
        let entries = HashMap::from([
            (1, entry(1, "/", false)),
            (2, entry(1, "usr", true)),
            (3, entry(2, "file", true)),
            (4, entry(2, "gone", false)),
            (5, entry(5, "memfd:x", false)),
            (6, entry(99, "lost", true)),
            (8, entry(9, "a", true)),
            (9, entry(8, "b", true)),
        ]);
        let path = |at| {
            let names = names(&entries, at, 7);
            (String::from_utf8(names.path).unwrap(), names.is_deleted, names.is_alone)
        };
        assert_eq!(path(3), ("/usr/file".into(), false, false));
        assert_eq!(path(4), ("/usr/gone".into(), true, false));
        assert_eq!(path(5), ("/memfd:x".into(), true, true));
        assert_eq!(path(1), ("/".into(), false, false));
        // Not all was there to be read, or it changed meanwhile: no path rather than a wrong one, and an end in any case.
        assert_eq!(path(6).0, "");
        assert_eq!(path(8).0, "");
        assert_eq!(names(&entries, 3, 8), Names::default());
    }
}
