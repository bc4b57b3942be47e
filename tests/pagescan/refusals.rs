//! What cannot be done, and what is said then. Nothing is left of a snapshot that did not come to its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;

use crate::pagescan::tool;

pub fn add(cases: &mut Cases) {
    cases.check("refused/processes", processes);
    cases.check("refused/keys", keys);
    cases.check("refused/outputs", outputs);
}

/// Nothing but what was there.
fn is_empty(case: &Case) -> Result<()> {
    let names: Vec<_> = fs::read_dir(&case.dir)?.flatten().map(|entry| entry.file_name()).collect();
    ensure!(names.is_empty(), "{names:?}");
    Ok(())
}

fn processes(case: &Case) -> Result<()> {
    let out = case.dir.join("pages").display().to_string();
    let mut ended = Command::new("true").spawn()?;
    let pid = ended.id().to_string();
    ended.wait()?;
    tool::refused(["snapshot", &pid, "-o", &out], "there is no such process")?;
    is_empty(case)?;
    if fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        tool::refused(["snapshot", "2", "-o", &out], "a thread of the kernel")?;
    }
    let mut zombie = Command::new("true").spawn()?;
    let pid = zombie.id().to_string();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let refused = tool::refused(["snapshot", &pid, "-o", &out], "there is no such process");
    zombie.wait()?;
    refused?;
    tool::refused(["snapshot", "--cgroup", "no-such-group", "-o", &out], "no such control group")?;
    let outcome = tool::run(["snapshot", "--guest", "1:77777777T", "-o", &out])?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(2) && said.contains("too much"), "{}: {said}", outcome.end);
    is_empty(case)
}

fn keys(case: &Case) -> Result<()> {
    let out = case.dir.join("pages").display().to_string();
    let key = case.dir.join("key");
    let option = key.display().to_string();
    let own = std::process::id().to_string();
    let arguments = ["snapshot", &own, "--key", &option, "-o", &out];
    tool::refused(arguments, "cannot be read")?;
    fs::write(&key, [7; 32])?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    tool::refused(arguments, "others may read this key")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    fs::write(&key, [7; 31])?;
    tool::refused(arguments, "32 to 4096 bytes")?;
    fs::remove_file(&key)?;
    is_empty(case)
}

fn outputs(case: &Case) -> Result<()> {
    let own = std::process::id().to_string();
    let nowhere = case.dir.join("no/pages").display().to_string();
    tool::refused(["snapshot", &own, "-o", &nowhere], "cannot be written")?;
    let full = tool::run(["snapshot", &own, "-o", "/dev/full"])?;
    ensure!(full.stderr_text().contains("cannot be written"), "{}", full.stderr_text());
    is_empty(case)
}
