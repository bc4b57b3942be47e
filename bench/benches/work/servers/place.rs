//! Where a server runs, and as whom: servers refuse to be root.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{Uid, User, chown};
use tempfile::TempDir;

/// For how long a client or a preparation may run.
const PATIENCE: Duration = Duration::from_secs(300);

/// A directory that original and converted server have in common, for their files and sockets.
pub struct Place {
    /// For converted programs, which its user may run and not write.
    outer: TempDir,
    /// As whom, if this process is root.
    user: Option<User>,
}

impl Place {
    /// An empty one.
    pub fn new() -> Result<Self> {
        let outer = tempfile::tempdir()?;
        fs::set_permissions(outer.path(), Permissions::from_mode(0o755))?;
        let user = match Uid::effective().is_root() {
            true => Some(User::from_name("nobody")?.context("there is no user nobody")?),
            false => None,
        };
        let place = Self { outer, user };
        fs::create_dir(place.dir())?;
        if let Some(user) = &place.user {
            chown(&place.dir(), Some(user.uid), Some(user.gid))?;
        }
        Ok(place)
    }

    /// The directory that the server may write.
    pub fn dir(&self) -> PathBuf {
        self.outer.path().join("server")
    }

    /// Where the converted server goes.
    pub fn converted(&self) -> PathBuf {
        self.outer.path().join("converted")
    }

    /// A command in the directory, as the server's user, with a small environment. What it says goes to the file `log` there.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let log = self.log();
        let out = fs::File::options().create(true).append(true).open(&log);
        let out = out.with_context(|| log.display().to_string())?;
        let mut command = Command::new(program);
        command.current_dir(self.dir()).env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        Ok(command)
    }

    /// Runs a command to its good end, and gives what it printed.
    pub fn run<S: AsRef<OsStr>>(&self, program: &Path, arguments: &[S]) -> Result<String> {
        let output = self.dir().join("output");
        let mut command = self.command(program)?;
        let file = fs::File::create(&output).with_context(|| output.display().to_string())?;
        let mut child = command.args(arguments).stdout(file).spawn()?;
        let since = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if since.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                bail!("{} does not end", program.display());
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let text = String::from_utf8_lossy(&fs::read(&output)?).into_owned();
        ensure!(status.success(), "{}: {status}: {text}{}", program.display(), self.said());
        Ok(text)
    }

    /// The end of what server and clients said.
    pub fn said(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned()
    }

    fn log(&self) -> PathBuf {
        self.outer.path().join("log")
    }
}
