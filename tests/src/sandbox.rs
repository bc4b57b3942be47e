//! Rooms with less in them than the machine has. All of it is made by `unshare` (util-linux) in namespaces of its own, so
//! nothing has to be undone.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::Result;
use nix::unistd::geteuid;

/// A user and group id that owns nothing.
pub const NOBODY: u32 = 65534;

/// Can user and mount namespaces be made here?
pub fn is_possible() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let mut command = unshare();
        command.arg("true").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// Can [`unprivileged`] make a user namespace here?
pub fn is_possible_for_users() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "true"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        unprivileged(&mut command).status().is_ok_and(|status| status.success())
    })
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--propagation=private"]);
    command
}

/// A command that runs the file `name` of the directory `root` with that directory as its root.
pub fn in_root(root: &Path, name: &str) -> Command {
    let mut command = unshare();
    command
        .arg(format!("--root={}", root.display()))
        .arg("--wd=/")
        .arg(format!("/{name}"))
        .env_clear();
    command
}

/// A command that runs `program` with `dir` read-only.
pub fn with_read_only(dir: &Path, program: &Path) -> Command {
    let script =
        r#"mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec "$@""#;
    script_in_namespace(script, dir, [program.as_os_str()])
}

/// A command that runs `program` with a fresh file system of `bytes` mounted on `dir`. Whatever is in it afterwards is
/// listed on standard output, one name a line.
pub fn with_small_disk<'a>(
    dir: &Path,
    bytes: usize,
    program: impl IntoIterator<Item = &'a OsStr>,
) -> Command {
    let script = format!(
        r#"mount -t tmpfs -o size={bytes} none "$0" && {{ "$@"; status=$?; ls -A "$0"; exit $status; }}"#
    );
    script_in_namespace(&script, dir, program)
}

/// A command that runs `script` as root of namespaces of its own, `dir` being its $0 and `program` its arguments.
pub fn script_in_namespace<'a>(
    script: &str,
    dir: &Path,
    program: impl IntoIterator<Item = &'a OsStr>,
) -> Command {
    let mut command = unshare();
    command.args(["sh", "-c", script]).arg(dir).args(program);
    command
}

/// Makes `command` run as a user without privileges: as nobody if this process is root, otherwise as it is.
pub fn unprivileged(command: &mut Command) -> &mut Command {
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Gives `path` to the user [`unprivileged`] runs as.
pub fn give_to_unprivileged(path: &Path) -> Result<()> {
    if geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

/// Makes `dir` one in which [`unprivileged`] cannot write.
pub fn forbid_writing(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o555))?;
    Ok(())
}
