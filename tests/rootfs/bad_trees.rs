//! Trees that are too large or closed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Outcome};
use statify_tests::sandbox;

use crate::rootfs::{guest, snapshot, tool};

pub fn add(cases: &mut Cases) {
    cases.check("bad-input/100000-files", many);
    cases.check("bad-input/not-readable", not_readable);
}

fn many(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    for number in 0..10_000 {
        fs::write(root.path(&format!("/usr/bin/script{number}")), "#!/bin/sh\n")?;
    }
    for directory in 0..90 {
        let directory = root.path(&format!("/usr/share/{directory}"));
        fs::create_dir_all(&directory)?;
        for number in 0..1000 {
            fs::File::create(directory.join(number.to_string()))?;
        }
    }
    let since = Instant::now();
    let backup = case.dir.join("backup");
    let said = tool::good([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--in-place".as_ref(),
        "--backup".as_ref(),
        backup.as_os_str(),
    ])?;
    ensure!(said.contains(": 3 programs converted") && said.contains("10000 script"), "{said}");
    let text = tool::good(["report".as_ref(), root.dir.as_os_str()])?;
    ensure!(text.contains("10000 script"), "{text}");
    tool::good(["restore".as_ref(), root.dir.as_os_str()])?;
    ensure!(fs::read(root.path("/usr/bin/one"))? == fs::read("/bin/true")?);
    ensure!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
    Ok(())
}

/// As somebody who may not read all of it.
fn unprivileged(case: &Case, arguments: &[&Path]) -> Result<Outcome> {
    let copy = case.dir.join("tool");
    if !copy.exists() {
        fs::copy(tool::path()?, &copy)?;
    }
    tool::finish(sandbox::unprivileged(Command::new(copy).args(arguments)))
}

fn not_readable(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let before = snapshot::of(&root.dir)?;
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    let word = |text: &'static str| Path::new(text);
    let out = case.dir.join("out");
    let copying = [word("convert"), &root.dir, word("--out"), &out];
    let in_place = [word("convert"), &root.dir, word("--in-place"), word("--no-backup")];
    let looking = [word("convert"), &root.dir, word("--dry-run")];
    for path in [root.dir.clone(), root.path("/usr/bin")] {
        let mode = path.metadata()?.permissions().mode();
        set(&path, 0)?;
        for arguments in [&copying[..], &in_place, &looking] {
            tool::refused(&unprivileged(case, arguments)?, "Permission denied")?;
        }
        set(&path, mode & 0o7777)?;
    }
    // A program that may not be read is one that stays; a tree that may not be written to, too.
    set(&root.path("/usr/bin/three"), 0o111)?;
    let outcome = unprivileged(case, &looking)?;
    ensure!(outcome.end == End::Exit(1), "{}: {}", outcome.end, outcome.stderr_text());
    let said = outcome.stdout_text();
    ensure!(said.contains(": 2 programs would be converted, 2 could not be"), "{said}");
    ensure!(said.contains("/usr/bin/three: ") && said.contains("Permission denied"), "{said}");
    set(&root.path("/usr/bin/three"), 0o755)?;
    // Not even its owner's, who is the caller where the tests are not root's.
    set(&root.dir, 0o555)?;
    tool::refused(&unprivileged(case, &in_place)?, "Permission denied")?;
    set(&root.dir, 0o755)?;
    ensure!(!out.exists() && !root.path("/.rootfs-tools").exists());
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)
}
