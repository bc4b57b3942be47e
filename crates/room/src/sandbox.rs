//! A room for code out of another root (`--root`): namespaces of its own, in which that root is all
//! there is, and read-only.
//!
//! | of the machine | what stands against it |
//! |---|---|
//! | its files | the directory becomes the root of a private mount namespace, the old one is detached |
//! | what is mounted in the directory of the machine's own: /proc, /sys, /dev, sockets | covered ([`mounts`]) |
//! | what its processes listen to by name: FIFOs, sockets | those in the directory are covered ([`channels`]), or opened by no call (captures) |
//! | writing | every mount read-only and without devices; the capture's own filter besides |
//! | processes | a process id namespace; the tracer, outside of it, sees into it; a session of its own |
//! | network, abstract sockets, System V IPC, host name | a namespace each |
//! | root's rights | all capabilities but those to read are given up; all of them by what is run to its end |
//! | what no namespace confines, and namespaces, which give rights | system calls by list ([`system_calls`]) |
//! | time, memory | [`Limits`], of each process; [`memory`], of all together |
//!
//! Without the right to make namespaces (CAP_SYS_ADMIN) they are made in a user namespace, in which
//! the user remains the same.

mod by_machine;
mod calls;
mod channels;
mod furniture;
mod limits;
mod memory;
pub mod mounts;
mod run;
mod system_calls;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;
use statify_process::spawn;

pub use channels::channels;
pub use furniture::{ENVIRONMENT, Furniture};
pub use limits::Limits;
pub use run::{Course, Teller, run_inside};

use self::calls::{change_directory, gone, make_read_only, mount, open_directory, write};
use self::memory::Meter;
use crate::error::Error;
use crate::root::Root;

/// The name of the host that is seen inside.
const HOST_NAME: &[u8] = b"localhost";
/// What every new process gets.
const NAMESPACES: i32 =
    libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
/// Capabilities that root keeps (linux/capability.h): files may be root's only by the first two, and
/// by the others the tracer has another user's program read as that user. No code of the program's can
/// make such calls: the filter has them made by the tracer only.
const KEPT: [libc::c_ulong; 4] = [CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETGID, CAP_SETUID];
const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
const CAP_DAC_READ_SEARCH: libc::c_ulong = 2;
const CAP_SETGID: libc::c_ulong = 6;
const CAP_SETUID: libc::c_ulong = 7;
/// A mount point that every machine has, and that is needed no more once the room is made.
const STAGE: &CStr = c"/proc";

/// All that is needed to enter the room, made before: a process that has just been forked from one
/// with threads may make system calls, and nothing else.
#[derive(Debug)]
pub struct Sandbox {
    directory: OwnedFd,
    directory_no_exec: bool,
    /// `/proc/self/uid_map` and `gid_map`: the user itself.
    maps: [Vec<u8>; 2],
    /// What becomes an empty directory.
    covered: Vec<CString>,
    /// What becomes read-only besides the root; whether it has `noexec`.
    mounts: Vec<(CString, bool)>,
    /// This process, to see in the child that it is still there.
    parent: Option<OwnedFd>,
    furniture: Option<Furniture>,
    /// FIFOs and sockets that are not to be met.
    channels: Vec<CString>,
    limits: Option<Limits>,
}

/// What [`Sandbox::fork`] returns.
pub enum Forked<'a> {
    /// In the parent: the child's process id, as the parent sees it.
    Parent(Pid),
    /// In the child: the way in.
    Child(Entrance<'a>),
}

/// A process in namespaces of its own that are not furnished yet.
#[derive(Clone, Copy)]
pub struct Entrance<'a> {
    sandbox: &'a Sandbox,
    user_namespace: bool,
}

