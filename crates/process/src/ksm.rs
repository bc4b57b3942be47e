//! Merging of equal pages by the kernel (Documentation/admin-guide/mm/ksm.rst), which is on or off for the whole machine. So
//! it is taken by one run at a time, refused if somebody else uses it, and put back on every way out. Who is killed cannot put
//! it back: the lock's file says that it was ours, and the next run does.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use statify_files::trusted::{self, Way};
use statify_printable::path;

/// What `run` says.
const OFF: &str = "0";
const ON: &str = "1";
/// Off, and pages that were merged are not any more.
const UNMERGE: &str = "2";
/// What is in the lock's file while it is on by us.
const OURS: &[u8] = b"switched on by rootfs-tools boot\n";

/// Why it is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The kernel merges no pages.
    #[error("{name} is not there, so this kernel merges no equal pages (KSM)", name = path(.0))]
    Missing(PathBuf),
    /// Somebody else merges pages.
    #[error(
        "{name}: somebody else has switched KSM on, or it has merged pages; stop that (ksmtuned, for one; then write 2 and 0 there)",
        name = path(.0)
    )]
    InUse(PathBuf),
    /// Another program of these tools has it.
    #[error("{name}: another program uses KSM now, which there is one of for the whole machine; wait for its end", name = path(.0))]
    Taken(PathBuf),
    /// The lock cannot be had.
    #[error("{name}: KSM cannot be locked by it: {1}", name = path(.0))]
    Lock(PathBuf, #[source] io::Error),
    /// It cannot be switched.
    #[error("{name}: KSM cannot be switched there: {1}; only root can, so run it as root", name = path(.0))]
    Switch(PathBuf, #[source] io::Error),
}

/// Where it is switched.
#[derive(Clone, Debug)]
pub struct Places {
    /// The kernel's directory for it.
    pub kernel: PathBuf,
    /// The lock.
    pub lock: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { kernel: "/sys/kernel/mm/ksm".into(), lock: "/run/lock/rootfs-tools-ksm.lock".into() }
    }
}

/// It, as long as this lives ours. Off at first, and in the end.
#[derive(Debug)]
pub struct Ksm(Arc<Mutex<Taken>>);

/// By which it can be put back from elsewhere, such as when a signal has come.
#[derive(Clone, Debug)]
pub struct PutBack(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    kernel: PathBuf,
    lock: File,
    is_on: bool,
    /// It is put back, and nobody switches it on any more.
    is_over: bool,
}

impl Ksm {
    /// Takes it.
    pub fn take(places: &Places) -> Result<Self, Fault> {
        let run = places.kernel.join("run");
        let before = fs::read_to_string(&run).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Fault::Missing(run.clone()),
            _ => Fault::Switch(run.clone(), error),
        })?;
        let of_lock = |error| Fault::Lock(places.lock.clone(), error);
        let mut lock = open(&places.lock).map_err(of_lock)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Fault::Taken(places.lock.clone())),
            Err(errno) => return Err(of_lock(errno.into())),
        }
        let mut said = Vec::new();
        Read::by_ref(&mut lock)
            .take(OURS.len() as u64 + 1)
            .read_to_end(&mut said)
            .map_err(of_lock)?;
        let was_ours = said == OURS;
        let mut taken =
            Taken { kernel: places.kernel.clone(), lock, is_on: was_ours, is_over: false };
        if was_ours {
            // Of a run that was killed.
            taken.off().map_err(|error| Fault::Switch(run, error))?;
        } else if before.trim() != OFF || taken.number("pages_shared").unwrap_or(0) > 0 {
            return Err(Fault::InUse(run));
        }
        Ok(Self(Arc::new(Mutex::new(taken))))
    }

    /// For elsewhere.
    pub fn put_back(&self) -> PutBack {
        PutBack(self.0.clone())
    }

    /// Switches it on or off.
    pub fn switch(&self, on: bool) -> Result<(), Fault> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let switched = if on { taken.on() } else { taken.off() };
        switched.map_err(|error| Fault::Switch(taken.kernel.join("run"), error))
    }

    /// How often all pages were looked at since the machine began.
    pub fn full_scans(&self) -> u64 {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.number("full_scans").unwrap_or(0)
    }
}

impl Drop for Ksm {
    fn drop(&mut self) {
        PutBack(self.0.clone()).now();
    }
}

impl PutBack {
    /// Puts it back for good.
    pub fn now(&self) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.is_over = true;
        // Nobody is left to hear of it; the next run tries again.
        let _ = taken.off();
    }
}

impl Taken {
    /// What the kernel says of it.
    fn number(&self, name: &str) -> Option<u64> {
        fs::read_to_string(self.kernel.join(name)).ok()?.trim().parse().ok()
    }

