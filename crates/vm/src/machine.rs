//! A machine, and the command that emulates it. It has nothing but what is said here, and ends instead of starting again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::{Error, Result};

/// The emulator of machines like this one.
fn qemu() -> String {
    format!("qemu-system-{}", std::env::consts::ARCH)
}

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Machine {
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
    /// Serial lines; the first is the kernel's console.
    pub serial: Vec<Serial>,
    /// Disks, `/dev/nvme0n1` and so on.
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

/// A disk. What is written to it is gone when the machine ends.
#[derive(Clone, Debug)]
pub enum Disk {
    /// Its contents, as they are, in a file.
    File(PathBuf),
    /// The export of this name of an NBD server that listens at a socket.
    Nbd(PathBuf, String),
}

impl Disk {
    /// As QEMU's -drive has it.
    fn drive(&self, number: usize) -> OsString {
        let mut text = OsString::new();
        match self {
            Self::File(image) => {
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
        text.push(format!(",if=none,id=disk{number},format=raw,snapshot=on"));
        text
    }
}

impl Machine {
    /// Where the emulator is, on the PATH.
    pub fn emulator() -> Result<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut candidates = std::env::split_paths(&path).map(|dir| dir.join(qemu()));
        candidates.find(|path| path.is_file()).ok_or_else(|| Error::NoEmulator(qemu()))
    }

    /// The command that emulates it.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(Self::emulator()?);
        let accelerator = match self.accelerator {
            Accelerator::Kvm => "kvm",
            Accelerator::Software if self.cpus > 1 => "tcg,thread=multi",
            Accelerator::Software => "tcg",
        };
        let merge = if self.mergeable { "mem-merge=on" } else { "mem-merge=off" };
        command
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-machine", merge, "-accel", accelerator])
            .args(["-cpu", &self.cpu, "-smp", &self.cpus.to_string()])
            .args(["-m", &format!("{}M", self.memory)]);
        for serial in &self.serial {
            command.arg("-serial").arg(match serial {
                // Only here a comma is one.
                Serial::File(path) => [OsStr::new("file:"), path.as_os_str()].join(OsStr::new("")),
                Serial::Standard => "stdio".into(),
            });
        }
        for (number, disk) in self.disks.iter().enumerate() {
            command.args(["-device", &format!("nvme,drive=disk{number},serial=disk{number}")]);
            command.arg("-drive").arg(disk.drive(number));
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
        // On a busy machine, ticks of an emulated timer come too late for the test that some kernels make of it.
        let parameters = format!(
            "console=ttyS0 quiet panic=-1 random.trust_cpu=on no_timer_check {}",
            self.parameters
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
        command.spawn().map_err(|error| Error::Start(qemu(), error))
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
    }
}
