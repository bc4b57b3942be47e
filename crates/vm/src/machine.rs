//! A machine, and the command that emulates it. It has nothing but what is said here, is emulated in software, and ends
//! instead of starting again.

use std::ffi::OsString;
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
    /// The CPU's model, by QEMU's names.
    pub cpu: String,
    /// How many CPUs.
    pub cpus: u32,
    /// Memory, in MiB.
    pub memory: u64,
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
pub struct Disk {
    /// Its contents, as they are.
    pub image: PathBuf,
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
        let threads = if self.cpus > 1 { "tcg,thread=multi" } else { "tcg" };
        command
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-accel", threads, "-cpu", &self.cpu, "-smp", &self.cpus.to_string()])
            .args(["-m", &format!("{}M", self.memory)]);
        for serial in &self.serial {
            command.arg("-serial").arg(match serial {
                Serial::File(path) => with_path("file:", path, ""),
                Serial::Standard => "stdio".into(),
            });
        }
        for (number, disk) in self.disks.iter().enumerate() {
            let options = format!(",if=none,id=disk{number},format=raw,snapshot=on");
            command.args(["-device", &format!("nvme,drive=disk{number},serial=disk{number}")]);
            command.arg("-drive").arg(with_path("file=", &disk.image, &options));
        }
        if let Some(monitor) = &self.monitor {
            command.arg("-qmp").arg(with_path("unix:", monitor, ",server=on,wait=off"));
        }
        command.arg("-kernel").arg(&self.kernel);
        if let Some(files) = &self.initial_files {
            command.arg("-initrd").arg(files);
        }
        let parameters =
            format!("console=ttyS0 quiet panic=-1 random.trust_cpu=on {}", self.parameters);
        command.args(["-append", parameters.trim_end()]);
        Ok(command)
    }

    /// Starts it with pipes for its standard input and output. It ends with this thread. What it writes to its disks
    /// is kept in `scratch` meanwhile.
    pub fn start(&self, scratch: &Path) -> Result<Child> {
        let mut command = self.command()?;
        command.env("TMPDIR", scratch).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        command.spawn().map_err(|error| Error::Start(qemu(), error))
    }
}

fn with_path(before: &str, path: &Path, behind: &str) -> OsString {
    let mut text = OsString::from(before);
    text.push(path);
    text.push(behind);
    text
}
