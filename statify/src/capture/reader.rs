//! As whom a capture reads files. Root may read everything, and what its captures read may become part of an output
//! that everybody may read. So where the program or its loader is another user's, the traced process reads what that
//! user may, and the kernel sees to it: its file system user (credentials(7)) is that one.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use statify_process::Tracee;
use statify_room::root::Root;

/// A user and a group that owns nothing. What a group may read that the user is in is not known of another
/// root, so it does not count.
const NOBODY: u32 = 65534;
/// setfsuid(2) and setfsgid(2) tell the present id if they are given one that there is not.
const ASK: u64 = u32::MAX as u64;

/// Another user than root, as whom root reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader(u32);

impl std::fmt::Display for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "user {}", self.0)
    }
}

impl Reader {
    /// For a program of the user `owner` with this loader. `None`: as this process, which is not root's, or to
    /// which both belong.
    pub fn of(root: &Root, owner: u32, interpreter: &Path) -> io::Result<Option<Self>> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        let loader = root.find(interpreter)?.link().metadata()?.uid();
        Ok(Self::between(owner, loader))
    }

    fn between(program: u32, loader: u32) -> Option<Self> {
        match (program, loader) {
            (0, 0) => None,
            (0, one) | (one, 0) => Some(Self(one)),
            (one, other) if one == other => Some(Self(one)),
            // What one of them may read, the other may not get.
            _ => Some(Self(NOBODY)),
        }
    }

    /// Whether the user may read this file, and find it.
    pub fn may_read(self, root: &Root, path: &Path) -> io::Result<()> {
        let attempt = || {
            become_reader(self.0);
            let found = root.find(path)?;
            std::fs::File::open(found.link()).map(drop)
        };
        let dumpable = nix::sys::prctl::get_dumpable();
        // Rights are a thread's.
        let result = std::thread::scope(|scope| scope.spawn(attempt).join());
        if dumpable == Ok(true) {
            let _ = nix::sys::prctl::set_dumpable(true);
        }
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the program or it is user {}'s, who may not read it", self.0),
            )
        })
    }

    /// From here on the process, which is at its first instruction, reads as this user. In a user namespace that
    /// does not have the user, root is not the machine's, and remains what it is.
    pub fn enter(self, tracee: &mut Tracee, syscall_at: u64) -> Result<(), Errno> {
        let mut call = |number, args: [u64; 2]| {
            tracee.call(syscall_at, number, [args[0], args[1], 0, 0, 0, 0])
        };
        call(libc::SYS_setgroups, [0, 0])?;
        call(libc::SYS_setfsgid, [u64::from(NOBODY), 0])?;
        call(libc::SYS_setfsuid, [u64::from(self.0), 0])?;
        // Otherwise its memory would be closed to a root without CAP_SYS_PTRACE, as in containers.
        call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 1])?;
        let now = call(libc::SYS_setfsuid, [ASK, 0])?;
        let is_there = now == i64::from(self.0) || !is_mapped(self.0);
        if is_there { Ok(()) } else { Err(Errno::EPERM) }
    }
}

/// This thread and no other.
fn become_reader(user: u32) {
    // SAFETY: numbers, and an empty list. Not setgroups(3), which is for all threads.
    unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>());
        libc::syscall(libc::SYS_setfsgid, NOBODY);
        libc::syscall(libc::SYS_setfsuid, user);
    }
}

/// Whether this user namespace has the user.
fn is_mapped(user: u32) -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map");
    // Without /proc nothing is traced, either.
    map.is_ok_and(|map| has(&map, user))
}

fn has(map: &str, user: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), _, Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&u64::from(user))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_rights_count() {
        let of = |program, loader| Reader::between(program, loader).map(|reader| reader.0);
        assert_eq!(of(0, 0), None);
        assert_eq!(of(1000, 0), Some(1000));
        assert_eq!(of(0, 1000), Some(1000));
        assert_eq!(of(1000, 1000), Some(1000));
        assert_eq!(of(1000, 1001), Some(NOBODY));
    }

    #[test]
    fn maps_of_user_namespaces() {
        assert!(has("         0          0 4294967295\n", 65534));
        assert!(has("0 1000 1\n1 100000 65536\n", 65534));
        assert!(!has("         0       1000          1\n", 65534));
        assert!(!has("", 0));
    }
}
