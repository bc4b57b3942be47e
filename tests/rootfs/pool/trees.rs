//! Directories: in a copy, in place, back, from a cache, estimated, with shared blocks.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;
use statify_tests::report::Done;

use super::{POOL, WANTED, arguments, convert_out, mapped, pool_of, tiny};
use crate::rootfs::disk::{self, Kind};
use crate::rootfs::{guest, snapshot, tool};

pub fn add(cases: &mut Cases) {
    // Only root can have one that programs trust.
    cases.needing(&["root"]).check("pool/out", out);
    cases.check("pool/in-place-and-back", in_place);
    cases.check("pool/changed-since", changed_since);
    cases.check("pool/cache", cache);
    cases.check("pool/dry-run", dry_run);
    cases.check("pool/usage", usage);
    cases.needing(Kind::Btrfs.needs()).add("pool/shared-blocks", |case| {
        disk::with(case, Kind::Btrfs, 512, |disk| shared_blocks(case, disk).map(|()| Done::Passed))
    });
}

fn out(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    let before = snapshot::of(&root.dir)?;
    let (out, without) = (case.dir.join("out"), case.dir.join("without"));
    let said = convert_out(&root.dir, &out)?;
    ensure!(said.contains(" 3 programs converted"), "{said}");
    snapshot::same(&snapshot::of(&root.dir)?, &before, true).context("ROOT")?;
    let names = pool_of(&out)?;
    // The C library at least; whatever is there is somebody's.
    ensure!(!names.is_empty() && mapped(&out)?.is_subset(&names), "{names:?}");
    ensure!(!mapped(&out)?.is_empty(), "nothing is mapped from the pool");
    tool::good(["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), without.as_os_str()])?;
    ensure!(!without.join(POOL).exists() && mapped(&without)?.is_empty());
    // Made anew, it is the same.
    let again = case.dir.join("again");
    convert_out(&root.dir, &again)?;
    snapshot::same(&snapshot::of(&again)?, &snapshot::of(&out)?, true).context("again")?;
    // A pool that others could write to is left alone, as is one that is gone.
    let pool = out.join(POOL);
    fs::set_permissions(&pool, Permissions::from_mode(0o775))?;
    ensure!(mapped(&out)?.is_empty(), "an open pool is trusted");
    fs::set_permissions(&pool, Permissions::from_mode(0o755))?;
    ensure!(!mapped(&out)?.is_empty());
    let report: Value = serde_json::from_str(&tool::good([
        "report".as_ref(),
        out.as_os_str(),
        "--json".as_ref(),
    ])?)?;
    let size: u64 =
        names.iter().map(|name| pool.join(name).metadata().map_or(0, |s| s.len())).sum();
    ensure!(
        report["pool"]["files"] == names.len() && report["pool"]["size"] == size,
        "{}",
        report["pool"]
    );
    ensure!(report["pool"]["path"] == format!("/{POOL}"));
    let converted = |report: &Value| report["image"]["converted"]["apparent"].as_u64();
    let other = tool::good(["report".as_ref(), without.as_os_str(), "--json".as_ref()])?;
    let other = converted(&serde_json::from_str(&other)?).context("no size")?;
    let grown = converted(&report).context("no size")?;
    ensure!(grown.abs_diff(other + size) < 1 << 20, "{grown} with, {other} without, {size}");
    let text = tool::good(["report".as_ref(), out.as_os_str()])?;
    ensure!(text.contains(&format!("pool of {} libraries", names.len())), "{text}");
    fs::remove_dir_all(&pool)?;
    ensure!(mapped(&out)?.is_empty());
    tool::good(["restore".as_ref(), out.as_os_str()])?;
    snapshot::same(&snapshot::of(&out)?, &before, true).context("restored")
}

fn in_place(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    root.add_program(Path::new("/bin/ls"), "/usr/bin/five")?;
    let later = case.dir.join("later");
    fs::rename(root.path("usr/bin/five"), &later)?;
    // Somebody else's stays.
    fs::create_dir_all(root.path("usr/lib/statify"))?;
    fs::write(root.path("usr/lib/statify/notes"), "mine")?;
    let before = snapshot::of(&root.dir)?;
    let backup = case.dir.join("backup");
    let run = arguments(&root.dir, &["--in-place".as_ref(), "--backup".as_ref(), &backup]);
    tool::good(&run)?;
    let names = pool_of(&root.dir)?;
    ensure!(!names.is_empty());
    // One program more, which needs more.
    fs::copy(&later, root.path("usr/bin/five"))?;
    tool::good(&run)?;
    let more = pool_of(&root.dir)?;
    ensure!(more.is_superset(&names) && more.len() > names.len(), "{more:?}");
    tool::good(["restore".as_ref(), root.dir.as_os_str()])?;
    ensure!(fs::read(root.path("usr/bin/five"))? == fs::read(&later)?);
    fs::remove_file(root.path("usr/bin/five"))?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, false)?;
    ensure!(!root.path(POOL).exists() && root.path("usr/lib/statify/notes").exists());
    ensure!(!backup.exists() && !root.path(".rootfs-tools").exists());
    // Originals that are gone keep their pool.
    tool::good(arguments(&root.dir, &["--in-place".as_ref(), "--no-backup".as_ref()]))?;
    let names = pool_of(&root.dir)?;
    tool::refused(&tool::run(["restore".as_ref(), root.dir.as_os_str()])?, "--no-backup")?;
    ensure!(pool_of(&root.dir)? == names);
    Ok(())
}

/// What is in the pool now and was not put there is nobody's to remove.
fn changed_since(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    let before = snapshot::of(&root.dir)?;
    let backup = case.dir.join("backup");
    tool::good(arguments(&root.dir, &["--in-place".as_ref(), "--backup".as_ref(), &backup]))?;
    let name = pool_of(&root.dir)?.pop_first().context("nothing in it")?;
    let path = root.path(POOL).join(name);
    let good = fs::read(&path)?;
    fs::remove_file(&path)?;
    fs::write(&path, "another")?;
    let restore = ["restore".as_ref(), root.dir.as_os_str()];
    let outcome = tool::run(restore)?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "{}: {said}", outcome.end);
    ensure!(said.contains("cannot be taken out of the pool: it was changed"), "{said}");
    ensure!(fs::read(&path)? == b"another" && root.path(".rootfs-tools/journal").exists());
    ensure!(fs::read(root.path("usr/bin/one"))? == fs::read("/bin/true")?);
    fs::write(&path, good)?;
    tool::good(restore)?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)
}

