//! Trees, journals and disks that are not as they should be: a sentence each, and nothing lost.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits, Running};
use statify_tests::sandbox;

use crate::rootfs::guest::{self, shell};
use crate::rootfs::{snapshot, tool};

pub fn add(cases: &mut Cases) {
    cases.check("bad-input/root", roots);
    cases.check("bad-input/usage", usage);
    cases.check("bad-input/nested-or-taken", nested);
    cases.check("bad-input/journal", journals);
    cases.check("bad-input/two-runs", two_runs);
    cases.check("bad-input/changed-meanwhile", changed_meanwhile);
    for (name, test) in [
        ("bad-input/read-only", read_only as fn(&Case) -> Result<()>),
        ("bad-input/disk-full", disk_full),
        ("bad-input/mounts-inside", mounts),
    ] {
        cases.needing(&["root", "userns"]).check(name, test);
    }
}

/// `convert ROOT --in-place --no-backup` must be refused, with `words`, and change nothing.
fn refused(root: &Path, words: &str) -> Result<()> {
    let before = snapshot::of(root)?;
    let arguments =
        ["convert".as_ref(), root.as_os_str(), "--in-place".as_ref(), "--no-backup".as_ref()];
    tool::refused(&tool::run(arguments)?, words)?;
    snapshot::same(&snapshot::of(root)?, &before, true)?;
    ensure!(!root.join(".rootfs-tools").exists(), "a journal was begun");
    Ok(())
}

fn roots(case: &Case) -> Result<()> {
    let missing = case.dir.join("missing");
    let arguments = ["convert".as_ref(), missing.as_os_str(), "--out".as_ref(), OsStr::new("x")];
    tool::refused(&tool::run(arguments)?, "cannot stand for the root")?;
    for target in [&["--in-place", "--no-backup"][..], &["--out", "/nowhere"]] {
        tool::refused(&tool::run([&["convert", "/"], target].concat())?, "--i-know")?;
    }
    tool::refused(&tool::run(["restore", "/"])?, "--i-know")?;
    fs::create_dir(case.dir.join("empty"))?;
    refused(&case.dir.join("empty"), "no root file system")?;
    fs::write(case.dir.join("file"), "")?;
    let file = case.dir.join("file");
    let arguments = ["restore".as_ref(), file.as_os_str()];
    tool::refused(&tool::run(arguments)?, "only a directory can be restored")?;
    let root = guest::tiny(case.dir.join("guest"))?;
    tool::refused(&tool::run(["restore".as_ref(), root.dir.as_os_str()])?, "no journal")?;
    // Links that lead nowhere, in a circle, or out.
    fs::remove_file(root.path("bin"))?;
    symlink("bin", root.path("bin"))?;
    fs::remove_file(root.path("sbin"))?;
    symlink("../../../../../bin", root.path("sbin"))?;
    fs::remove_dir_all(root.path("/usr/lib64"))?;
    refused(&root.dir, "the loader of its programs (/lib64/ld-linux-x86-64.so.2) is not there")?;
    for name in ["one", "two", "three"] {
        let mut bytes = fs::read(root.path(&format!("/usr/bin/{name}")))?;
        bytes[18] = 183;
        fs::write(root.path(&format!("/usr/bin/{name}")), bytes)?;
    }
    refused(&root.dir, "it is for aarch64 machines")
}

fn usage(_: &Case) -> Result<()> {
    for arguments in [
        &["convert", "/x"][..],
        &["convert", "/x", "--in-place"],
        &["convert", "/x", "--out", "/y", "--in-place", "--no-backup"],
        &["convert", "/x", "--out", "/y", "--backup", "/z"],
        &["convert", "/x", "--out", "/y", "--align", "3"],
    ] {
        let outcome = tool::run(arguments)?;
        ensure!(outcome.end == End::Exit(2), "{arguments:?}: {}", outcome.end);
    }
    Ok(())
}