impl Sandbox {
    /// A room with `root` in it; `None` if that is this machine's.
    pub fn of(root: &Root) -> io::Result<Option<Self>> {
        let Some((directory, path)) = root.directory() else {
            return Ok(None);
        };
        let below = mounts::below(&std::fs::read("/proc/self/mountinfo")?, path);
        let point = |mount: &mounts::Mount| CString::new(mount.point.as_slice());
        let covered = below.iter().filter(|m| m.hidden).map(point).collect::<Result<_, _>>()?;
        let seen = below.iter().filter(|m| !m.hidden);
        let mounts =
            seen.map(|m| Ok((point(m)?, m.no_exec))).collect::<Result<_, std::ffi::NulError>>()?;
        let flags = nix::sys::statvfs::fstatvfs(directory)?.flags();
        let map = |id: u32| format!("{id} {id} 1").into_bytes();
        let this = rustix::process::pidfd_open(
            rustix::process::getpid(),
            rustix::process::PidfdFlags::empty(),
        );
        Ok(Some(Self {
            directory: directory.try_clone_to_owned()?,
            directory_no_exec: flags.contains(nix::sys::statvfs::FsFlags::ST_NOEXEC),
            maps: [map(nix::unistd::geteuid().as_raw()), map(nix::unistd::getegid().as_raw())],
            covered,
            mounts,
            parent: this.ok(),
            furniture: None,
            channels: Vec::new(),
            limits: None,
        }))
    }

    /// With what a program needs that is run to its end.
    pub fn furnished(self, furniture: Furniture) -> Self {
        Self { furniture: Some(furniture), ..self }
    }

    /// Without these files in it ([`channels`]).
    pub fn without(self, channels: Vec<CString>) -> Self {
        Self { channels, ..self }
    }

