//! Conversion of a whole tree, in a copy and in place, and the way back.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;

use crate::rootfs::guest::{self, shell};
use crate::rootfs::snapshot::{self, Snapshot};
use crate::rootfs::tool;

pub fn add(cases: &mut Cases) {
    cases.check("convert/out", out);
    cases.check("convert/in-place-and-back", in_place);
    cases.check("convert/backup-on-another-file-system", elsewhere);
    cases.check("convert/twice", twice);
    cases.check("convert/exclude-and-dirs", exclude);
    // Only root can make privileged programs.
    cases.needing(&["root"]).check("convert/privileges", privileges);
    cases.check("restore/changed-since", changed_since);
    cases.check("restore/no-backup", no_backup);
}

/// What is a converted program in a tree: its manifest says so.
fn is_converted(contents: &[u8]) -> bool {
    contents.starts_with(b"\x7fELF") && contents.windows(8).any(|word| word == b"statify\0")
}

/// `after` is `before` with all programs converted, and nothing else changed.
fn only_programs_differ(after: &Snapshot, before: &Snapshot) -> Result<usize> {
    let mut expected = before.clone();
    let mut count = 0;
    for (path, seen) in &mut expected {
        let now = after.get(path).with_context(|| format!("{} is gone", path.display()))?;
        if is_converted(&now.contents) {
            ensure!(
                path.starts_with("usr/bin")
                    || path.starts_with("usr/sbin")
                    || path.ends_with("gzip-too")
            );
            seen.contents = now.contents.clone();
            count += 1;
        }
    }
    snapshot::same(after, &expected, true)?;
    Ok(count)
}

/// Says in `root` what the machine's program says.
fn works(root: &Path) -> Result<()> {
    for (program, arguments) in
        [("usr/bin/wc", ["-c", "/dev/null"]), ("usr/sbin/cat-again", ["-u", "/dev/null"])]
    {
        let output = Command::new(root.join(program)).args(arguments).output()?;
        ensure!(output.status.success(), "{program}: {}", output.status);
    }
    let output = Command::new(root.join("usr/bin/expr-too")).args(["6", "*", "7"]).output()?;
    ensure!(output.stdout == b"42\n", "expr-too says {output:?}");
    Ok(())
}

fn out(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    let before = snapshot::of(&root.dir)?;
    let out = case.dir.join("out");
    tool::good(["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true).context("ROOT")?;
    let after = snapshot::of(&out)?;
    let count = only_programs_differ(&after, &before)?;
    ensure!(count >= 20, "{count} names converted");
    let sparse = |dir: &Path| -> Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(dir.join("etc/sparse").metadata()?.blocks())
    };
    ensure!(sparse(&out)? <= sparse(&root.dir)? + 8, "the hole was filled");
    works(&out)?;
    let left = tool::good(["restore".as_ref(), out.as_os_str()])?;
    ensure!(left.contains("restored"));
    snapshot::same(&snapshot::of(&out)?, &before, true).context("restored")?;
    ensure!(!out.join(".rootfs-tools").exists());
    Ok(())
}

/// `convert ROOT --in-place` and more.
fn convert<'a>(root: &'a Path, more: &[&'a Path]) -> Vec<&'a Path> {
    [&["convert".as_ref(), root, "--in-place".as_ref()], more].concat()
}

fn in_place(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    let before = snapshot::of(&root.dir)?;
    let backup = case.dir.join("backup");
    tool::good(convert(&root.dir, &["--backup".as_ref(), &backup]))?;
    let after = snapshot::of(&root.dir)?;
    only_programs_differ(&after, &before)?;
    ensure!(after[Path::new("usr/bin/gzip")].names == 3, "gzip's names");
    ensure!(after[Path::new("usr/lib/gzip-too")].first == Path::new("usr/bin/gzip"));
    works(&root.dir)?;
    tool::good(["restore".as_ref(), root.dir.as_os_str()])?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    ensure!(!backup.exists(), "the backup stayed");
    Ok(())
}

/// /dev/shm is a file system of its own on nearly every machine.
fn elsewhere(case: &Case) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let root = guest::small(case)?;
    let shm = Path::new("/dev/shm");
    let other = match shm.metadata() {
        Ok(shm_stat) if shm_stat.dev() != root.dir.metadata()?.dev() => {
            tempfile::Builder::new().prefix("statify-tests-").tempdir_in(shm)?
        }
        _ => tempfile::tempdir_in(&case.dir)?,
    };
    let before = snapshot::of(&root.dir)?;
    let backup = other.path().join("backup");
    tool::good(convert(&root.dir, &["--backup".as_ref(), &backup]))?;
    only_programs_differ(&snapshot::of(&root.dir)?, &before)?;
    let kept = snapshot::of(&backup)?;
    let (kept, original) = (&kept[Path::new("usr/bin/ls")], &before[Path::new("usr/bin/ls")]);
    ensure!((kept.traits, kept.modified) == (original.traits, original.modified));
    let moved = other.path().join("moved");
    fs::rename(&backup, &moved)?;
    let outcome = tool::run(["restore".as_ref(), root.dir.as_os_str()])?;
    ensure!(outcome.end == End::Exit(1) && outcome.stderr_text().contains("cannot be put back"));
    tool::good(["restore".as_ref(), root.dir.as_os_str(), "--backup".as_ref(), moved.as_os_str()])?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)
}