fn nested(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let before = snapshot::of(&root.dir)?;
    let full = case.dir.join("full");
    fs::create_dir(&full)?;
    fs::write(full.join("mine"), "")?;
    for (option, path, words) in [
        ("--out", root.path("/new"), "lies in"),
        ("--out", full.clone(), "not empty"),
        ("--backup", full.clone(), "not empty"),
    ] {
        let mut arguments =
            vec!["convert".as_ref(), root.dir.as_os_str(), option.as_ref(), path.as_os_str()];
        arguments.extend((option == "--backup").then_some(OsStr::new("--in-place")));
        tool::refused(&tool::run(arguments)?, words).context(option)?;
    }
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)
}

fn journals(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let backup = case.dir.join("backup");
    let arguments = [
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--in-place".as_ref(),
        "--backup".as_ref(),
        backup.as_os_str(),
    ];
    tool::good(arguments)?;
    let path = root.path("/.rootfs-tools/journal");
    let whole = fs::read(&path)?;
    let after = snapshot::of(&root.dir)?;
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    let lines: Vec<_> = whole.split_inclusive(|&byte| byte == b'\n').collect();
    let without = [&lines[..2], &lines[3..]].concat().concat();
    let newer = [b"rootfs-tools journal 99\n", &whole[lines[0].len()..]].concat();
    for (bytes, words) in [
        (&damaged, "is damaged"),
        (&without, "line 3 of the journal is damaged"),
        (&newer, "version 99"),
        (&b"junk\n".to_vec(), "is damaged"),
    ] {
        fs::write(&path, bytes)?;
        tool::refused(&tool::run(["restore".as_ref(), root.dir.as_os_str()])?, words)?;
        tool::refused(&tool::run(arguments)?, words)?;
        ensure!(fs::read(&path)? == *bytes, "the journal was changed");
        snapshot::same(&snapshot::of(&root.dir)?, &after, true)?;
    }
    // What a crash leaves is no damage.
    fs::write(&path, [&whole[..], b"0123 {\"rec"].concat())?;
    tool::good(["restore".as_ref(), root.dir.as_os_str()])?;
    ensure!(fs::read(root.path("/usr/bin/one"))? == fs::read("/bin/true")?);
    Ok(())
}

/// A guest whose loader never comes to an end; `one` is the program.
fn endless(case: &Case) -> Result<statify_tests::small_root::SmallRoot> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let library =
        case.library("libslow.so.1", crate::rootfs::guest::ENDLESS, &["-Wl,-soname,libslow.so.1"])?;
    let program = case.build(
        "answer",
        "slow",
        &case.link(&["libslow.so.1"]).iter().map(String::as_str).collect::<Vec<_>>(),
    )?;
    root.add(&program, "/usr/bin/slow")?;
    root.add(&library, &library.to_string_lossy())?;
    Ok(root)
}

fn two_runs(case: &Case) -> Result<()> {
    let root = endless(case)?;
    let arguments =
        ["convert".as_ref(), root.dir.as_os_str(), "--in-place".as_ref(), "--no-backup".as_ref()];
    let running = Running::start(&mut tool::command(arguments)?, b"", Limits::seconds(30))?;
    while guest::work_in(&root.path("/usr/bin")).is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    tool::refused(&tool::run(arguments)?, "another run")?;
    tool::refused(&tool::run(["restore".as_ref(), root.dir.as_os_str()])?, "another run")?;
    drop(running);
    Ok(())
}

