//! Directories cut: an EROFS image of each.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::process::{self, End, Limits};

use super::tool::{command, cut, good, noise, path};

pub fn add(cases: &mut Cases) {
    cases
        .needing(&["program:mkfs.erofs", "program:fsck.erofs"])
        .check("trees/come-back", come_back);
    cases.needing(&["program:mkfs.erofs"]).check("trees/the-same-twice", same_twice);
    cases
        .needing(&["root", "program:mkfs.erofs", "program:fsck.erofs"])
        .check("trees/mounted-within", mounted);
    cases.check("trees/without-mkfs.erofs", without);
}

fn tree(case: &Case) -> Result<PathBuf> {
    let top = case.dir.join("tree");
    fs::create_dir_all(top.join("a/b"))?;
    fs::write(top.join("a/file"), noise(1, 100_000))?;
    fs::write(top.join("a/copy"), noise(1, 100_000))?;
    fs::write(top.join("a/b/script"), "#!/bin/sh\n")?;
    fs::set_permissions(top.join("a/b/script"), fs::Permissions::from_mode(0o4711))?;
    symlink("../file", top.join("a/b/link"))?;
    let old = fs::File::options().write(true).open(top.join("a/file"))?;
    old.set_modified(UNIX_EPOCH + Duration::new(1_000_000_000, 500))?;
    Ok(top)
}

/// The files of an image.
fn extract(image: &Path, to: &Path) -> Result<()> {
    let mut option = std::ffi::OsString::from("--extract=");
    option.push(to);
    output(Command::new("fsck.erofs").arg(option).arg("--preserve").arg(image))?;
    Ok(())
}

fn come_back(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let top = tree(case)?;
    let report = cut(&top, &store, &["--chunk", "4K"])?;
    // What is in two files is there once.
    let data = report["data_bytes"].as_u64().context("a number")?;
    ensure!((100_000..140_000).contains(&data), "{report}");
    let (image, back) = (case.dir.join("image"), case.dir.join("back"));
    good("cat", ["tree".as_ref(), "-o".as_ref(), image.as_os_str()], &store)?;
    extract(&image, &back)?;
    for name in ["", "a", "a/b", "a/file", "a/copy", "a/b/script", "a/b/link"] {
        let [before, after] = [&top, &back].map(|top| top.join(name).symlink_metadata());
        let (before, after) = (before?, after?);
        // fsck.erofs gives a file its owner after its mode, which takes setuid away; diff/one-tree-twice looks at that.
        let of = |stat: &fs::Metadata| (stat.mode() & !0o6000, stat.uid(), stat.gid());
        ensure!(of(&before) == of(&after), "{name}");
        if before.is_file() {
            ensure!(
                (before.mtime(), before.mtime_nsec()) == (after.mtime(), after.mtime_nsec()),
                "{name}"
            );
            ensure!(fs::read(top.join(name))? == fs::read(back.join(name))?, "{name}");
        }
    }
    ensure!(fs::read_link(back.join("a/b/link"))? == Path::new("../file"));
    Ok(())
}

fn same_twice(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let top = tree(case)?;
    cut(&top, &store, &[])?;
    std::thread::sleep(Duration::from_millis(1100));
    // Another image of this name would be refused.
    ensure!(cut(&top, &store, &[])?["new_chunks"] == 0);
    ensure!(cut(&top.join("../tree/."), &store, &["--index", "again"])?["new_chunks"] == 0);
    fs::write(top.join("new"), "new")?;
    ensure!(cut(&top, &store, &["--replace"])?["new_chunks"].as_u64() > Some(0));
    Ok(())
}

/// What is mounted in a tree is not in its image, whatever its name.
fn mounted(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let top = tree(case)?;
    for name in ["mnt", "m.*(x)"] {
        fs::create_dir(top.join(name))?;
    }
    fs::create_dir(top.join("mnt-other"))?;
    fs::write(top.join("mnt-other/inside"), "inside")?;
    let script = r#"
        mount -t tmpfs none "$1/mnt" && mount -t tmpfs none "$1/m.*(x)"
        echo outside > "$1/mnt/outside" && echo outside > "$1/m.*(x)/outside"
        exec "$2" cut "$1" --store "$3" --quiet
    "#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&top).arg(path()?).arg(&store);
    output(&mut command)?;
    let (image, back) = (case.dir.join("image"), case.dir.join("back"));
    good("cat", ["tree".as_ref(), "-o".as_ref(), image.as_os_str()], &store)?;
    extract(&image, &back)?;
    for (name, count) in [("mnt", 0), ("m.*(x)", 0), ("mnt-other", 1)] {
        ensure!(fs::read_dir(back.join(name))?.count() == count, "{name}");
    }
    ensure!(back.join("a/file").exists());
    Ok(())
}

fn without(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let top = tree(case)?;
    let mut command = command("cut", [&top], &store)?;
    command.env("PATH", case.dir.join("nothing"));
    let outcome = process::run(&mut command, b"", Limits::seconds(60))?;
    ensure!(outcome.end == End::Exit(1), "{}", outcome.end);
    ensure!(outcome.stderr_text().contains("erofs-utils"), "{}", outcome.stderr_text());
    // One that is too old.
    let old = case.dir.join("old");
    fs::create_dir(&old)?;
    fs::write(
        old.join("mkfs.erofs"),
        "#!/bin/sh\necho \"mkfs.erofs: unrecognized option '--chunksize=4096'\" >&2\nexit 1\n",
    )?;
    fs::set_permissions(old.join("mkfs.erofs"), fs::Permissions::from_mode(0o755))?;
    command.env("PATH", &old);
    let outcome = process::run(&mut command, b"", Limits::seconds(60))?;
    ensure!(outcome.stderr_text().contains("too old"), "{}", outcome.stderr_text());
    Ok(())
}
