//! Archives and images whose programs have a pool: its files are new members, and come in the new layer.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};

use super::{POOL, WANTED, mapped, pool_of, tiny};
use crate::rootfs::snapshot::{self, Snapshot};
use crate::rootfs::{archives, oci, packed, tool};

pub fn add(cases: &mut Cases) {
    // Only root can unpack owners.
    cases.needing(&["root"]).check("pool/archive", archive);
    cases.needing(&["root"]).check("pool/oci", image);
}

fn convert(case: &Case, from: &Path, to: &Path) -> Result<()> {
    let mut words: Vec<OsString> = archives::arguments(case, from, to);
    words.extend(["--pool", WANTED].map(OsString::from));
    tool::good(words)?;
    archives::nothing_left(to)
}

/// Of members that are new, the time is none.
fn without_times(mut tree: Snapshot) -> Snapshot {
    for (path, seen) in &mut tree {
        if path.starts_with(Path::new(POOL).parent().unwrap_or(path)) {
            seen.modified = (0, 0);
        }
    }
    tree
}

fn archive(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    let (archive, out) = (case.dir.join("guest.tar"), case.dir.join("out.tar"));
    packed::pack(&root.dir, &archive, &[])?;
    convert(case, &archive, &out)?;
    let directory = case.dir.join("directory");
    convert(case, &root.dir, &directory)?;
    let unpacked = case.dir.join("unpacked");
    packed::unpack(&out, &unpacked)?;
    let names = pool_of(&unpacked)?;
    let trees = [&unpacked, &directory].map(|tree| snapshot::of(tree).map(without_times));
    let [now, expected] = trees;
    snapshot::same(&now?, &expected?, true)?;
    ensure!(mapped(&unpacked)?.is_subset(&names) && !mapped(&unpacked)?.is_empty());
    // What is new comes last, and is root's, but for the directory that it came into.
    let (before, after) = (fs::read(&archive)?, fs::read(&out)?);
    let (before, after) = (packed::pieces(&before)?, packed::pieces(&after)?);
    let new: Vec<&str> = after[before.len()..]
        .iter()
        .map(|piece| {
            let head = &piece.head[piece.head.len() - 512..];
            ensure!(head[108..123] == *b"0000000\x000000000", "it is somebody's");
            let name = head.split(|&byte| byte == 0).next().unwrap_or_default();
            Ok(std::str::from_utf8(name)?)
        })
        .collect::<Result<_>>()?;
    ensure!(new[..2] == ["./usr/lib/statify/", "./usr/lib/statify/pool/"], "{new:?}");
    let files: BTreeSet<String> = names.iter().map(|name| format!("./{POOL}/{name}")).collect();
    ensure!(
        new[2..new.len() - 1].iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>()
            == files
    );
    // Once more, so that it has its time.
    ensure!(new.last() == Some(&"./usr/lib/"), "{new:?}");
    // The same once more; and nothing is to be added to what has it.
    for (from, name) in [(&archive, "again.tar"), (&out, "third.tar")] {
        let to = case.dir.join(name);
        convert(case, from, &to)?;
        ensure!(fs::read(&to)? == fs::read(&out)?, "{name} is another archive");
    }
    Ok(())
}

fn image(case: &Case) -> Result<()> {
    let layout = oci::layout(case)?;
    let before = oci::files(&layout)?;
    let (out, root) = (case.dir.join("out"), case.dir.join("root"));
    oci::merge(&layout, 1, &root)?;
    let directory = case.dir.join("directory");
    convert(case, &root, &directory)?;
    convert(case, &layout, &out)?;
    ensure!(oci::files(&out)?.len() == before.len() + 4, "layer, configuration, manifest, index");
    let after = case.dir.join("after");
    ensure!(oci::merge(&out, 1, &after)? == 4, "layers");
    let names = pool_of(&after)?;
    ensure!(!names.is_empty());
    let trees = [&after, &directory].map(|tree| snapshot::of(tree).map(without_times));
    let [now, expected] = trees;
    snapshot::same(&now?, &expected?, true)?;
    let again: PathBuf = case.dir.join("again");
    convert(case, &layout, &again)?;
    ensure!(oci::files(&again)? == oci::files(&out)?, "another layout");
    // A forged one in a layer.
    let forged = case.dir.join("forged");
    fs::create_dir(&forged)?;
    let tree = tiny(case)?.dir;
    std::os::unix::fs::symlink("/etc", tree.join("usr/lib/statify"))?;
    std::os::unix::fs::symlink("/tmp", tree.join("etc/pool"))?;
    let archive = forged.join("guest.tar");
    packed::pack(&tree, &archive, &[])?;
    let mut words = archives::arguments(case, &archive, &forged.join("out.tar"));
    words.extend(["--pool", WANTED].map(|word| OsStr::new(word).to_owned()));
    tool::refused(&tool::run(words)?, "symbolic link")?;
    archives::nothing_left(&forged.join("out.tar")).context("forged")
}