fn changed_meanwhile(case: &Case) -> Result<()> {
    let root = endless(case)?;
    let backup = case.dir.join("backup");
    let mut command = tool::command([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--in-place".as_ref(),
        "--backup".as_ref(),
        backup.as_os_str(),
        "--timeout".as_ref(),
        "3".as_ref(),
    ])?;
    let running = Running::start(&mut command, b"", Limits::seconds(60))?;
    while guest::work_in(&root.path("/usr/bin")).is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    // While its loader loops.
    shell(&root.dir, "cp usr/bin/slow new; echo changed >> new; mv new usr/bin/slow")?;
    let outcome = running.finish()?;
    ensure!(outcome.end == End::Exit(1), "{}", outcome.end);
    ensure!(fs::read(root.path("/usr/bin/slow"))?.ends_with(b"changed\n"));
    ensure!(outcome.stderr_text().contains("/usr/bin/slow"), "{}", outcome.stderr_text());
    Ok(())
}

fn read_only(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let before = snapshot::of(&root.dir)?;
    let path = tool::path()?;
    let arguments = [
        path.as_os_str(),
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--in-place".as_ref(),
        "--no-backup".as_ref(),
    ];
    let script = r#"mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@""#;
    let outcome = tool::finish(&mut sandbox::script_in_namespace(script, &root.dir, arguments))?;
    tool::refused(&outcome, "Read-only file system")?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)
}

/// Disks of many sizes, so that it is full now here, now there.
fn disk_full(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let disk = case.dir.join("disk");
    fs::create_dir(&disk)?;
    let path = tool::path()?;
    let mut full = 0;
    for more in (0..9000).step_by(450) {
        let script = r#"
            size=$(( $(du -sk --apparent-size "$2" | cut -f1) + $3 + 200 ))
            mount -t tmpfs -o size=${size}k none "$0" && cp -a "$2" "$0/g" || exit 9
            "$1" convert "$0/g" --in-place --backup "$0/b" --quiet 2>"$0/../said"
            status=$?
            [ $status = 0 ] || "$1" --version >/dev/null || exit 8
            cd "$0/g/usr/bin" || exit 7
            for name in *; do
                [ "$(./$name </dev/null; echo $?)" = 0 ] || exit 6
            done
            if [ -e "$0/g/.rootfs-tools/journal" ]; then
                "$1" restore "$0/g" >/dev/null 2>>"$0/../said" || exit 5
            fi
            diff -r --no-dereference "$2" "$0/g" || exit 4
            exit $status
        "#;
        let more = more.to_string();
        let arguments = [path.as_os_str(), root.dir.as_os_str(), more.as_ref()];
        let outcome = tool::finish(&mut sandbox::script_in_namespace(script, &disk, arguments))?;
        let said = fs::read_to_string(case.dir.join("said")).unwrap_or_default();
        match outcome.end {
            End::Exit(0) => {}
            End::Exit(1) => {
                ensure!(said.contains("No space left on device"), "{more}: {said}");
                full += 1;
            }
            other => anyhow::bail!("{more} KiB: {other}: {said} {}", outcome.stdout_text()),
        }
    }
    ensure!(full > 3, "the disk was full {full} times");
    Ok(())
}

fn mounts(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    shell(&root.dir, "mkdir proc; touch dev/mark")?;
    let out = case.dir.join("out");
    let path = tool::path()?;
    let script = r#"mount -t proc none "$0/proc" && mount -t tmpfs none "$0/dev" && touch "$0/dev/running" && exec "$@""#;
    for arguments in [
        vec!["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()],
        vec![
            "convert".as_ref(),
            root.dir.as_os_str(),
            "--in-place".as_ref(),
            "--no-backup".as_ref(),
        ],
    ] {
        let arguments: Vec<&OsStr> = [path.as_os_str()].into_iter().chain(arguments).collect();
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-c", script]);
        command.arg(&root.dir).args(arguments);
        let outcome = tool::finish(&mut command)?;
        ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
        ensure!(
            outcome.stdout_text().contains(" 3 programs converted"),
            "{}",
            outcome.stdout_text()
        );
    }
    ensure!(fs::read_dir(out.join("proc"))?.next().is_none(), "/proc was copied");
    ensure!(fs::read_dir(out.join("dev"))?.next().is_none(), "the running /dev was copied");
    Ok(())
}