    /// For a program that may consume so much.
    pub fn limited(self, limits: Limits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// fork(2), the child being process 1 of new namespaces.
    ///
    /// # Safety
    /// Until it executes a program or ends, the child makes system calls only.
    pub unsafe fn fork(&self) -> nix::Result<Forked<'_>> {
        self.in_namespaces(|flags, entrance| {
            // SAFETY: without a stack of its own the child goes on with a copy of this one, as
            // after fork(2); the caller answers for what it does there.
            let pid = unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) };
            Errno::result(pid).map(|pid| match pid {
                0 => Forked::Child(entrance),
                pid => Forked::Parent(Pid::from_raw(pid as i32)),
            })
        })
    }

    /// As [`spawn`], the child being process 1 of new namespaces.
    ///
    /// # Safety
    /// As that of [`spawn`].
    pub unsafe fn spawn(&self, child: &mut dyn FnMut(Entrance<'_>) -> i32) -> nix::Result<Pid> {
        self.in_namespaces(|flags, entrance| {
            // SAFETY: the caller answers for it.
            unsafe { spawn(flags, &mut || child(entrance)) }
        })
    }

    /// Makes a process with the flags for clone(2): in a user namespace where others may not be made
    /// without.
    fn in_namespaces<'a, T>(
        &'a self,
        mut make: impl FnMut(i32, Entrance<'a>) -> nix::Result<T>,
    ) -> nix::Result<T> {
        match make(NAMESPACES, Entrance { sandbox: self, user_namespace: false }) {
            Err(Errno::EPERM) => {
                let entrance = Entrance { sandbox: self, user_namespace: true };
                make(NAMESPACES | libc::CLONE_NEWUSER, entrance)
            }
            other => other,
        }
    }

    /// Whether the process that made this has ended; getppid(2) does not tell across process id
    /// namespaces.
    fn is_orphan(&self) -> bool {
        let Some(parent) = &self.parent else {
            return false;
        };
        let mut poll = libc::pollfd { fd: parent.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, of this frame.
        unsafe { libc::poll(&mut poll, 1, 0) > 0 }
    }
}

impl Entrance<'_> {
    /// Makes the room and enters it: afterwards the directory is the root, and nothing else is there. Returns
    /// what asks for the memory of all that is inside, where that is limited and can be asked for.
    pub fn enter(&self) -> Result<Option<Meter>, Errno> {
        let sandbox = self.sandbox;
        if self.user_namespace {
            write(c"/proc/self/setgroups", b"deny")?;
            write(c"/proc/self/uid_map", &sandbox.maps[0])?;
            write(c"/proc/self/gid_map", &sandbox.maps[1])?;
            // In this one there are no others (namespaces(7)).
            let _ = write(c"/proc/sys/user/max_user_namespaces", b"0");
        }
        // SAFETY: a name and its length.
        Errno::result(unsafe { libc::sethostname(HOST_NAME.as_ptr().cast(), HOST_NAME.len()) })?;
        // The working directory goes along into the new mount namespace, a descriptor does not.
        change_directory(sandbox.directory.as_fd())?;
        // SAFETY: this process has no other thread that shares anything.
        Errno::result(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
        // Nothing mounted from here on may show in the namespace that this one is a copy of.
        match mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None) {
            // The root is no mount point (chroot(2)), the stage is.
            Err(Errno::EINVAL) => mount(None, STAGE, None, libc::MS_PRIVATE, None)?,
            other => other?,
        }
        let machine = open_directory(c"/")?;
        let devices = open_directory(c"/dev").ok();
        let converted = sandbox.furniture.as_ref().map(Furniture::open_output).transpose()?;
        let limit = sandbox.limits.as_ref().and_then(|limits| limits.memory);
        let meter = limit.and_then(|limit| {
            // A container may not have it.
            memory::processes(STAGE).ok().map(|processes| Meter::new(processes, limit))
        });
        mount(Some(c"."), STAGE, None, libc::MS_BIND | libc::MS_REC, None)?;
        mount(None, STAGE, None, libc::MS_REC | libc::MS_PRIVATE, None)?;
        // SAFETY: paths that end with NULs.
        Errno::result(unsafe { libc::chdir(STAGE.as_ptr()) })?;
        let dot = c".".as_ptr();
        // SAFETY: as above.
        let pivoted = Errno::result(unsafe { libc::syscall(libc::SYS_pivot_root, dot, dot) });
        if pivoted.is_err() {
            // In a root that is no mount point (chroot(2), an initramfs).
            // SAFETY: as above.
            Errno::result(unsafe { libc::chroot(dot) })?;
        }
        for point in &sandbox.covered {
            let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            gone(mount(Some(c"none"), point, Some(c"tmpfs"), flags, None))?;
        }
        make_read_only(c"/", sandbox.directory_no_exec)?;
        for (point, no_exec) in &sandbox.mounts {
            gone(make_read_only(point, *no_exec))?;
        }
        if let Some((furniture, directory)) = sandbox.furniture.as_ref().zip(converted.as_ref()) {
            furniture.place(devices.as_ref().map(|fd| fd.as_fd()), directory.as_fd())?;
        }
        for channel in &sandbox.channels {
            change_directory(devices.as_ref().ok_or(Errno::ENOENT)?.as_fd())?;
            gone(mount(Some(c"null"), channel, None, libc::MS_BIND, None))?;
        }
        if pivoted.is_ok() {
            change_directory(machine.as_fd())?;
            // SAFETY: as above.
            Errno::result(unsafe { libc::umount2(dot, libc::MNT_DETACH) })?;
        }
        // SAFETY: as above.
        Errno::result(unsafe { libc::chdir(c"/".as_ptr()) })?;
        if !self.user_namespace {
            give_up_capabilities()?;
        }
        Ok(meter)
    }

    /// Whether the process that made the room has ended.
    pub fn is_orphan(&self) -> bool {
        self.sandbox.is_orphan()
    }

    /// Whether the user's rights end at the room.
    pub fn in_user_namespace(&self) -> bool {
        self.user_namespace
    }
}

/// Says why there is no room.
pub fn refused(source: io::Error) -> Error {
    let forbidden = [libc::EPERM, libc::EACCES, libc::ENOSPC, libc::EUSERS];
    let cause = if !source.raw_os_error().is_some_and(|errno| forbidden.contains(&errno)) {
        "this kernel lacks one of them (mount, pid, network, ipc, uts), or the directory cannot be \
         mounted; try another machine, or a copy of the directory"
    } else if nix::unistd::geteuid().is_root() {
        "root itself may not make them here, as in many containers; allow it CAP_SYS_ADMIN"
    } else {
        "without root it takes user namespaces, which this machine forbids (sysctl \
         kernel.unprivileged_userns_clone, user.max_user_namespaces or \
         kernel.apparmor_restrict_unprivileged_userns); allow them or run it as root"
    };
    Error::Namespaces(source, cause)
}

/// No program executed from here on, root's included, has others.
fn give_up_capabilities() -> Result<(), Errno> {
    for capability in (0..64).filter(|capability| !KEPT.contains(capability)) {
        // SAFETY: numbers only.
        let dropped =
            Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) });
        match dropped {
            // There are no more.
            Err(Errno::EINVAL) => break,
            other => other?,
        };
    }
    Ok(())
}
