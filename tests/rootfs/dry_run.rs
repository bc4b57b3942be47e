//! `convert --dry-run` held against the conversion itself, and that it leaves no trace.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;
use statify_tests::sandbox;

use crate::rootfs::{guest, snapshot, tool};

pub fn add(cases: &mut Cases) {
    cases.check("dry-run/estimate", |case| estimate(case, &[]));
    cases.check("dry-run/estimate-aligned", |case| estimate(case, &["--align", "1048576"]));
    cases.check("dry-run/without-privileges", unprivileged);
    cases.check("dry-run/hollow", hollow);
    cases.needing(&["userns"]).check("dry-run/read-only", read_only);
}

/// A program that is a hole of terabytes but for its first pages: neither the estimate nor the
/// conversion reads it.
fn hollow(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    guest::shell(&root.dir, "cp usr/bin/true usr/bin/hollow; truncate -s 4T usr/bin/hollow")?;
    let out = case.dir.join("out");
    for target in [&["--dry-run".as_ref()][..], &["--out".as_ref(), out.as_os_str()]] {
        let begin = std::time::Instant::now();
        let arguments = [&["convert".as_ref(), root.dir.as_os_str()], target].concat();
        let outcome = tool::run(arguments)?;
        let said = outcome.stdout_text() + &outcome.stderr_text();
        ensure!(outcome.end == End::Exit(1), "{}: {said}", outcome.end);
        ensure!(said.contains("hollow: it has") && said.contains("it is not read"), "{said}");
        ensure!(begin.elapsed().as_secs() < 120, "it took {:?}", begin.elapsed());
    }
    Ok(())
}

/// Original and converted size by first name.
fn sizes(report: &Value) -> Result<BTreeMap<String, [u64; 2]>> {
    let programs = report["programs"].as_array().context("no programs")?;
    let size = |program: &Value| {
        let name = program["names"][0].as_str()?.to_owned();
        Some((name, [program["original"].as_u64()?, program["converted"].as_u64()?]))
    };
    programs.iter().map(|program| size(program).with_context(|| program.to_string())).collect()
}

/// In the order of their names.
fn failures(report: &Value) -> Result<Vec<Value>> {
    let mut failures = report["failures"].as_array().context("no failures")?.clone();
    failures.sort_by_key(|failure| failure["names"].to_string());
    Ok(failures)
}

fn estimate(case: &Case, options: &[&str]) -> Result<()> {
    let root = guest::small(case)?;
    // What takes an option, what a loader would refuse, and what nobody would have to look at.
    guest::shell(&root.dir, "cp usr/bin/true usr/bin/raised; chmod 4755 usr/bin/raised")?;
    let lost = case.library("liblost.so.1", "int lost;", &["-Wl,-soname,liblost.so.1"])?;
    let flags = case.link(&["liblost.so.1"]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    root.add(&case.build("answer", "lost", &flags)?, "/usr/bin/lost")?;
    fs::remove_file(lost)?;
    let watched = case.build("answer", "watched", &["-Wl,--audit=libwatch.so"])?;
    root.add(&watched, "/usr/bin/watched")?;
    let before = snapshot::of(&root.dir)?;
    let options: Vec<&OsStr> = options.iter().map(AsRef::as_ref).collect();
    let arguments = ["convert".as_ref(), root.dir.as_os_str(), "--dry-run".as_ref()];
    let arguments = [&arguments[..], &options].concat();
    let outcome = tool::run([&arguments[..], &["--json".as_ref()]].concat())?;
    ensure!(outcome.end == End::Exit(1), "{}: {}", outcome.end, outcome.stderr_text());
    let said: Value = serde_json::from_str(&outcome.stdout_text())?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    ensure!(!root.path("/.rootfs-tools").exists(), "a journal was begun");
    let text = tool::good([&arguments[..], &["--keep-going".as_ref()]].concat())?;
    ensure!(text.contains("programs would be converted, 3 could not be"), "{text}");
    ensure!(text.contains("whole image") && text.contains("minimum: /usr/"), "{text}");
    ensure!(text.contains("liblost.so.1") && text.contains("libwatch.so"), "{text}");

    let out = case.dir.join("out");
    let arguments = ["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()];
    tool::good([&arguments[..], &["--keep-going".as_ref()], &options].concat())?;
    let json = tool::good(["report".as_ref(), out.as_os_str(), "--json".as_ref()])?;
    let report: Value = serde_json::from_str(&json)?;
    let (guessed, real) = (sizes(&said)?, sizes(&report)?);
    ensure!(guessed.keys().eq(real.keys()), "{:?}\n{:?}", guessed.keys(), real.keys());
    ensure!(failures(&said)? == failures(&report)?, "{}", said["failures"]);
    ensure!(said["left"] == report["left"], "{} {}", said["left"], report["left"]);
    let total = |table: &Value| table["table"]["total"]["converted"].as_f64().context("no total");
    let (guess, fact) = (total(&said)?, total(&report)?);
    ensure!((guess / fact - 1.0).abs() < 0.1, "{guess} bytes estimated, {fact} in fact");
    for (name, [original, converted]) in &real {
        let [known, guess] = guessed[name];
        ensure!(known == *original, "{name}");
        let off = guess as f64 / *converted as f64 - 1.0;
        ensure!(off.abs() < 0.15, "{name}: {guess} bytes estimated, {converted} in fact");
    }
    let image = |image: &Value| image["apparent"].as_f64().context("no size");
    ensure!(image(&said["image"])? == image(&report["image"]["original"])?);
    let grown = said["image_growth"]["converted"].as_f64().context("no growth")?;
    let fact = image(&report["image"]["converted"])?;
    ensure!((grown / fact - 1.0).abs() < 0.1, "{grown} bytes of image estimated, {fact} in fact");
    Ok(())
}

fn unprivileged(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let copy = case.dir.join("tool");
    fs::copy(tool::path()?, &copy)?;
    let mut command = Command::new(copy);
    command.arg("convert").arg(&root.dir).args(["--dry-run", "--in-place", "--no-backup"]);
    let outcome = tool::finish(sandbox::unprivileged(&mut command))?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
    ensure!(outcome.stdout_text().contains(": 3 programs would be converted, 0 could not be"));
    Ok(())
}

fn read_only(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let path = tool::path()?;
    let arguments: [&OsStr; 4] =
        [path.as_os_str(), "convert".as_ref(), root.dir.as_os_str(), "--dry-run".as_ref()];
    let script = r#"mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@""#;
    let outcome = tool::finish(&mut sandbox::script_in_namespace(script, &root.dir, arguments))?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
    let missing = Path::new("/nowhere/at/all");
    let arguments = ["convert".as_ref(), missing.as_os_str(), "--dry-run".as_ref()];
    tool::refused(&tool::run(arguments)?, "cannot stand for the root")
}
