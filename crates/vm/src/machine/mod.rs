//! A machine, and the command that emulates it. It has nothing but what is said here, and ends instead of starting again.
//!
//! What differs between kinds of machines is in a file for each, and chosen by [`Kind`].

mod aarch64;
mod kind;
mod parts;
mod x86_64;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::{Error, Result};

pub use kind::Kind;

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Whose instructions it has.
    pub kind: Kind,
    /// What runs its instructions.
    pub accelerator: Accelerator,
    /// The CPU's model, by QEMU's names.
    pub cpu: String,
    /// How many CPUs.
    pub cpus: u32,
    /// Memory, in MiB.
    pub memory: u64,
    /// Whether this machine's kernel may merge equal pages of its memory (KSM).
    pub mergeable: bool,
    /// The kernel.
    pub kernel: PathBuf,
    /// Its initial file system.
    pub initial_files: Option<PathBuf>,
    /// Its parameters, but for the console.
    pub parameters: String,
    /// Serial lines, as many as its kind has at most; the first is the kernel's console.
    pub serial: Vec<Serial>,
    /// Disks, `/dev/nvme0n1`, `/dev/nvme0n2` and so on.
    pub disks: Vec<Disk>,
    /// A socket at which its monitor listens ([`crate::monitor`]).
    pub monitor: Option<PathBuf>,
}

/// What runs a machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU itself, which needs nothing.
    Software,
    /// The processor, by /dev/kvm.
    Kvm,
}

/// Where a serial line ends.
#[derive(Clone, Debug)]
pub enum Serial {
    /// In this file.
    File(PathBuf),
    /// In the emulator's standard input and output ([`crate::Console`]).
    Standard,
}

/// A disk. What is written to it is gone when the machine ends, unless it is said to be kept.
#[derive(Clone, Debug)]
pub enum Disk {
    /// Its contents, as they are, in a file.
    File(PathBuf),
    /// The same, and what is written to it is kept in the file.
    Kept(PathBuf),
    /// The export of this name of an NBD server that listens at a socket.
    Nbd(PathBuf, String),
}

impl Disk {
    /// As QEMU's -drive has it.
    fn drive(&self, number: usize) -> OsString {
        let mut text = OsString::new();
        match self {
            Self::File(image) | Self::Kept(image) => {
                text.push("file=");
                text.push(escaped(image));
            }
            Self::Nbd(socket, export) => {
                text.push("file.driver=nbd,file.server.type=unix,file.server.path=");
                text.push(escaped(socket));
                text.push(",file.export=");
                text.push(escaped(Path::new(export)));
            }
        }
        let forgotten = if matches!(self, Self::Kept(_)) { "off" } else { "on" };
        text.push(format!(",if=none,id=disk{number},format=raw,snapshot={forgotten}"));
        text
    }
}

impl Machine {
    /// Where the emulator of machines of a kind is, on the PATH.
    pub fn emulator(kind: Kind) -> Result<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let name = kind.emulator();
        let mut candidates = std::env::split_paths(&path).map(|dir| dir.join(&name));
        candidates.find(|path| path.is_file()).ok_or(Error::NoEmulator(name))
    }

    /// The command that emulates it.
    pub fn command(&self) -> Result<Command> {
        let parts = self.kind.parts();
        if self.serial.len() > parts.lines {
            return Err(Error::NoSuchLine { wanted: self.serial.len(), lines: parts.lines });
        }
        let mut command = Command::new(Self::emulator(self.kind)?);
        let accelerator = match self.accelerator {
            Accelerator::Kvm => "kvm",
            Accelerator::Software if self.cpus > 1 => "tcg,thread=multi",
            Accelerator::Software => "tcg",
        };
        let merge = if self.mergeable { "mem-merge=on" } else { "mem-merge=off" };
        let cpu = match self.accelerator {
            Accelerator::Software => (parts.emulated_cpu)(&self.cpu),
            Accelerator::Kvm => self.cpu.clone(),
        };
        let board = [(parts.board)(&self.cpu), &[merge]].concat().join(",");
        command
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-machine", &board, "-accel", accelerator])
            .args(["-cpu", &cpu, "-smp", &self.cpus.to_string()])
            .args(["-m", &format!("{}M", self.memory)]);
        for serial in &self.serial {
            command.arg("-serial").arg(match serial {
                // Only here a comma is one.
                Serial::File(path) => [OsStr::new("file:"), path.as_os_str()].join(OsStr::new("")),
                Serial::Standard => "stdio".into(),
            });
        }
        if !self.disks.is_empty() {
            command.args(["-device", "nvme,serial=disks"]);
        }
        // All at one controller: those of several come in an order of their own.
        for (number, disk) in self.disks.iter().enumerate() {
            command.arg("-drive").arg(disk.drive(number));
            command.args(["-device", &format!("nvme-ns,drive=disk{number},shared=off")]);
        }
        if let Some(monitor) = &self.monitor {
            let mut socket = OsString::from("unix:");
            socket.push(escaped(monitor));
            socket.push(",server=on,wait=off");
            command.arg("-qmp").arg(socket);
        }
        command.arg("-kernel").arg(&self.kernel);
        if let Some(files) = &self.initial_files {
            command.arg("-initrd").arg(files);
        }
        let parameters = format!(
            "console={} quiet panic=-1 random.trust_cpu=on {} {}",
            parts.console, parts.parameters, self.parameters
        );
        command.args(["-append", parameters.trim_end()]);
        Ok(command)
    }

    /// Starts it with pipes for its standard input and output. It ends with this thread. What it writes to its disks
    /// is kept in `scratch` meanwhile.
    pub fn start(&self, scratch: &Path) -> Result<Child> {
        self.start_saying(scratch, Stdio::inherit())
    }

    /// The same, without a word of the emulator itself.
    pub fn start_quietly(&self, scratch: &Path) -> Result<Child> {
        self.start_saying(scratch, Stdio::null())
    }

    fn start_saying(&self, scratch: &Path, errors: Stdio) -> Result<Child> {
        let mut command = self.command()?;
        command.env("TMPDIR", scratch).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        command.spawn().map_err(|error| Error::Start(self.kind.emulator(), error))
    }
}

/// A path among QEMU's options, where a comma ends it unless there are two.
fn escaped(path: &Path) -> OsString {
    let mut bytes = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_as_qemu_has_them() {
        assert_eq!(
            Disk::File("/a,b".into()).drive(0),
            "file=/a,,b,if=none,id=disk0,format=raw,snapshot=on"
        );
        assert_eq!(
            Disk::Nbd("/run/s".into(), "guest.img".into()).drive(1),
            "file.driver=nbd,file.server.type=unix,file.server.path=/run/s,file.export=guest.img,\
             if=none,id=disk1,format=raw,snapshot=on"
        );
        assert_eq!(
            Disk::Kept("/out".into()).drive(2),
            "file=/out,if=none,id=disk2,format=raw,snapshot=off"
        );
    }
}
