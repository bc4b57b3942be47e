//! A journal that somebody else has written, such as root in the guest: it is read as far as it makes sense,
//! and nothing outside of the tree is done at its word.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use statify_elf::ElfFile;
use statify_format::manifest::hex;
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;
use statify_tests::small_root::SmallRoot;

use crate::rootfs::{guest, snapshot, tool};

pub fn add(cases: &mut Cases) {
    cases.check("forged/backup-elsewhere", elsewhere);
    cases.check("forged/another-guests-backup", another_guests);
    cases.check("forged/source-of-a-copy", source);
    cases.check("forged/out-of-a-run", out);
    cases.check("forged/nonsense", nonsense);
    cases.check("forged/older-journal", older);
    cases.check("forged/moved-and-copied-trees", moved);
    cases.check("forged/work-directories", work_directories);
}

/// The records of a journal.
pub fn records(root: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(root.join(".rootfs-tools/journal"))?;
    let lines = text.lines().skip(1).map(|line| line.split_once(' ').context("no record"));
    lines.map(|line| Ok(serde_json::from_str(line?.1)?)).collect()
}

/// Writes a journal with these records, as its reader wants it.
pub fn write(root: &Path, records: &[Value]) -> Result<()> {
    let first = "rootfs-tools journal 2\n";
    let mut chain = Sha256::digest(first);
    let mut bytes = first.as_bytes().to_vec();
    for record in records {
        let record = record.to_string();
        chain = Sha256::new().chain_update(chain).chain_update(&record).finalize();
        bytes.extend(format!("{} {record}\n", hex(&chain[..16])).bytes());
    }
    fs::create_dir_all(root.join(".rootfs-tools"))?;
    Ok(fs::write(root.join(".rootfs-tools/journal"), bytes)?)
}

fn begin(root: &Path) -> Value {
    json!({
        "record": "begin", "id": "0123456789abcdef0123456789abcdef", "version": "0", "fixed": false,
        "align": 4096, "preserve_privileges": false, "tree": root, "source": null, "backup": null,
        "image": { "files": 1, "apparent": 1, "allocated": 1 },
    })
}

/// Whoever looks at /usr/bin/one finds what it was replaced by; the original would be `kept`.
fn replace(root: &Path, original: &Path, kept: &str) -> Result<Value> {
    let one = fs::read(root.join("usr/bin/one"))?;
    let elf = ElfFile::parse(&one).ok().and_then(|elf| elf.build_id()).context("no build-id")?;
    let original = fs::read(original)?;
    Ok(json!({
        "record": "replace", "id": 0, "names": ["/usr/bin/one"], "kept": kept,
        "original": {
            "size": original.len(), "allocated": 4096, "sha256": hex(&Sha256::digest(&original)),
        },
        "converted": {
            "size": one.len(), "allocated": 1, "build_id": hex(&elf), "shared": 0, "cached": false,
            "files": [],
        },
    }))
}

/// A guest, and files of the host.
fn scene(case: &Case) -> Result<(SmallRoot, PathBuf)> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let host = case.dir.join("host");
    fs::create_dir_all(host.join("empty"))?;
    fs::create_dir_all(host.join("usr/bin"))?;
    for name in ["shadow", "ls", "usr/bin/one", "one"] {
        fs::copy("/bin/ls", host.join(name))?;
    }
    Ok((root, host))
}

/// All commands, of which none may touch anything.
fn do_nothing(root: &Path, host: &Path, more: &[&Path]) -> Result<()> {
    let before = [snapshot::of(root)?, snapshot::of(host)?];
    let journal = records(root)?;
    let word = |text: &'static str| Path::new(text);
    for command in [
        [&[word("restore"), root], more].concat(),
        vec![word("check"), root],
        vec![word("report"), root],
    ] {
        let outcome = tool::run(&command)?;
        let said = outcome.stderr_text();
        ensure!(matches!(outcome.end, End::Exit(0 | 1)), "{command:?}: {}: {said}", outcome.end);
        if command[0] == word("restore") {
            ensure!(outcome.end == End::Exit(1), "it was restored: {said}");
        }
        snapshot::same(&snapshot::of(root)?, &before[0], false).context("the guest")?;
        snapshot::same(&snapshot::of(host)?, &before[1], true).context("the host")?;
        write(root, &journal)?;
    }
    Ok(())
}