/// From a cache, too; another place is another output.
fn cache(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    let cache = case.dir.join("cache");
    let run = |name: &str, pool: &str| -> Result<(u64, PathBuf)> {
        let out = case.dir.join(name);
        let words: [&Path; 8] = [
            "convert".as_ref(),
            &root.dir,
            "--out".as_ref(),
            &out,
            "--pool".as_ref(),
            pool.as_ref(),
            "--cache".as_ref(),
            &cache,
        ];
        tool::good(words)?;
        let json = tool::good(["report".as_ref(), out.as_os_str(), "--json".as_ref()])?;
        let report: Value = serde_json::from_str(&json)?;
        let programs = report["programs"].as_array().context("no programs")?;
        let cached = programs.iter().filter(|program| program["cached"] == true).count();
        Ok((cached as u64, out))
    };
    let (first, one) = run("one", WANTED)?;
    // By another way to the same place.
    let (second, two) = run("two", "/usr/lib/statify/pool")?;
    ensure!((first, second) == (0, 3), "{first}, then {second} from the cache");
    ensure!(!pool_of(&two)?.is_empty());
    snapshot::same(&snapshot::of(&two)?, &snapshot::of(&one)?, true)?;
    let (third, three) = run("three", "/pool")?;
    ensure!(third == 0, "{third} of another pool");
    ensure!(fs::read(three.join("usr/bin/one"))? != fs::read(one.join("usr/bin/one"))?);
    Ok(())
}

fn dry_run(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    let before = snapshot::of(&root.dir)?;
    let words = arguments(&root.dir, &["--dry-run".as_ref()]);
    let text = tool::good(&words)?;
    let json = tool::good(words.iter().cloned().chain(["--json".into()]))?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    let said: Value = serde_json::from_str(&json)?;
    let out = case.dir.join("out");
    convert_out(&root.dir, &out)?;
    let report = tool::good(["report".as_ref(), out.as_os_str(), "--json".as_ref()])?;
    let report: Value = serde_json::from_str(&report)?;
    ensure!(
        said["pool"] == report["pool"],
        "{} estimated, {} in fact",
        said["pool"],
        report["pool"]
    );
    ensure!(text.contains("pool of "), "{text}");
    let size = |value: &Value| value.as_f64().context("no size");
    let guess = size(&said["image_growth"]["converted"])?;
    let fact = size(&report["image"]["converted"]["apparent"])?;
    ensure!((guess / fact - 1.0).abs() < 0.1, "{guess} estimated, {fact} in fact");
    Ok(())
}

fn usage(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    for pool in ["usr/lib/pool", "/", "/usr/../pool", ""] {
        let words = [
            "convert".as_ref(),
            root.dir.as_os_str(),
            "--dry-run".as_ref(),
            "--pool".as_ref(),
            pool.as_ref(),
        ];
        let outcome = tool::run(words)?;
        ensure!(outcome.end == End::Exit(2), "{pool:?}: {}", outcome.end);
    }
    Ok(())
}

/// The pool's files are clones of the libraries.
fn shared_blocks(case: &Case, disk: &disk::Disk) -> Result<()> {
    let root = disk.dir.join("guest");
    guest::copy(&tiny(case)?.dir, &root)?;
    let run = |name: &str, pool: &[&Path]| -> Result<u64> {
        let before = disk.used()?;
        let out = disk.dir.join(name);
        let words: [&Path; 4] = ["convert".as_ref(), &root, "--out".as_ref(), &out];
        tool::good([&words[..], pool].concat())?;
        Ok(disk.used()?.saturating_sub(before))
    };
    let without = run("without", &[])?;
    let with = run("with", &["--pool".as_ref(), WANTED.as_ref()])?;
    let names = pool_of(&disk.dir.join("with"))?;
    let at = |name: &String| disk.dir.join("with").join(POOL).join(name).metadata();
    let size: u64 = names.iter().map(|name| at(name).map_or(0, |stat| stat.len())).sum();
    ensure!(with < without + size / 4, "{with} bytes with, {without} without; the pool is {size}");
    Ok(())
}
