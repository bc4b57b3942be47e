//! `--verify`: original and converted side by side.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use statify_room::root::{self, Root};
use statify_room::sandbox::{self, Furniture, Sandbox};

/// Runs both with the same arguments and the same name (argv[0]), stdin empty; if the original has
/// privileges, without them, which the converted program has not got yet. Says how they differ. In
/// another root than this machine's both run where that is all there is, the converted program in
/// the original's place.
pub fn verify(
    root: &Root,
    original: &Path,
    converted: &Path,
    arguments: &[OsString],
    privileged: bool,
) -> Result<(), String> {
    let run = |what: &str, program| {
        command(root, program, original, privileged)
            .and_then(|mut command| command.args(arguments).stdin(Stdio::null()).output())
            .map_err(|error| format!("the {what} cannot be run: {error}"))
    };
    let one = run("original", original)?;
    let other = run("converted program", converted)?;
    if one.status != other.status {
        let (one, other) = (describe(one.status), describe(other.status));
        return Err(format!("the original ended with {one}, the converted program with {other}"));
    }
    let outputs = [("stdout", one.stdout, other.stdout), ("stderr", one.stderr, other.stderr)];
    for (name, one, other) in outputs {
        if one != other {
            let at = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
            return Err(format!(
                "the {name} of the converted program differs from the original's from byte {at} on"
            ));
        }
    }
    Ok(())
}

fn command(root: &Root, program: &Path, name: &Path, privileged: bool) -> io::Result<Command> {
    if let Some(sandbox) = Sandbox::of(root)? {
        let another = (program != name).then_some(program);
        let limits = sandbox::Limits::new(None, None)?;
        let sandbox = sandbox.furnished(Furniture::new(another, name)?).limited(limits);
        let sandbox = sandbox.without(sandbox::channels(root)?);
        let mut command = Command::new(name);
        // What this machine has in its environment is none of their business.
        command.env_clear().env("PATH", root::SEARCH_PATH).env("HOME", "/");
        sandbox::run_inside(&mut command, sandbox)?;
        return Ok(command);
    }
    let mut command = Command::new(std::path::absolute(program)?);
    command.arg0(name);
    // SAFETY: two system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if privileged {
                nix::sys::prctl::set_no_new_privs()?;
            }
            Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)
        })
    };
    Ok(command)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => status.to_string(),
    }
}
