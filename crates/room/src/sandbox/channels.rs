//! Files by which processes meet that have nothing else in common: FIFOs and sockets. No namespace confines them, and
//! neither does a read-only mount, so those that a tree has are covered in a room.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;

use walkdir::WalkDir;

use super::mounts;
use crate::root::Root;

/// Those in `root`, by their paths inside; none of this machine's. Where the kernel shows itself (/proc, /sys) nothing
/// is looked for, nor where the caller may not look.
pub fn channels(root: &Root) -> std::io::Result<Vec<CString>> {
    let Some((_, directory)) = root.directory() else {
        return Ok(Vec::new());
    };
    let below = mounts::below(&std::fs::read("/proc/self/mountinfo")?, directory);
    let hidden = |path: &[u8]| below.iter().any(|mount| mount.hidden && mount.point == path);
    let inside = |path: &std::path::Path| {
        let path = path.strip_prefix(directory).unwrap_or(path).as_os_str().as_bytes();
        [b"/", path].concat()
    };
    let walk = WalkDir::new(directory).min_depth(1).into_iter();
    let entries = walk.filter_entry(|entry| !hidden(&inside(entry.path())));
    let found = entries.flatten().filter(|entry| {
        let kind = entry.file_type();
        kind.is_fifo() || kind.is_socket()
    });
    Ok(found.filter_map(|entry| CString::new(inside(entry.path())).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifos_and_sockets_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/file"), "").unwrap();
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&path.join("a/b/fifo"), mode).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
        std::os::unix::fs::symlink("a/b/fifo", path.join("link")).unwrap();
        let mut found = channels(&Root::open(&path).unwrap()).unwrap();
        found.sort();
        assert_eq!(found, [c"/a/b/fifo".to_owned(), c"/socket".to_owned()]);
        assert!(channels(&Root::machine()).unwrap().is_empty());
    }
}