fn elsewhere(case: &Case) -> Result<()> {
    let (root, host) = scene(case)?;
    let converted = fs::read(root.path("/usr/bin/one"))?;
    for kept in ["shadow", "ls", "usr/bin/one"] {
        let mut begin = begin(&root.dir);
        begin["backup"] = json!(host);
        // One that would be removed with its original in place, and one that would be put there.
        for original in [root.path("/usr/bin/one"), host.join(kept)] {
            let in_place = original.starts_with(&root.dir);
            let mut replace = replace(&root.dir, &original, kept)?;
            if in_place {
                replace["converted"]["size"] = json!(1);
            }
            write(&root.dir, &[begin.clone(), replace])?;
            if in_place {
                let before = snapshot::of(&host)?;
                tool::run(["restore".as_ref(), root.dir.as_os_str()])?;
                snapshot::same(&snapshot::of(&host)?, &before, true)?;
            } else {
                do_nothing(&root.dir, &host, &[])?;
                do_nothing(&root.dir, &host, &["--backup".as_ref(), &host])?;
            }
        }
        // A journal of its own that is of another run.
        let own = host.join(".rootfs-tools-backup");
        fs::create_dir(&own)?;
        fs::copy(root.path("/.rootfs-tools/journal"), own.join("journal"))?;
        begin["id"] = json!("f".repeat(32));
        write(&root.dir, &[begin, replace(&root.dir, &host.join(kept), kept)?])?;
        do_nothing(&root.dir, &host, &[])?;
        fs::remove_dir_all(own)?;
    }
    ensure!(fs::read(root.path("/usr/bin/one"))? == converted);
    Ok(())
}

fn convert(root: &Path, more: &[&Path]) -> Result<String> {
    tool::good([&["convert".as_ref(), root, "--in-place".as_ref()], more].concat())
}

/// One guest names the backup of another.
fn another_guests(case: &Case) -> Result<()> {
    let victim = guest::tiny(case.dir.join("victim"))?;
    let before = snapshot::of(&victim.dir)?;
    let backup = case.dir.join("backup");
    convert(&victim.dir, &["--backup".as_ref(), &backup])?;
    let root = guest::tiny(case.dir.join("guest"))?;
    let mut begin = begin(&root.dir);
    begin["backup"] = json!(backup);
    let kept = backup.join("usr/bin/three");
    write(&root.dir, &[begin.clone(), replace(&root.dir, &kept, "usr/bin/three")?])?;
    do_nothing(&root.dir, &backup, &[])?;
    // Nothing but a beginning: nothing of the other's goes.
    write(&root.dir, &[begin])?;
    tool::run(["restore".as_ref(), root.dir.as_os_str()])?;
    let arguments = ["convert".as_ref(), root.dir.as_os_str(), "--in-place".as_ref()];
    let backup_too = ["--backup".as_ref(), backup.as_os_str()];
    tool::refused(&tool::run(arguments.iter().chain(&backup_too))?, "not empty")?;
    tool::good(["restore".as_ref(), victim.dir.as_os_str()])?;
    snapshot::same(&snapshot::of(&victim.dir)?, &before, true)
}

/// A guest that says that it is a copy of the host.
fn source(case: &Case) -> Result<()> {
    let (root, host) = scene(case)?;
    let mut begin = begin(&root.dir);
    begin["source"] = json!(host);
    for kept in ["/usr/bin/one", "/shadow", "/../shadow"] {
        let original = host.join("shadow");
        write(&root.dir, &[begin.clone(), replace(&root.dir, &original, kept)?])?;
        if kept.contains("..") {
            for command in ["restore", "report", "check"] {
                let outcome = tool::run([command.as_ref(), root.dir.as_os_str()])?;
                tool::refused(&outcome, "line 3 of the journal is damaged")?;
            }
            continue;
        }
        do_nothing(&root.dir, &host, &[])?;
    }
    Ok(())
}

