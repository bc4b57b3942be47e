//! Another system in whose root this process builds and runs programs, its own C library's in place of the machine's.
//!
//! The directories that tests use must be visible there under the same paths; see the `c-libraries` command.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// From now on, for the whole process. Only the first call counts.
pub fn settle(root: PathBuf) {
    ROOT.get_or_init(|| root);
}

/// The guest's root; `None` if it is this machine's.
pub fn root() -> Option<&'static Path> {
    ROOT.get().map(PathBuf::as_path)
}

/// Where `path` of the guest lies.
pub fn outside(path: &Path) -> PathBuf {
    match root() {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

/// Makes `command` run in the guest, in the working directory `dir` of it. Without a guest nothing is changed.
pub fn place<'a>(command: &'a mut Command, dir: &Path) -> io::Result<&'a mut Command> {
    let Some(root) = root() else {
        return Ok(command);
    };
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
    let (root, dir) = (text(root)?, text(dir)?);
    let enter = move || {
        nix::unistd::chroot(root.as_c_str())?;
        nix::unistd::chdir(dir.as_c_str())?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls.
    Ok(unsafe { command.pre_exec(enter) })
}
