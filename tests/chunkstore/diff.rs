//! Images compared: their chunks, their bytes, and their files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use statify_tests::case::{Case, Cases, output};

use super::tool::{cut, good, image, noise, refused, run};

pub fn add(cases: &mut Cases) {
    cases.check("diff/chunks-and-ranges", chunks);
    cases.needing(&["program:mkfs.ext4"]).check("diff/files-of-ext4", ext4);
    cases.needing(&["program:mkfs.ext4"]).check("diff/files-of-holes", holes);
    cases.needing(&["program:mkfs.erofs"]).check("diff/files-of-erofs", erofs);
    cases
        .needing(&["program:mkfs.ext4", "program:mkfs.erofs"])
        .check("diff/one-tree-twice", one_tree);
    cases.needing(&["program:mkfs.ext4", "program:mkfs.erofs"]).check("diff/damaged", damaged);
    cases
        .needing(&["program:mkfs.ext4", "program:debugfs"])
        .check("diff/a-tree-without-end", endless);
}

fn diff(one: &str, other: &str, store: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&good("diff", [one, other, "--json"], store)?)?)
}

fn chunks(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let bytes = noise(1, 1 << 20);
    let one = image(&case.dir.join("one"), 2 << 20, &[(0, &bytes)])?;
    let two = image(
        &case.dir.join("two"),
        (2 << 20) + 5,
        &[(0, &bytes), (70_000, b"other"), (1 << 20, b"more")],
    )?;
    for path in [&one, &two] {
        cut(path, &store, &[])?;
    }
    let found = diff("one", "two", &store)?;
    ensure!(found["both"]["chunks"] == 15 && found["first_only"]["chunks"] == 1, "{found}");
    ensure!(found["second_only"]["chunks"] == 2, "{found}");
    let ranges = json!([
        {"offset": 65536, "length": 65536},
        {"offset": 1 << 20, "length": 65536},
        {"offset": 2 << 20, "length": 5},
    ]);
    ensure!(found["ranges"]["first"] == ranges && found["ranges"]["count"] == 3, "{found}");
    let why = found["no_files"].as_str().context("a sentence")?;
    ensure!(why.contains("neither ext4 nor EROFS"), "{why}");
    let same = diff("one", "one", &store)?;
    ensure!(same["ranges"]["count"] == 0 && same["first_only"]["chunks"] == 0, "{same}");
    let said = good("diff", ["one", "two", "--most", "1"], &store)?;
    ensure!(said.contains("3 ranges differ") && said.contains("and 2 more"), "{said}");
    refused("diff", ["one", "none"], &store, "no index")?;
    // What a store does not give is said as such.
    fs::remove_dir_all(store.join("packs"))?;
    refused("diff", ["one", "two"], &store, "the pack")
}

/// Two trees, and how they differ.
fn trees(case: &Case) -> Result<(PathBuf, PathBuf, Value)> {
    let make = |name: &str| -> Result<PathBuf> {
        let top = case.dir.join(name);
        fs::create_dir_all(top.join("etc/deep/er"))?;
        fs::write(top.join("etc/same"), noise(1, 300_000))?;
        fs::write(top.join("etc/small"), "small")?;
        fs::write(top.join("etc/deep/er/changed"), noise(2, 500_000))?;
        fs::write(top.join("mode"), "mode")?;
        fs::write(top.join("kind"), "")?;
        symlink("same", top.join("etc/link"))?;
        symlink("same", top.join("etc/other"))?;
        Ok(top)
    };
    let (one, two) = (make("tree-one")?, make("tree-two")?);
    let mut bytes = noise(2, 500_000);
    bytes[400_000] ^= 1;
    fs::write(two.join("etc/deep/er/changed"), bytes)?;
    fs::write(two.join("etc/small"), "smaller")?;
    fs::set_permissions(two.join("mode"), fs::Permissions::from_mode(0o4755))?;
    fs::remove_file(two.join("kind"))?;
    fs::create_dir(two.join("kind"))?;
    fs::write(two.join("kind/within"), "new")?;
    fs::remove_file(two.join("etc/other"))?;
    symlink("small", two.join("etc/other"))?;
    fs::create_dir(one.join("gone"))?;
    fs::write(one.join("gone/file"), "gone")?;
    fs::write(two.join("new\u{1b}[2J"), "new")?;
    let changes = [
        ("/etc/deep/er/changed", "contents"),
        ("/etc/other", "contents"),
        ("/etc/small", "contents"),
        ("/gone", "removed"),
        ("/gone/file", "removed"),
        ("/kind", "contents"),
        ("/kind/within", "added"),
        ("/mode", "attributes"),
        ("/new\u{1b}[2J", "added"),
    ];
    let changes = changes.map(|(path, what)| json!({"path": path, "what": what}));
    Ok((one, two, json!({"added": 2, "removed": 2, "changed": 5, "changes": changes})))
}

fn make_ext4(tree: &Path, path: &Path) -> Result<()> {
    output(Command::new("mkfs.ext4").args(["-q", "-d"]).arg(tree).arg(path).arg("16M"))?;
    Ok(())
}

