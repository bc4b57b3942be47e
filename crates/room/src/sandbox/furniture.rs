//! What a program needs that is run to its end, beyond files: /proc, /dev, /tmp; and the converted
//! file in the original's place, or the other way round.

use std::ffi::{CStr, CString, NulError};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::root::SEARCH_PATH;

use super::calls::{change_directory, make_read_only, mount, open, open_directory, write};

/// The machine's, since a user namespace may not make any.
const DEVICES: [(&CStr, &CStr); 5] = [
    (c"null", c"/dev/null"),
    (c"zero", c"/dev/zero"),
    (c"full", c"/dev/full"),
    (c"random", c"/dev/random"),
    (c"urandom", c"/dev/urandom"),
];

/// What a program finds in its environment: the same on every machine.
pub const ENVIRONMENT: [(&str, &str); 9] = [
    ("PATH", SEARCH_PATH),
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
    ("USER", "nobody"),
    ("LOGNAME", "nobody"),
    ("SHELL", "/bin/sh"),
    ("LANG", "C.UTF-8"),
    ("TZ", "UTC"),
    ("TERM", "dumb"),
];

/// What is placed in a room; see there.
#[derive(Debug)]
pub struct Furniture {
    /// A file outside: its directory and its name there.
    file: [CString; 2],
    /// The path inside at which it is to be seen.
    at: CString,
}

impl Furniture {
    /// The file `file` of this machine in the place of `at`, a path inside, which may be the same.
    pub fn new(file: Option<&Path>, at: &Path) -> Result<Self, NulError> {
        let text = |path: &[u8]| CString::new(path);
        let parent = file.and_then(Path::parent).filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let name = file.and_then(Path::file_name).unwrap_or_default();
        Ok(Self {
            file: [text(parent.as_os_str().as_bytes())?, text(name.as_bytes())?],
            at: text(at.as_os_str().as_bytes())?,
        })
    }

    /// While the machine's files are still there: the directory of the file.
    pub(super) fn open_output(&self) -> Result<OwnedFd, Errno> {
        open_directory(&self.file[0])
    }

    /// Inside; `devices` is the machine's /dev, `directory` what [`Self::open_output`] returned.
    /// What has no place there, or is refused, is not there for original and converted alike.
    pub(super) fn place(
        &self,
        devices: Option<BorrowedFd<'_>>,
        directory: BorrowedFd<'_>,
    ) -> Result<(), Errno> {
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        let _ = mount(Some(c"proc"), c"/proc", Some(c"proc"), flags | libc::MS_NOEXEC, None);
        // The first to go when memory is short.
        let _ = write(c"/proc/self/oom_score_adj", b"1000");
        // Who is root in a user namespace owns what is below /proc/sys, without any capability.
        let _ = make_read_only(c"/proc", true);
        let size = Some(c"size=64m,nr_inodes=4k,mode=1777");
        let _ = mount(Some(c"none"), c"/tmp", Some(c"tmpfs"), flags, size);
        // Sockets of a running system, which no namespace confines, would be there.
        let none = Some(c"size=64k,mode=755");
        let _ = mount(Some(c"none"), c"/run", Some(c"tmpfs"), flags | libc::MS_NOEXEC, none);
        let size = Some(c"size=64k,mode=755");
        let made = mount(Some(c"none"), c"/dev", Some(c"tmpfs"), flags | libc::MS_NOEXEC, size);
        if let (Ok(()), Some(devices)) = (made, devices) {
            change_directory(devices)?;
            for (name, path) in DEVICES {
                let node = open(path, libc::O_CREAT | libc::O_WRONLY | libc::O_NOFOLLOW);
                if node.is_ok() {
                    let _ = mount(Some(name), path, None, libc::MS_BIND, None);
                }
            }
        }
        if self.file[1].is_empty() {
            return Ok(());
        }
        change_directory(directory)?;
        mount(Some(&self.file[1]), &self.at, None, libc::MS_BIND, None)?;
        // It is the user's own, and not to be changed by itself. A user namespace may not allow
        // execution where it was forbidden.
        make_read_only(&self.at, false).or_else(|_| make_read_only(&self.at, true))
    }
}
