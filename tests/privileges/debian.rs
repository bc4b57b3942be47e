//! The machine's own privileged programs doing their work: the scripts in `jobs/`, each done once with the programs as they
//! are and once converted with their privileges, in a root made for it (`room.sh`).
//!
//! A script names the programs in a comment at its top, `#: Programs: mount umount`, and finds them in `$BIN`. With
//! `#: Tools:` it names what else it needs.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::compare::{against_each_other, said};
use statify_tests::convert::SYSTEM_PATH;
use statify_tests::machine::find_program;
use statify_tests::process::{self, End, Limits, Outcome};
use statify_tests::report::Done;

use crate::privileges::programs::PRIVILEGED;

/// Time given to one run of a script.
const LIMIT: Limits = Limits::seconds(120);

pub fn add(cases: &mut Cases) {
    for name in ["mount", "passwd", "ping", "su", "sudo"] {
        let script = directory().join("jobs").join(name).with_extension("sh");
        // What cannot be read fails below.
        let text = fs::read_to_string(&script).unwrap_or_default();
        let mut tools = words(&text, "#: Programs: ");
        tools.extend(words(&text, "#: Tools: "));
        let mut needs = vec![PRIVILEGED.to_owned()];
        needs.extend(tools.iter().map(|tool| format!("program:{tool}")));
        cases.needing(&needs).add(&format!("debian/{name}"), move |case| job(case, &script));
    }
}

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/privileges"))
}

fn job(case: &Case, script: &Path) -> Result<Done> {
    let text = fs::read_to_string(script).with_context(|| script.display().to_string())?;
    if !room_is_possible(case) {
        return Done::not_here("namespaces cannot be made here");
    }
    let mut programs = Vec::new();
    for name in words(&text, "#: Programs: ") {
        let path = find_program(&name).with_context(|| name.clone())?.canonicalize()?;
        programs.push((name, path));
    }
    let (originals, converted) = (case.dir.join("orig"), case.dir.join("conv"));
    for dir in [&originals, &converted] {
        fs::create_dir(dir)?;
    }
    for (name, path) in &programs {
        let copied = Command::new("cp").arg("-a").arg(path).arg(originals.join(name)).status()?;
        ensure!(copied.success(), "{} cannot be copied", path.display());
        case.statify.convert(path, &converted.join(name), &["--preserve-privileges"])?;
    }
    let original = run(case, script, &originals)?;
    ensure!(original.end == End::Exit(0), "the originals: {}\n{}", original.end, said(&original));
    let converted = run(case, script, &converted)?;
    let wrong = against_each_other(&original, &converted);
    ensure!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), said(&converted));
    Ok(Done::Passed)
}

/// The words of the first line that begins so.
fn words(text: &str, prefix: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

/// Namespaces of this process's own user: in a user namespace no file gives privileges.
fn in_namespaces() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private", "--net", "--uts", "--ipc"]);
    command.args(["--pid", "--fork", "--kill-child"]).env_clear().env("PATH", SYSTEM_PATH);
    command
}

fn room_is_possible(case: &Case) -> bool {
    let mut command = in_namespaces();
    command.args(["mount", "-t", "tmpfs", "none"]).arg(&case.dir);
    process::run(&mut command, b"", LIMIT).is_ok_and(|outcome| outcome.end == End::Exit(0))
}

fn run(case: &Case, script: &Path, programs: &Path) -> Result<Outcome> {
    let root = case.dir.join("root");
    if !root.exists() {
        fs::create_dir(&root)?;
    }
    let mut command = in_namespaces();
    command.args(["sh".as_ref(), directory().join("room.sh").as_os_str()]);
    command.arg(root).arg(script).arg(programs).current_dir("/");
    Ok(process::run(&mut command, b"", LIMIT)?)
}
