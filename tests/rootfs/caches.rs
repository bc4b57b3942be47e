//! Conversions kept: what is the same is taken, what is not is made anew, and nothing damaged is believed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rootfs_tools::cache::names::Names;
use serde_json::Value;
use sha2::{Digest, Sha256};
use statify_format::manifest::hex;
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Running};
use statify_tests::small_root::SmallRoot;

use crate::rootfs::{guest, snapshot, tool};

pub fn add(cases: &mut Cases) {
    cases.check("cache/same-bytes", same_bytes);
    cases.check("cache/a-library-changes", library_changes);
    cases.check("cache/another-library-is-found", another_library);
    cases.check("cache/damaged", damaged);
    cases.check("cache/forged", forged);
    cases.check("cache/shared-by-two-runs", shared);
    cases.check("cache/open-to-others", open_to_others);
}

/// Converts a copy of `root`; returns how many programs came from the cache, and the copy.
fn cached(case: &Case, root: &Path, name: &str, more: &[&str]) -> Result<(u64, PathBuf)> {
    let (out, cache) = (case.dir.join(name), case.dir.join("cache"));
    let mut arguments = vec![
        "convert".as_ref(),
        root.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--cache".as_ref(),
        cache.as_os_str(),
    ];
    arguments.extend(more.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
    tool::good(arguments)?;
    let json = tool::good(["report".as_ref(), out.as_os_str(), "--json".as_ref()])?;
    let report: Value = serde_json::from_str(&json)?;
    let programs = report["programs"].as_array().context("no programs")?;
    Ok((programs.iter().filter(|program| program["cached"] == true).count() as u64, out))
}

fn same_bytes(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    let (first, one) = cached(case, &root.dir, "one", &[])?;
    let (second, two) = cached(case, &root.dir, "two", &[])?;
    ensure!(first == 0 && second >= 20, "{first}, then {second} from the cache");
    snapshot::same(&snapshot::of(&two)?, &snapshot::of(&one)?, true)?;
    let (other, _) = cached(case, &root.dir, "three", &["--align", "65536"])?;
    ensure!(other == 0, "{other} with other options");
    Ok(())
}

/// A root with a program that needs libshared.so.1 of /opt/second, and looks into /opt/first before.
fn searching(case: &Case) -> Result<SmallRoot> {
    let library =
        case.library("libshared.so.1", "int shared = 1;", &["-Wl,-soname,libshared.so.1"])?;
    let dir = format!("-L{}", case.dir.display());
    let flags =
        ["-Wl,-rpath,/opt/first:/opt/second", "-Wl,--no-as-needed", &dir, "-l:libshared.so.1"];
    let program = case.build("answer", "program", &flags)?;
    let root = guest::tiny(case.dir.join("guest"))?;
    root.add(&program, "/usr/bin/program")?;
    root.add(&library, "/opt/second/libshared.so.1")?;
    Ok(root)
}

fn library_changes(case: &Case) -> Result<()> {
    let root = searching(case)?;
    ensure!(cached(case, &root.dir, "one", &[])?.0 == 0);
    let library = case.library("libnew.so", "int shared = 2;", &["-Wl,-soname,libshared.so.1"])?;
    root.add(&library, "/opt/second/libshared.so.1")?;
    let (hits, out) = cached(case, &root.dir, "two", &[])?;
    ensure!(hits == 3, "{hits} from the cache");
    let (again, other) = cached(case, &root.dir, "three", &[])?;
    ensure!(again == 4, "{again} from the cache");
    ensure!(fs::read(out.join("usr/bin/program"))? == fs::read(other.join("usr/bin/program"))?);
    Ok(())
}

/// Everything that was embedded is the same, but the loader would find another library first.
fn another_library(case: &Case) -> Result<()> {
    let root = searching(case)?;
    let (_, one) = cached(case, &root.dir, "one", &[])?;
    let library = case.library("libnew.so", "int shared = 2;", &["-Wl,-soname,libshared.so.1"])?;
    root.add(&library, "/opt/first/libshared.so.1")?;
    let (hits, two) = cached(case, &root.dir, "two", &[])?;
    ensure!(hits == 3, "{hits} from the cache");
    ensure!(fs::read(one.join("usr/bin/program"))? != fs::read(two.join("usr/bin/program"))?);
    Ok(())
}

fn damaged(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let (_, one) = cached(case, &root.dir, "one", &[])?;
    let before = snapshot::of(&one)?;
    let recipes: Vec<_> =
        fs::read_dir(case.dir.join("cache/recipes"))?.collect::<Result<_, _>>()?;
    ensure!(recipes.len() == 2, "{} recipes", recipes.len());
    // One has a byte changed; the other is an intact program of another kind.
    let mut bytes = fs::read(recipes[0].path())?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(recipes[0].path(), bytes)?;
    fs::copy("/bin/true", recipes[1].path())?;
    let (hits, two) = cached(case, &root.dir, "two", &[])?;
    ensure!(hits == 0, "{hits} from a damaged cache");
    snapshot::same(&snapshot::of(&two)?, &before, true)?;
    // What was damaged was replaced.
    let (hits, again) = cached(case, &root.dir, "again", &[])?;
    ensure!(hits == 3, "{hits} from a repaired cache");
    snapshot::same(&snapshot::of(&again)?, &before, true)?;
    // An entry that was written by hand: its name is not its hash.
    for entry in walk(&case.dir.join("cache/entries"))? {
        let text = fs::read_to_string(&entry)?;
        fs::write(&entry, text.replacen("\"output\":\"", "\"output\":\"0", 1))?;
    }
    ensure!(cached(case, &root.dir, "three", &[])?.0 == 0);
    // Sound ones under such names.
    for entry in walk(&case.dir.join("cache/entries"))? {
        let name = entry.file_name().and_then(|name| name.to_str()).context("a name")?;
        let other = if name.ends_with('0') { "1" } else { "0" };
        fs::rename(&entry, entry.with_file_name(format!("{}{other}", &name[..name.len() - 1])))?;
    }
    ensure!(cached(case, &root.dir, "four", &[])?.0 == 0);
    Ok(())
}

/// Gives an entry of this key the name that its contents must have.
fn write_entry(key: &Path, entry: &Value) -> Result<()> {
    let bytes = serde_json::to_vec(entry)?;
    let name = key.file_name().and_then(|name| name.to_str()).context("a key")?;
    Ok(fs::write(key.join(Names::open(None)?.entry(name, &bytes)), bytes)?)
}

/// Entries whose names are as they must be, but that speak of another program's output, or of one that takes
/// other bytes of its files.
fn forged(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let (_, one) = cached(case, &root.dir, "one", &[])?;
    let before = snapshot::of(&one)?;
    let entries = walk(&case.dir.join("cache/entries"))?;
    ensure!(entries.len() == 2, "{} entries", entries.len());
    let read =
        |path: &PathBuf| Ok::<Value, anyhow::Error>(serde_json::from_slice(&fs::read(path)?)?);
    let (first, second) = (read(&entries[0])?, read(&entries[1])?);
    for (path, own, other) in [(&entries[0], &first, &second), (&entries[1], &second, &first)] {
        let key = path.parent().context("a key")?;
        fs::remove_file(path)?;
        let mut entry = own.clone();
        for field in ["output", "size", "recipe", "kept"] {
            entry[field] = other[field].clone();
        }
        // With what belongs to that output, and without.
        for files in [&own["files"], &other["files"]] {
            entry["files"] = files.clone();
            write_entry(key, &entry)?;
        }
        write_entry(key, &with_other_bytes(case, own)?)?;
    }
    let (hits, two) = cached(case, &root.dir, "two", &[])?;
    ensure!(hits == 0, "{hits} from forged entries");
    snapshot::same(&snapshot::of(&two)?, &before, true)
}

/// A sound entry with a sound recipe, in which the first page of a file stands for the second.
fn with_other_bytes(case: &Case, entry: &Value) -> Result<Value> {
    let recipes = case.dir.join("cache/recipes");
    let packed = recipes.join(entry["recipe"].as_str().context("no recipe")?);
    let bytes = zstd::decode_all(&fs::read(packed)?[..])?;
    let (len, rest) = bytes.split_first_chunk().context("no head")?;
    let (head, own) = rest.split_at(usize::try_from(u64::from_le_bytes(*len))?);
    let mut head: Value = serde_json::from_slice(head)?;
    let taken = head["taken"].as_array_mut().context("nothing is taken")?;
    let second = taken.iter_mut().find(|taken| taken["offset"].as_u64() > Some(0));
    let second = second.context("only first pages are taken")?;
    second["offset"] = 0.into();
    let head = serde_json::to_vec(&head)?;
    let whole = [&(head.len() as u64).to_le_bytes()[..], &head, own].concat();
    let packed = zstd::encode_all(&whole[..], 0)?;
    let name = hex(&Sha256::digest(&packed));
    fs::write(recipes.join(&name), &packed)?;
    let mut entry = entry.clone();
    (entry["recipe"], entry["kept"]) = (name.into(), packed.len().into());
    Ok(entry)
}

fn walk(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

fn shared(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    let cache = case.dir.join("cache");
    let start = |name: &str| {
        let out = case.dir.join(name);
        let mut command = tool::command([
            "convert".as_ref(),
            root.dir.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
            "--cache".as_ref(),
            cache.as_os_str(),
        ])?;
        Ok::<_, anyhow::Error>(Running::start(&mut command, b"", tool::LIMIT)?)
    };
    let (one, two) = (start("one")?, start("two")?);
    for running in [one, two] {
        let outcome = running.finish()?;
        ensure!(outcome.end == End::Exit(0), "{}", outcome.stderr_text());
    }
    let (hits, three) = cached(case, &root.dir, "three", &[])?;
    ensure!(hits >= 20, "{hits} from the cache");
    let three = snapshot::of(&three)?;
    snapshot::same(&snapshot::of(&case.dir.join("one"))?, &three, true)?;
    snapshot::same(&snapshot::of(&case.dir.join("two"))?, &three, true)
}

fn open_to_others(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let cache = case.dir.join("cache");
    fs::create_dir(&cache)?;
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777))?;
    let out = case.dir.join("out");
    let arguments = [
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--cache".as_ref(),
        cache.as_os_str(),
        "--quiet".as_ref(),
    ];
    tool::refused(&tool::run(arguments)?, "others than you may write to it")
}