fn ext4(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (one, two, differ) = trees(case)?;
    for (name, tree) in [("one", &one), ("two", &two)] {
        let path = case.dir.join(name);
        make_ext4(tree, &path)?;
        cut(&path, &store, &["--chunk", "4K"])?;
    }
    let found = diff("one", "two", &store)?;
    ensure!(found["files"] == differ, "{found}");
    // By contents, the same files.
    cut(&case.dir.join("two"), &store, &["--content-defined", "4K:16K:64K", "--index", "three"])?;
    ensure!(diff("one", "three", &store)?["files"] == differ);
    ensure!(diff("two", "three", &store)?["ranges"]["bytes"].as_u64() > Some(0));
    let same = json!({"added": 0, "removed": 0, "changed": 0, "changes": []});
    ensure!(diff("two", "three", &store)?["files"] == same);
    Ok(())
}

fn erofs(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (one, two, differ) = trees(case)?;
    cut(&one, &store, &["--index", "one"])?;
    cut(&two, &store, &["--index", "two", "--content-defined", "4K:16K:64K"])?;
    let found = diff("one", "two", &store)?;
    ensure!(found["files"] == differ, "{found}");
    // Compressed, it has the same files.
    let path = case.dir.join("compressed");
    output(Command::new("mkfs.erofs").args(["--quiet", "-zlz4"]).arg(&path).arg(&two))?;
    cut(&path, &store, &[])?;
    ensure!(diff("one", "compressed", &store)?["files"] == differ);
    // On a terminal nothing is done by a name.
    let said = good("diff", ["one", "two", "--most", "2"], &store)?;
    ensure!(said.contains("2 files added, 2 removed, 5 changed"), "{said}");
    ensure!(said.contains("and 3 more") && !said.contains('\u{1b}'), "{said:?}");
    Ok(())
}

/// A file that is all holes, and larger than any image, is not read.
fn holes(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    for name in ["one", "two"] {
        let tree = case.dir.join(format!("tree-{name}"));
        fs::create_dir(&tree)?;
        fs::write(tree.join("small"), name)?;
        fs::File::create(tree.join("holes"))?.set_len(1 << 40)?;
        let path = case.dir.join(name);
        make_ext4(&tree, &path)?;
        cut(&path, &store, &[])?;
    }
    let changes = [("/holes", "too_long"), ("/small", "contents")];
    let changes = changes.map(|(path, what)| json!({"path": path, "what": what}));
    let found = diff("one", "two", &store)?;
    ensure!(found["files"]["changes"] == json!(changes), "{found}");
    Ok(())
}

/// The same tree as both kinds of file system.
fn one_tree(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (_, tree, _) = trees(case)?;
    make_ext4(&tree, &case.dir.join("ext4"))?;
    cut(&case.dir.join("ext4"), &store, &[])?;
    cut(&tree, &store, &["--index", "erofs"])?;
    let found = diff("ext4", "erofs", &store)?;
    let only = json!([{"path": "/lost+found", "what": "removed"}]);
    ensure!(found["files"]["changes"] == only, "{found}");
    Ok(())
}

/// Whatever is in a file system: an answer, or a sentence.
fn damaged(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (tree, ..) = trees(case)?;
    let (ext4, erofs) = (case.dir.join("ext4"), case.dir.join("erofs"));
    make_ext4(&tree, &ext4)?;
    output(Command::new("mkfs.erofs").arg("--quiet").arg(&erofs).arg(&tree))?;
    let mut said = 0;
    for (path, name) in [(&ext4, "ext4"), (&erofs, "erofs")] {
        cut(path, &store, &["--chunk", "4K"])?;
        let bytes = fs::read(path)?;
        let places = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at);
        let places: Vec<usize> = places.filter(|at| *at < 2 << 20).collect();
        for number in 0..40 {
            let mut damaged = bytes.clone();
            // The superblock first, then all that is something.
            let at = if number < 12 {
                1024 + number * 8 + 4
            } else {
                places[number * 7919 % places.len()]
            };
            damaged[at..at + 4].copy_from_slice(&noise(number as u64, 4));
            let path = case.dir.join("damaged");
            fs::write(&path, damaged)?;
            cut(&path, &store, &["--chunk", "4K", "--replace"])?;
            let outcome = run("diff", ["damaged", name, "--json"], &store)?;
            let found: Value = serde_json::from_str(&outcome.stdout_text())
                .with_context(|| format!("{name} {at}: {}", outcome.stderr_text()))?;
            said += usize::from(found["no_files"].is_string());
        }
    }
    ensure!(said >= 10, "hardly anything was noticed: {said}");
    Ok(())
}

/// Directories that are in themselves.
fn endless(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let tree = case.dir.join("tree");
    fs::create_dir_all(tree.join("a/b"))?;
    for name in ["one", "two"] {
        let path = case.dir.join(name);
        make_ext4(&tree, &path)?;
        output(Command::new("debugfs").args(["-w", "-R", "link /a /a/b/a"]).arg(&path))?;
        cut(&path, &store, &["--chunk", "4K"])?;
    }
    let found = diff("one", "two", &store)?;
    ensure!(
        found["no_files"].as_str().is_some_and(|why| why.contains("without an end")),
        "{found}"
    );
    Ok(())
}
