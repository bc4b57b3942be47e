//! Images of all kinds, cut and had back.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};

use super::tool::{comes_back, command, cut, good, image, noise, refused};

/// Both ways to cut.
const KINDS: [[&str; 2]; 2] = [["--chunk", "64K"], ["--content-defined", "16K:64K:256K"]];

pub fn add(cases: &mut Cases) {
    cases.check("images/of-every-size", of_every_size);
    cases.check("images/mostly-holes", mostly_holes);
    cases.check("images/what-is-shared-is-kept-once", shared);
    cases.check("images/names", names);
    cases.check("images/to-a-pipe", to_a_pipe);
    cases.check("images/that-are-none", that_are_none);
    cases.check("images/written-to-meanwhile", written_to);
    cases.check("cut/several-at-once", several_at_once);
    cases.check("cut/killed", killed);
}

fn of_every_size(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    for chunk in ["4K", "64K", "4M"] {
        for (number, len) in [0u64, 1, 4095, 4096, 4097, 65536, 5 << 20].into_iter().enumerate() {
            let label = format!("{chunk}-{number}");
            let path =
                image(&case.dir.join(&label), len, &[(0, &noise(number as u64, len as usize))])?;
            let report = cut(&path, &store, &["--chunk", chunk])?;
            ensure!(report["image_bytes"] == len, "{report}");
            comes_back(&path, &label, &store, &case.dir)?;
        }
    }
    let said = good("verify", [] as [&str; 0], &store)?;
    ensure!(said.contains("21 images can be had back"), "{said}");
    Ok(())
}

/// A TiB with a few bytes in it: as fast as those.
fn mostly_holes(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let len = 1u64 << 40;
    let (first, last) = (noise(1, 100_000), noise(2, 10));
    let parts = [(3 << 30, &first[..]), (len - 10, &last[..])];
    let path = image(&case.dir.join("large"), len, &parts)?;
    let since = Instant::now();
    let report = cut(&path, &store, &["--chunk", "1M"])?;
    ensure!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    ensure!(report["chunks"] == 2 && report["data_bytes"] == 2 << 20, "{report}");
    let copy = case.dir.join("copy");
    good("cat", ["large".as_ref(), "-o".as_ref(), copy.as_os_str()], &store)?;
    let file = fs::File::open(&copy)?;
    ensure!(file.metadata()?.len() == len);
    for (at, bytes) in parts {
        let mut there = vec![0; bytes.len()];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut there, at)?;
        ensure!(there == bytes, "at {at}");
    }
    ensure!(std::os::unix::fs::MetadataExt::blocks(&file.metadata()?) < 10_000, "it has no holes");
    Ok(())
}

fn shared(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (common, own) = (noise(1, 1 << 20), noise(2, 1 << 16));
    let one = image(&case.dir.join("one"), 2 << 20, &[(0, &common)])?;
    let two = image(&case.dir.join("two"), 2 << 20, &[(1 << 20, &common), (0, &own)])?;
    ensure!(cut(&one, &store, &[])?["new_chunks"] == 16);
    let report = cut(&two, &store, &[])?;
    ensure!(report["new_chunks"] == 1 && report["chunks"] == 17, "{report}");
    // The same once more, under the same and under another name.
    ensure!(cut(&one, &store, &[])?["new_chunks"] == 0);
    ensure!(cut(&one, &store, &["--index", "again"])?["new_chunks"] == 0);
    let stats: serde_json::Value = serde_json::from_str(&good("stats", ["--json"], &store)?)?;
    ensure!(
        stats["chunks"] == 17 && stats["images"].as_array().is_some_and(|all| all.len() == 3),
        "{stats}"
    );
    ensure!(stats["images"][2]["own_chunks"] == 1, "{stats}");
    for (path, label) in [(&one, "one"), (&two, "two"), (&one, "again")] {
        comes_back(path, label, &store, &case.dir)?;
    }
    Ok(())
}

fn names(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let one = image(&case.dir.join("one"), 9000, &[(0, b"one")])?;
    let two = image(&case.dir.join("two"), 9000, &[(0, b"two")])?;
    cut(&one, &store, &["--index", "name"])?;
    let other = [two.as_os_str(), "--index".as_ref(), "name".as_ref()];
    refused("cut", other, &store, "another image")?;
    comes_back(&one, "name", &store, &case.dir)?;
    cut(&two, &store, &["--index", "name", "--replace"])?;
    comes_back(&two, "name", &store, &case.dir)?;
    for label in ["../x", "", ".x", "a b", "a/b", "\u{1b}[2J"] {
        refused(
            "cut",
            [one.to_str().context("a path")?, "--index", label],
            &store,
            "cannot be the name",
        )?;
    }
    refused("cat", ["none"], &store, "no index")?;
    refused("rm", ["none"], &store, "no index")?;
    ensure!(good("ls", [] as [&str; 0], &store)?.starts_with("name  "));
    // What is there is not overwritten.
    refused("cat", ["name".as_ref(), "-o".as_ref(), one.as_os_str()], &store, "exists")
}