/// A program that is upgraded after a run is converted by the next one; the way back leads to the newer one.
fn twice(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let backup = case.dir.join("backup");
    let run = || tool::good(convert(&root.dir, &["--backup".as_ref(), &backup]));
    ensure!(run()?.contains(" 3 programs converted"));
    ensure!(run()?.contains(" 0 programs converted"));
    shell(&root.dir, "rm usr/bin/one; cp /bin/ls usr/bin/one")?;
    root.add_program(Path::new("/bin/ls"), "/usr/bin/one")?;
    let before = fs::read(root.path("/usr/bin/one"))?;
    ensure!(run()?.contains(" 1 programs converted"));
    ensure!(is_converted(&fs::read(root.path("/usr/bin/one"))?));
    tool::good(["restore".as_ref(), root.dir.as_os_str()])?;
    ensure!(fs::read(root.path("/usr/bin/one"))? == before, "not the newer one");
    ensure!(fs::read(root.path("/usr/bin/two"))? == fs::read("/bin/true")?);
    Ok(())
}

fn exclude(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let said = tool::good(convert(
        &root.dir,
        &[
            "--no-backup".as_ref(),
            "--exclude".as_ref(),
            "o*".as_ref(),
            "--dirs".as_ref(),
            "/bin".as_ref(),
        ],
    ))?;
    ensure!(said.contains(" 2 programs converted") && said.contains("1 excluded"), "{said}");
    ensure!(!is_converted(&fs::read(root.path("/usr/bin/one"))?));
    // Hard links stay hard links, wherever the other name is.
    ensure!(is_converted(&fs::read(root.path("/usr/sbin/four"))?));
    Ok(())
}

fn privileges(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    root.add_program(Path::new("/usr/bin/id"), "/usr/bin/id")?;
    guest::add_privileged(&root)?;
    let before = snapshot::of(&root.dir)?;
    let backup = case.dir.join("backup");
    let arguments = convert(&root.dir, &["--backup".as_ref(), &backup]);
    let outcome = tool::run(&arguments)?;
    ensure!(outcome.end == End::Exit(1), "{}", outcome.end);
    ensure!(outcome.stderr_text().contains("/usr/bin/set-id: it is set-user-ID"));
    ensure!(outcome.stderr_text().contains("/usr/bin/capable: it has file capabilities"));
    tool::good([&arguments[..], &["--keep-going".as_ref()]].concat())?;
    // Nobody else may be able to change what they consist of.
    shell(&root.dir, "chmod -R go-w .")?;
    tool::good([&arguments[..], &["--preserve-privileges".as_ref()]].concat())?;
    let after = snapshot::of(&root.dir)?;
    for name in ["usr/bin/set-id", "usr/bin/capable"] {
        let (now, then) = (&after[Path::new(name)], &before[Path::new(name)]);
        ensure!(is_converted(&now.contents), "{name}");
        ensure!(
            (now.traits, &now.attributes) == (then.traits, &then.attributes),
            "{name}: {:?}",
            now.traits
        );
    }
    tool::good(["restore".as_ref(), root.dir.as_os_str()])?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)
}

/// What came later than the conversion is nobody's to overwrite.
fn changed_since(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let backup = case.dir.join("backup");
    tool::good(convert(&root.dir, &["--backup".as_ref(), &backup]))?;
    shell(&root.dir, "rm usr/bin/two; echo new > usr/bin/two")?;
    let outcome = tool::run(["restore".as_ref(), root.dir.as_os_str()])?;
    ensure!(outcome.end == End::Exit(1));
    ensure!(
        outcome.stderr_text().contains("/usr/bin/two: it is neither"),
        "{}",
        outcome.stderr_text()
    );
    ensure!(fs::read(root.path("/usr/bin/two"))? == b"new\n");
    ensure!(fs::read(root.path("/usr/bin/one"))? == fs::read("/bin/true")?);
    ensure!(backup.join("usr/bin/two").exists(), "its original is gone");
    Ok(())
}

fn no_backup(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    tool::good(convert(&root.dir, &["--no-backup".as_ref()]))?;
    let after = snapshot::of(&root.dir)?;
    tool::refused(&tool::run(["restore".as_ref(), root.dir.as_os_str()])?, "--no-backup")?;
    snapshot::same(&snapshot::of(&root.dir)?, &after, true)
}
