//! Trees whose programs have a pool: it is there, seen in /proc/PID/maps, told of, taken away again, and refused where it is
//! forged.

mod packed;
mod trees;
mod trust;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use statify_format::manifest::hex;
use statify_tests::case::{Case, Cases};
use statify_tests::small_root::SmallRoot;

use crate::rootfs::{guest, tool};

/// Where it is asked for: /lib is a link.
pub const WANTED: &str = "/lib/statify/pool";
/// Where it is then.
const POOL: &str = "usr/lib/statify/pool";

pub fn add(cases: &mut Cases) {
    trees::add(cases);
    packed::add(cases);
    trust::add(cases);
}

/// A small guest, with a directory for /proc.
fn tiny(case: &Case) -> Result<SmallRoot> {
    let root = guest::tiny(case.dir.join("guest"))?;
    fs::create_dir(root.path("proc"))?;
    Ok(root)
}

/// `convert ROOT --pool ...` and more.
fn arguments(root: &Path, more: &[&Path]) -> Vec<OsString> {
    let words = [&["convert".as_ref(), root, "--pool".as_ref(), WANTED.as_ref()], more].concat();
    words.into_iter().map(OsString::from).collect()
}

fn convert_out(root: &Path, out: &Path) -> Result<String> {
    tool::good(arguments(root, &["--out".as_ref(), out]))
}

/// The names in a tree's pool, each of which must be as starters want it.
fn pool_of(tree: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let pool = tree.join(POOL);
    for path in [&pool, &tree.join("usr/lib/statify")] {
        let stat = path.metadata().with_context(|| path.display().to_string())?;
        ensure!(stat.mode() & 0o7777 == 0o755, "{}: {:o}", path.display(), stat.mode());
    }
    for entry in fs::read_dir(&pool)? {
        let (path, name) = (pool.join(entry.as_ref().unwrap().file_name()), entry?.file_name());
        let name = name.into_string().ok().context("no text")?;
        ensure!(hex(&Sha256::digest(fs::read(&path)?)) == name, "{name} has another hash");
        let stat = path.symlink_metadata()?;
        ensure!(stat.mode() == 0o100444 && stat.nlink() == 1, "{name}: {:o}", stat.mode());
        names.insert(name);
    }
    Ok(names)
}

/// The files of the pool that a program of the tree has mapped, which runs with it as its root.
fn mapped(tree: &Path) -> Result<BTreeSet<String>> {
    let script =
        r#"mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/three /proc/self/maps"#;
    let output =
        Command::new("unshare").args(["--mount", "sh", "-c", script]).arg(tree).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.contains("/usr/bin/three"), "{text}");
    let from_pool = text.lines().filter_map(|line| line.split_once(&format!("/{POOL}/")));
    Ok(from_pool.map(|(_, name)| name.trim().to_owned()).collect())
}
