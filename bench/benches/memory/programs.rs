//! Programs that wait for something that does not come.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

/// Programs, how often each, and with what: 32 processes if all are there. `DIR` is a directory of their own.
const IDLE: [(&str, usize, &[&str]); 14] = [
    ("bash", 4, &["--norc", "-c", "read x; echo"]),
    ("python3", 4, &["-S", "-c", "import time,json,re,socket\ntime.sleep(1e6)"]),
    ("perl", 3, &["-e", "sleep 1000000"]),
    ("git", 3, &["cat-file", "--batch"]),
    ("curl", 3, &["-s", "telnet://127.0.0.1:PORT/"]),
    ("openssl", 2, &["enc", "-base64"]),
    ("sqlite3", 3, &[]),
    ("mawk", 2, &["{print}"]),
    ("sleep", 2, &["1000000"]),
    ("cat", 2, &[]),
    ("tclsh", 1, &[]),
    ("dbus-daemon", 1, &["--session", "--nofork", "--address=unix:path=DIR/bus"]),
    ("gpg-agent", 1, &["--server"]),
    ("sort", 1, &[]),
];
/// Where programs are: no wrappers of a user's.
const PATH: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"];

/// Where a program is.
pub fn find(name: &str) -> Option<PathBuf> {
    let mut places = PATH.iter().map(|dir| Path::new(dir).join(name));
    places.find_map(|path| path.canonicalize().ok().filter(|path| path.is_file()))
}

/// The names of programs that are here, and of those that are not.
pub fn names() -> (Vec<&'static str>, Vec<&'static str>) {
    IDLE.iter().map(|(name, ..)| *name).partition(|name| find(name).is_some())
}

/// Processes, all of which end with this.
pub struct Idle {
    children: Vec<(&'static str, Child)>,
}

impl Idle {
    /// Starts those of which `program` says where they are. `port` is one that accepts and says nothing. With `merge`, KSM may
    /// merge their memory.
    pub fn start(
        program: impl Fn(&str) -> Option<PathBuf>,
        dir: &Path,
        port: u16,
        merge: bool,
    ) -> Result<Self> {
        let mut idle = Self { children: Vec::new() };
        for (name, times, arguments) in IDLE {
            let Some(path) = program(name) else { continue };
            for _ in 0..times {
                let fill = |text: &&str| -> OsString {
                    let text = text.replace("PORT", &port.to_string());
                    text.replace("DIR", &dir.to_string_lossy()).into()
                };
                let mut command = Command::new(&path);
                command.args(arguments.iter().map(fill)).env_clear().current_dir(dir);
                command.env("PATH", "/usr/bin:/bin").env("HOME", dir).env("LANG", "C.UTF-8");
                // git wants a repository.
                command.env("GIT_DIR", dir.join("git"));
                command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
                let prepare = move || {
                    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                    if merge { pagescan::kernel::merge::merge_own(true) } else { Ok(()) }
                };
                // SAFETY: two system calls between fork and exec.
                unsafe { command.pre_exec(prepare) };
                let child = command.spawn().with_context(|| path.display().to_string())?;
                idle.children.push((name, child));
            }
        }
        Ok(idle)
    }

    /// Their numbers. All must still be there.
    pub fn pids(&mut self) -> Result<Vec<u32>> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!("{name} does not wait: it has ended with {status}");
            }
        }
        Ok(self.children.iter().map(|(_, child)| child.id()).collect())
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Makes a directory what the processes need.
pub fn prepare(dir: &Path) -> Result<()> {
    // Without git there is no process that needs a repository.
    if let Some(git) = find("git") {
        let mut command = Command::new(git);
        command.args(["init", "--quiet", "--bare"]).arg(dir.join("git"));
        ensure!(command.status()?.success(), "git init fails");
    }
    Ok(())
}