    fn on(&mut self) -> io::Result<()> {
        if self.is_over {
            return Err(io::Error::other("it is put back already"));
        }
        self.say(OURS)?;
        self.is_on = true;
        fs::write(self.kernel.join("run"), ON)
    }

    fn off(&mut self) -> io::Result<()> {
        if !self.is_on {
            return Ok(());
        }
        // Others' pages that were merged meanwhile are their own again.
        fs::write(self.kernel.join("run"), UNMERGE)?;
        fs::write(self.kernel.join("run"), OFF)?;
        self.is_on = false;
        self.say(b"")
    }

    /// Writes it into the lock's file.
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.seek(SeekFrom::Start(0))?;
        self.lock.write_all(bytes)
    }
}

/// Opens the lock's file, or makes it: through no link, and only one's own, where nobody else can write to it.
fn open(path: &Path) -> io::Result<File> {
    let entry = trusted::parent(path, Way::Any)?;
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let file = rustix::fs::openat(&entry.parent.dir, &entry.name, flags, mode)?;
    let file = File::from(file);
    let stat = file.metadata()?;
    let is_own = stat.uid() == rustix::process::geteuid().as_raw();
    if !stat.is_file() || !is_own || trusted::others_write(&stat) || stat.nlink() != 1 {
        return Err(io::Error::other("it is not this user's own file; remove it"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands for the kernel's files.
    fn places(dir: &Path, run: &str) -> Places {
        let kernel = dir.join("ksm");
        fs::create_dir_all(&kernel).unwrap();
        for (name, text) in [("run", run), ("pages_shared", "0\n"), ("full_scans", "7\n")] {
            fs::write(kernel.join(name), text).unwrap();
        }
        Places { kernel, lock: dir.join("lock") }
    }

    fn run(places: &Places) -> String {
        fs::read_to_string(places.kernel.join("run")).unwrap().trim().to_owned()
    }

    #[test]
    fn it_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path(), "0\n");
        let ksm = Ksm::take(&places).unwrap();
        assert_eq!((run(&places).as_str(), ksm.full_scans()), ("0", 7));
        ksm.switch(true).unwrap();
        assert_eq!(run(&places), "1");
        assert!(matches!(Ksm::take(&places), Err(Fault::Taken(_))));
        ksm.switch(false).unwrap();
        assert_eq!(run(&places), "0");
        ksm.switch(true).unwrap();
        drop(ksm);
        assert_eq!(run(&places), "0");
        drop(Ksm::take(&places).unwrap());
    }

    #[test]
    fn a_panic_and_a_signal_put_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path(), "0\n");
        let ksm = Ksm::take(&places).unwrap();
        ksm.switch(true).unwrap();
        ksm.put_back().now();
        assert_eq!(run(&places), "0");
        assert!(ksm.switch(true).is_err(), "it is over");
        assert_eq!(run(&places), "0");
        drop(ksm);
        let panic = std::panic::catch_unwind(|| {
            let ksm = Ksm::take(&places).unwrap();
            ksm.switch(true).unwrap();
            panic!("on purpose");
        });
        assert!(panic.is_err());
        assert_eq!(run(&places), "0");
    }

    #[test]
    fn somebody_elses_stays() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path(), "1\n");
        assert!(matches!(Ksm::take(&places), Err(Fault::InUse(_))));
        assert_eq!(run(&places), "1");
        // Off, but with pages that are merged.
        fs::write(places.kernel.join("run"), "0\n").unwrap();
        fs::write(places.kernel.join("pages_shared"), "3\n").unwrap();
        assert!(matches!(Ksm::take(&places), Err(Fault::InUse(_))));
        fs::remove_dir_all(&places.kernel).unwrap();
        assert!(matches!(Ksm::take(&places), Err(Fault::Missing(_))));
    }

    #[test]
    fn what_a_killed_run_left_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path(), "0\n");
        let ksm = Ksm::take(&places).unwrap();
        ksm.switch(true).unwrap();
        // As if it were killed: the lock is free, and nothing else was done.
        let taken = ksm.0.lock().unwrap();
        flock(&taken.lock, FlockOperation::Unlock).unwrap();
        drop(taken);
        std::mem::forget(ksm);
        assert_eq!(run(&places), "1");
        let next = Ksm::take(&places).unwrap();
        assert_eq!(run(&places), "0");
        drop(next);
        assert_eq!(fs::read(&places.lock).unwrap(), b"");
    }

    #[test]
    fn the_lock_is_no_link_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path(), "0\n");
        fs::write(dir.path().join("precious"), OURS).unwrap();
        std::os::unix::fs::symlink("precious", &places.lock).unwrap();
        assert!(matches!(Ksm::take(&places), Err(Fault::Lock(..))));
        fs::remove_file(&places.lock).unwrap();
        fs::hard_link(dir.path().join("precious"), &places.lock).unwrap();
        assert!(matches!(Ksm::take(&places), Err(Fault::Lock(..))));
    }
}
