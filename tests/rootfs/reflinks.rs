//! Blocks that converted programs share with their libraries, on file systems that can.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rootfs_tools::run::donor::Donor;
use rootfs_tools::run::reflink::Reflink;
use rootfs_tools::tree::Tree;
use statify::sharing::Sharing;
use statify_tests::case::{Case, Cases};
use statify_tests::report::Done;

use crate::rootfs::disk::{self, Disk, Kind};
use crate::rootfs::{guest, snapshot, tool};

pub fn add(cases: &mut Cases) {
    for (name, kind) in [("btrfs", Kind::Btrfs), ("xfs", Kind::Xfs)] {
        cases.needing(kind.needs()).add(&format!("reflink/{name}"), move |case| {
            disk::with(case, kind, 2048, |disk| shared(case, disk).map(|()| Done::Passed))
        });
    }
    cases.needing(Kind::Btrfs.needs()).add("reflink/a-library-changes", |case| {
        disk::with(case, Kind::Btrfs, 256, |disk| changes(&disk.dir).map(|()| Done::Passed))
    });
    cases.needing(Kind::Tmpfs.needs()).add("reflink/where-there-are-none", |case| {
        disk::with(case, Kind::Tmpfs, 256, |disk| none(&disk.dir).map(|()| Done::Passed))
    });
}

/// What a run has added to the disk, and what it says.
fn grows_by(disk: &Disk, arguments: &[&Path]) -> Result<(u64, String)> {
    let before = disk.used()?;
    let said = tool::good(arguments)?;
    Ok((disk.used()?.saturating_sub(before), said))
}

/// The sum of the sizes of the programs in a tree.
fn programs(tree: &Path) -> Result<u64> {
    let mut sum = 0;
    for dir in ["usr/bin", "usr/sbin"] {
        for entry in fs::read_dir(tree.join(dir))? {
            let stat = entry?.metadata()?;
            sum += if stat.is_file() { stat.len() } else { 0 };
        }
    }
    Ok(sum)
}

fn shared(case: &Case, disk: &Disk) -> Result<()> {
    let root = disk.dir.join("guest");
    guest::copy(&guest::small(case)?.dir, &root)?;
    let before = snapshot::of(&root)?;
    let word = |text: &'static str| Path::new(text);
    let run = |name: &str, more: &[&Path]| -> Result<(PathBuf, u64, String)> {
        let out = disk.dir.join(name);
        let arguments = [&[word("convert"), &root, word("--out"), &out], more].concat();
        let (growth, said) = grows_by(disk, &arguments)?;
        Ok((out, growth, said))
    };
    let (plain, growth_plain, said) = run("plain", &[word("--reflink"), word("never")])?;
    ensure!(!said.contains("shared"), "{said}");
    let expected = snapshot::of(&plain)?;
    let more = programs(&plain)? - programs(&root)?;
    ensure!(growth_plain > more * 9 / 10, "only {growth_plain} bytes without sharing");
    let (reflinked, growth, said) = run("reflinked", &[word("--reflink"), word("always")])?;
    ensure!(said.contains("shared with libraries"), "{said}");
    snapshot::same(&snapshot::of(&reflinked)?, &expected, true)?;
    ensure!(growth * 6 < growth_plain, "{growth} bytes, {growth_plain} without sharing");
    // From a cache, on this disk and on another.
    for (name, cache) in [("near", disk.dir.join("cache")), ("far", case.dir.join("cache"))] {
        run(&format!("{name}-first"), &[word("--cache"), &cache])?;
        let (cached, growth, said) = run(name, &[word("--cache"), &cache])?;
        snapshot::same(&snapshot::of(&cached)?, &expected, true).context(name)?;
        ensure!(said.contains("shared with libraries"), "{name}: {said}");
        ensure!(growth * 6 < growth_plain, "{name}: {growth} bytes, {growth_plain} written");
    }
    let backup = disk.dir.join("backup");
    let arguments =
        [word("convert"), &root, word("--in-place"), word("--backup"), backup.as_path()];
    let (growth, _) = grows_by(disk, &arguments)?;
    snapshot::same(&snapshot::of(&root)?, &expected, true).context("in place")?;
    ensure!(growth * 6 < growth_plain, "in place: {growth} bytes, {growth_plain} written");
    let json = tool::good([word("report"), &root, word("--json")])?;
    let report: serde_json::Value = serde_json::from_str(&json)?;
    ensure!(report["programs"].as_array().is_some_and(|programs| programs.len() >= 20), "{report}");
    tool::good([word("restore"), &root])?;
    snapshot::same(&snapshot::of(&root)?, &before, true).context("restored")
}

/// What is compared is what becomes shared, whatever is done to the library meanwhile.
fn changes(dir: &Path) -> Result<()> {
    let old: Vec<u8> = (0..64u8).flat_map(|page| [page; 4096]).collect();
    let path = dir.join("library");
    fs::write(&path, &old)?;
    let donor = Donor::open(&Tree::open(dir)?, Reflink::Always)?.context("no donor")?;
    let output = |name: &str| -> Result<fs::File> {
        let mut options = fs::File::options();
        Ok(options.read(true).write(true).create_new(true).open(dir.join(name))?)
    };
    let share =
        |file: &fs::File, bytes: &[u8]| donor.share(Path::new("/library"), 0, bytes, file, 0);
    let one = output("one")?;
    let (all, pages) = (0..old.len() as u64, 0..8192);
    let whole = [all];
    ensure!(share(&one, &old) == whole);
    let mut new = old.clone();
    new[10 * 4096..50 * 4096].fill(0xee);
    fs::File::options().write(true).open(&path)?.write_all_at(&new, 0)?;
    let (two, three) = (output("two")?, output("three")?);
    ensure!(share(&two, &old) == whole, "the old library is not known any more");
    ensure!(share(&three, &new) == [0..10 * 4096, 50 * 4096..64 * 4096], "what differs was shared");
    // What no file has is written once.
    let (name, page) = (dir.join("repeats"), [[0x77; 4096], [0x78; 4096]].concat());
    let repeats = output("repeats")?;
    ensure!(donor.share_repeated(&page, &repeats, 4096).is_empty());
    repeats.write_all_at(&page, 4096)?;
    donor.remember(&name);
    repeats.write_all_at(b"changed", 4096 + 100)?;
    let again = output("again")?;
    ensure!(donor.share_repeated(&page, &again, 0) == [pages], "it is not known");
    ensure!(fs::read(dir.join("again"))? == page, "it changed with the first output");
    for file in [one, two] {
        let mut bytes = vec![0; old.len()];
        file.read_exact_at(&mut bytes, 0)?;
        ensure!(bytes == old, "an output changed with the library");
    }
    Ok(())
}

fn none(dir: &Path) -> Result<()> {
    let root = guest::tiny(dir.join("guest"))?;
    let before = snapshot::of(&root.dir)?;
    let out = dir.join("out");
    let arguments = ["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()];
    let always = [&arguments[..], &["--reflink".as_ref(), "always".as_ref()]].concat();
    tool::refused(&tool::run(always)?, "cannot share blocks on its file system")?;
    let mut in_place = vec!["convert".as_ref(), root.dir.as_os_str(), "--in-place".as_ref()];
    in_place.extend(["--no-backup", "--reflink", "always"].map(std::ffi::OsStr::new));
    tool::refused(&tool::run(in_place)?, "cannot share blocks on its file system")?;
    ensure!(fs::read_dir(dir)?.count() == 1, "something was left");
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    let said = tool::good(arguments)?;
    ensure!(said.contains(" 3 programs converted") && !said.contains("shared"), "{said}");
    Ok(())
}
