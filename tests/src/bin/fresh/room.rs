//! The system as a machine: entered in namespaces of its own, with file systems of the kernel, Rust and the crates in it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, chdir, pivot_root};

use crate::rust::Rust;
use crate::{CLONE, Caller};

const NONE: Option<&str> = None;
/// The machine's, shown in the system.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Where the toolchain is in the system.
const TOOLCHAIN: &str = "/opt/rust";

/// A system that a command can be run in.
#[derive(Debug, Clone, clap::Args)]
pub struct Room {
    tree: PathBuf,
    toolchain: PathBuf,
    registry: PathBuf,
    caller: Caller,
}

impl Room {
    /// The system `tree` with this Rust, for this caller.
    pub fn new(tree: &Path, rust: &Rust, caller: Caller) -> Self {
        let (toolchain, registry) = (rust.toolchain.clone(), rust.registry.clone());
        Self { tree: tree.to_owned(), toolchain, registry, caller }
    }

    /// Runs a command in it, in the clone. Prints what it says, and returns it with how it ended.
    pub fn run(&self, words: &[&str]) -> Result<(ExitStatus, String)> {
        println!("as {}: {}", self.caller.name(), words.join(" "));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "--pid", "--ipc", "--uts", "--fork"]);
        command.arg("--kill-child").arg("--").arg(std::env::current_exe()?).arg("inside");
        command.args([&self.tree, &self.toolchain, &self.registry]).arg(self.caller.name());
        command.arg("--").args(words).stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        let mut child = command.spawn().context("starting unshare (util-linux)")?;
        let mut lines = BufReader::new(child.stdout.take().context("no pipe")?);
        let (mut line, mut said) = (Vec::new(), String::new());
        while lines.read_until(b'\n', &mut line)? > 0 {
            std::io::stdout().write_all(&line)?;
            said.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok((child.wait()?, said))
    }

    /// As process 1 of the namespaces: settles in the system, runs a command, and ends as it ends.
    pub fn inside(&self, words: &[String]) -> Result<u8> {
        self.enter()?;
        let (program, arguments) = words.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(CLONE).env_clear();
        let path = match self.caller {
            Caller::User => "/usr/local/bin:/usr/bin:/bin",
            Caller::Root => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        };
        command
            .env("PATH", format!("{TOOLCHAIN}/bin:{path}"))
            .env("HOME", self.caller.home())
            .env("LANG", "C.UTF-8");
        command.env("USER", self.caller.name()).env("CARGO_NET_OFFLINE", "true");
        // What cargo says of its own goes among what the tests say, in its place.
        command.stderr(nix::unistd::dup(std::io::stdout())?);
        // Other groups are given up with the user id.
        let child = command.gid(self.caller.id()).uid(self.caller.id()).spawn();
        let child = child.with_context(|| format!("starting {program}"))?;
        end_of(Pid::from_raw(child.id().cast_signed()))
    }

    fn enter(&self) -> Result<()> {
        bind(&self.tree, &self.tree)?;
        let at = |path: &str| self.tree.join(path.trim_start_matches('/'));
        special("proc", &at("proc"), "")?;
        special("sysfs", &at("sys"), "")?;
        let dev = at("dev");
        special("tmpfs", &dev, "mode=755,size=1m")?;
        for name in DEVICES {
            fs::File::create(dev.join(name))?;
            bind(&Path::new("/dev").join(name), &dev.join(name))?;
        }
        for (name, kind, options) in [
            ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"),
            ("shm", "tmpfs", "mode=1777"),
        ] {
            fs::create_dir(dev.join(name))?;
            special(kind, &dev.join(name), options)?;
        }
        symlink("pts/ptmx", dev.join("ptmx"))?;
        symlink("/proc/self/fd", dev.join("fd"))?;
        read_only(&self.toolchain, &at(TOOLCHAIN))?;
        let cargo = at(self.caller.home()).join(".cargo");
        read_only(&self.registry, &cargo.join("registry"))?;
        std::os::unix::fs::chown(cargo, Some(self.caller.id()), Some(self.caller.id()))?;
        // Whoever is in a chroot(2) may not make user namespaces, which is not so on a machine.
        chdir(&self.tree)?;
        pivot_root(".", ".").context("pivot_root")?;
        umount2(".", MntFlags::MNT_DETACH).context("leaving the machine's root")?;
        Ok(chdir("/")?)
    }
}

/// Waits until `child` has ended, and for what it leaves to process 1 until then.
fn end_of(child: Pid) -> Result<u8> {
    loop {
        match wait()? {
            WaitStatus::Exited(pid, status) if pid == child => return Ok(status as u8),
            WaitStatus::Signaled(pid, signal, _) if pid == child => return Ok(128 + signal as u8),
            _ => {}
        }
    }
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE)
        .with_context(|| format!("showing {} at {}", from.display(), to.display()))
}

fn read_only(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    bind(from, to)?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(NONE, to, NONE, flags, NONE).with_context(|| format!("{} read-only", to.display()))
}

fn special(kind: &str, at: &Path, options: &str) -> Result<()> {
    mount(Some(kind), at, Some(kind), MsFlags::MS_NOSUID, Some(options))
        .with_context(|| format!("mounting {}", at.display()))
}