fn to_a_pipe(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let bytes = noise(3, 300_000);
    let path = image(&case.dir.join("image"), 1 << 20, &[(123, &bytes)])?;
    cut(&path, &store, &["--chunk", "4K"])?;
    let output = command("cat", ["image"], &store)?.output()?;
    ensure!(output.status.success() && output.stdout == fs::read(&path)?);
    // Whoever reads has had enough.
    let mut child = command("cat", ["image"], &store)?.stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    ensure!(child.wait()?.success());
    Ok(())
}

fn that_are_none(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let pipe = case.dir.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    for path in [Path::new("/dev/null"), &case.dir.join("missing"), &pipe] {
        refused("cut", [path], &store, "cannot be read")?;
    }
    Ok(())
}

/// Whoever writes to an image while it is cut is found out.
fn written_to(case: &Case) -> Result<()> {
    let path = image(&case.dir.join("image"), 512 << 20, &[(0, &noise(5, 96 << 20))])?;
    KINDS.iter().try_for_each(|kind| written_to_by(case, &path, kind))
}

fn written_to_by(case: &Case, path: &Path, kind: &[&str; 2]) -> Result<()> {
    let store = case.dir.join(format!("store{}", kind[0]));
    let mut command = command("cut", [path], &store)?;
    let mut child = command.args(kind).stderr(Stdio::piped()).spawn()?;
    std::thread::sleep(Duration::from_millis(150));
    if child.try_wait()?.is_none() {
        let file = fs::File::options().write(true).open(path)?;
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", 0)?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(1) && said.contains("changed while it was cut"),
            "{said}"
        );
        ensure!(good("ls", [] as [&str; 0], &store)?.is_empty());
    }
    Ok(())
}

fn several_at_once(case: &Case) -> Result<()> {
    KINDS.iter().try_for_each(|kind| several_by(case, kind))
}

fn several_by(case: &Case, kind: &[&str; 2]) -> Result<()> {
    let store = case.dir.join(format!("store{}", kind[0]));
    let common = noise(1, 8 << 20);
    let mut children = Vec::new();
    for number in 0..5u64 {
        let own = noise(10 + number, 1 << 20);
        let label = format!("image{number}");
        let path = case.dir.join(&label);
        image(&path, 16 << 20, &[(number << 16, &common), (12 << 20, &own)])?;
        let child = command("cut", [&path], &store)?.args(kind).stdout(Stdio::null()).spawn()?;
        children.push((child, path, label));
    }
    for (child, ..) in &mut children {
        ensure!(child.wait()?.success());
    }
    for (_, path, label) in &children {
        comes_back(path, label, &store, &case.dir)?;
    }
    ensure!(good("verify", [] as [&str; 0], &store)?.contains("5 images can be had back"));
    // Several packs have the same chunks now: whichever is found, the image is the same one.
    for (_, path, _) in children.iter().cycle().take(15) {
        ensure!(cut(path, &store, kind)?["new_chunks"] == 0);
    }
    Ok(())
}

/// What a cut that was killed has done already is not done again.
fn killed(case: &Case) -> Result<()> {
    let path = image(&case.dir.join("image"), 56 << 20, &[(0, &noise(6, 56 << 20))])?;
    KINDS.iter().try_for_each(|kind| killed_by(case, &path, kind))
}

fn killed_by(case: &Case, path: &Path, kind: &[&str; 2]) -> Result<()> {
    let store = case.dir.join(format!("store{}", kind[0]));
    // Those that are complete.
    let packs = || {
        let entries = fs::read_dir(store.join("packs")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().len() == 64).count()
    };
    let mut child: std::process::Child =
        command("cut", ["--level".as_ref(), "19".as_ref(), path.as_os_str()], &store)?
            .args(kind)
            .stdout(Stdio::null())
            .spawn()?;
    let since = Instant::now();
    while packs() < 2 && child.try_wait()?.is_none() && since.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    ensure!(good("ls", [] as [&str; 0], &store)?.is_empty(), "it was too late");
    ensure!(packs() >= 2);
    let report = cut(path, &store, kind)?;
    let new = report["new_bytes"].as_u64().context("a number")?;
    // Two packs of 16 MiB are there.
    ensure!((1..25 << 20).contains(&new), "{report}");
    comes_back(path, "image", &store, &case.dir)?;
    ensure!(good("verify", [] as [&str; 0], &store)?.contains("1 images"));
    Ok(())
}