/// The journal of an honest copy, changed; and a copy that somebody else has put there.
fn out(case: &Case) -> Result<()> {
    let (root, host) = scene(case)?;
    let out = case.dir.join("out");
    let arguments = ["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()];
    tool::good(arguments)?;
    let honest = records(&out)?;
    let mut forged = honest.clone();
    for record in &mut forged {
        if record["record"] == "begin" {
            record["source"] = json!(host);
        }
        if record["names"][0] == "/usr/bin/one" {
            let replaced = replace(&out, &host.join("shadow"), "/usr/bin/one")?;
            record["original"] = replaced["original"].clone();
        }
    }
    write(&out, &forged)?;
    // What is written down beside it counts: the original comes from the tree that was copied.
    let before = snapshot::of(&host)?;
    tool::run(["restore".as_ref(), out.as_os_str()])?;
    ensure!(fs::read(out.join("usr/bin/one"))? == fs::read(root.path("/usr/bin/one"))?);
    snapshot::same(&snapshot::of(&host)?, &before, true)?;
    // Without that, it is not gone on with.
    fs::remove_dir_all(&out)?;
    guest::copy(&root.dir, &out)?;
    write(&out, &honest)?;
    tool::refused(&tool::run(arguments)?, "not empty, and not from a run on")
}

/// What no run writes.
fn nonsense(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let replace = replace(&root.dir, Path::new("/bin/true"), "usr/bin/one")?;
    let mut begin = begin(&root.dir);
    begin["backup"] = json!("/nowhere");
    let change = |record: &Value, field: &str, value: Value| {
        let mut record = record.clone();
        if let Some(at) = record.pointer_mut(field) {
            *at = value;
        }
        record
    };
    let huge = json!(u64::MAX);
    let end = json!({ "record": "end", "seconds": huge, "left": { "script": huge } });
    let replaced = json!({ "record": "replaced", "id": 0 });
    let failed = json!({ "record": "failed", "names": [], "reason": "", "message": "" });
    let journals = [
        (
            "no names",
            vec![
                begin.clone(),
                change(&replace, "/names", json!([])),
                replaced.clone(),
                end.clone(),
            ],
        ),
        (
            "an empty name",
            vec![begin.clone(), change(&replace, "/names", json!([""])), replaced.clone()],
        ),
        (
            "the root",
            vec![begin.clone(), change(&replace, "/names", json!(["/"])), replaced.clone()],
        ),
        (
            "upwards",
            vec![begin.clone(), change(&replace, "/names", json!(["/../x"])), replaced.clone()],
        ),
        (
            "a NUL",
            vec![begin.clone(), change(&replace, "/names", json!(["/a\\x00b"])), replaced.clone()],
        ),
        (
            "kept upwards",
            vec![begin.clone(), change(&replace, "/kept", json!("../x")), replaced.clone()],
        ),
        ("the last number", vec![begin.clone(), change(&replace, "/id", huge.clone())]),
        ("failed without a name", vec![begin.clone(), failed]),
        ("nothing begun", vec![replace.clone(), replaced.clone(), end.clone()]),
        (
            "huge",
            vec![
                change(&begin, "/image/apparent", huge.clone()),
                change(
                    &change(&replace, "/original/size", huge.clone()),
                    "/converted/size",
                    huge.clone(),
                ),
                replaced.clone(),
                change(
                    &change(&change(&replace, "/original/size", huge.clone()), "/id", json!(1)),
                    "/names",
                    json!(["/usr/bin/two"]),
                ),
                json!({ "record": "replaced", "id": 1 }),
                end.clone(),
            ],
        ),
        (
            "zeros",
            vec![
                begin.clone(),
                change(&change(&replace, "/original/size", json!(0)), "/converted/size", json!(0)),
                replaced.clone(),
                end,
            ],
        ),
    ];
    let before = snapshot::of(&root.dir)?;
    for (what, journal) in &journals {
        for command in [
            &["report", "ROOT"][..],
            &["report", "ROOT", "--json", "--chunks"],
            &["report", "ROOT", "--csv"],
            &["check", "ROOT", "--no-run"],
            &["check", "ROOT"],
            &["restore", "ROOT"],
            &["convert", "ROOT", "--dry-run"],
        ] {
            write(&root.dir, journal)?;
            let arguments = command.iter().map(|word| match *word {
                "ROOT" => root.dir.as_os_str(),
                other => other.as_ref(),
            });
            let outcome = tool::run(arguments)?;
            let said = outcome.stderr_text();
            ensure!(
                matches!(outcome.end, End::Exit(0 | 1)),
                "{what}: {command:?}: {}: {said}",
                outcome.end
            );
            snapshot::same(&snapshot::of(&root.dir)?, &before, false).context(*what)?;
        }
    }
    // More than any run writes.
    let many = root.path("/.rootfs-tools/journal");
    fs::create_dir_all(root.path("/.rootfs-tools"))?;
    fs::File::create(&many)?.set_len(1 << 40)?;
    let outcome = tool::run(["report".as_ref(), root.dir.as_os_str()])?;
    tool::refused(&outcome, "it cannot be read")
}

/// The guest puts an older journal back: what was kept is known all the same.
fn older(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let before = snapshot::of(&root.dir)?;
    let backup = case.dir.join("backup");
    convert(&root.dir, &["--backup".as_ref(), &backup])?;
    let journal = records(&root.dir)?;
    let is_begin = |record: &Value| record["record"] == "begin" || record["record"] == "directory";
    let beginning: Vec<_> = journal.into_iter().filter(is_begin).collect();
    write(&root.dir, &beginning)?;
    tool::good(["restore".as_ref(), root.dir.as_os_str()])?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    ensure!(!backup.exists(), "the backup stayed");
    Ok(())
}

fn moved(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let before = snapshot::of(&root.dir)?;
    let (backup, other) = (case.dir.join("backup"), case.dir.join("other"));
    convert(&root.dir, &["--backup".as_ref(), &backup])?;
    // A copy of it is not what the backup belongs to.
    guest::copy(&root.dir, &other)?;
    let converted = snapshot::of(&other)?;
    let outcome = tool::run(["restore".as_ref(), other.as_os_str()])?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1) && said.contains("of which this is a copy"), "{said}");
    snapshot::same(&snapshot::of(&other)?, &converted, false)?;
    ensure!(backup.join("usr/bin/one").exists(), "the backup is gone");
    fs::remove_dir_all(&other)?;
    // Moved, it is.
    fs::rename(&root.dir, &other)?;
    tool::good(["restore".as_ref(), other.as_os_str()])?;
    snapshot::same(&snapshot::of(&other)?, &before, true)?;
    // A copy that was converted, and is where it was made no more.
    let out = case.dir.join("out");
    tool::good(["convert".as_ref(), other.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    let new = case.dir.join("new");
    fs::rename(&out, &new)?;
    let outcome = tool::run(["restore".as_ref(), new.as_os_str()])?;
    let said = outcome.stderr_text();
    ensure!(
        outcome.end == End::Exit(1) && said.contains("no record of it beside the tree"),
        "{said}"
    );
    tool::good(["restore".as_ref(), new.as_os_str(), "--backup".as_ref(), other.as_os_str()])?;
    snapshot::same(&snapshot::of(&new)?, &before, true)
}

/// What is called as a run's working place, and is none of a run's.
fn work_directories(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let outside = case.dir.join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("file"), "")?;
    for name in [".rootfs-tools-work", ".rootfs-tools-work-00000000000000000000000000000000"] {
        let dir = root.path("/usr/bin").join(name);
        fs::create_dir(&dir)?;
        fs::write(dir.join("mine"), "mine")?;
    }
    symlink(&outside, root.path("/usr/sbin/.rootfs-tools-work"))?;
    let before = snapshot::of(&root.dir)?;
    let (out, backup) = (case.dir.join("out"), case.dir.join("backup"));
    tool::good(["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    convert(&root.dir, &["--backup".as_ref(), &backup])?;
    // The originals of the copy are in the tree that was copied.
    for tree in [&root.dir, &out] {
        tool::good(["restore".as_ref(), tree.as_os_str()])?;
        snapshot::same(&snapshot::of(tree)?, &before, true)?;
    }
    ensure!(outside.join("file").metadata()?.nlink() == 1);
    Ok(())
}
