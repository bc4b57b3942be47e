//! Outputs that cannot be written, or must not be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits};
use statify_tests::sandbox;

use crate::bad_input::attempt::{Listing, finish, matches, refused, start};
use crate::bad_input::inputs::plain;

pub fn add(cases: &mut Cases) {
    cases.needing(&["userns"]).check("output/disk-full", disk_full);
    cases.needing(&["program:prlimit"]).check("output/too-large", too_large);
    cases.check("output/directory-missing", |case| {
        refused_as(case, &plain(case)?, &case.dir.join("missing/out"), &[], &["missing", "no such"])
    });
    cases.check("output/directory-is-a-file", |case| {
        fs::write(case.dir.join("file"), "")?;
        refused_as(
            case,
            &plain(case)?,
            &case.dir.join("file/out"),
            &["--force"],
            &["not a directory"],
        )
    });
    cases.check("output/directory-not-writable", not_writable);
    for force in [&[][..], &["--force"]] {
        let kind = if force.is_empty() { "plain" } else { "force" };
        cases.check(&format!("output/is-a-directory/{kind}"), move |case| {
            fs::create_dir(case.dir.join("out"))?;
            refused_as(case, &plain(case)?, &case.dir.join("out"), force, &["directory|exists"])
        });
        cases.check(&format!("output/is-the-program/{kind}"), move |case| {
            let program = plain(case)?;
            refused_as(case, &program, &program, force, &["same file|itself|exists"])
        });
        cases.check(&format!("output/is-a-symbolic-link-to-the-program/{kind}"), move |case| {
            let program = plain(case)?;
            let link = case.dir.join("link");
            symlink(&program, &link)?;
            refused_as(case, &program, &link, force, &["same file|itself|exists"])
        });
        cases.check(&format!("output/is-a-hard-link-to-the-program/{kind}"), move |case| {
            let program = plain(case)?;
            let link = case.dir.join("link");
            fs::hard_link(&program, &link)?;
            refused_as(case, &program, &link, force, &["same file|itself|exists"])
        });
        cases.check(&format!("output/program-is-a-symbolic-link-to-it/{kind}"), move |case| {
            let program = plain(case)?;
            let link = case.dir.join("link");
            symlink(&program, &link)?;
            refused_as(case, &link, &program, force, &["same file|itself|exists"])
        });
    }
    cases.check("output/exists", |case| {
        let out = existing(case)?;
        refused_as(case, &plain(case)?, &out, &[], &["exists", "--force"])
    });
    cases.check("output/exists-and-the-program-is-bad", |case| {
        let out = existing(case)?;
        let script = case.dir.join("script");
        fs::write(&script, "#!/bin/sh\n")?;
        refused_as(case, &script, &out, &["--force"], &["script"])
    });
    cases.check("output/replaced-by-force", |case| {
        let out = existing(case)?;
        case.statify.convert(&plain(case)?, &out, &["--force"])?;
        ensure!(case.output(&out)? == "plain\n", "the new file is not the program");
        let names: Vec<_> =
            fs::read_dir(&case.dir)?.flatten().map(|entry| entry.file_name()).collect();
        ensure!(names.len() == 2, "more than the program and its output: {names:?}");
        Ok(())
    });
}

fn convert_to(case: &Case, program: &Path, out: &Path, arguments: &[&str]) -> Command {
    let mut command = case.statify.command([program]);
    command.arg("-o").arg(out).args(arguments);
    command
}

fn refused_as(
    case: &Case,
    program: &Path,
    out: &Path,
    arguments: &[&str],
    patterns: &[&str],
) -> Result<()> {
    matches(&refused(case, &mut convert_to(case, program, out, arguments))?, patterns)
}

fn existing(case: &Case) -> Result<PathBuf> {
    let out = case.dir.join("out");
    fs::write(&out, "precious")?;
    Ok(out)
}

fn not_writable(case: &Case) -> Result<()> {
    let program = plain(case)?;
    let dir = case.dir.join("theirs");
    fs::create_dir(&dir)?;
    sandbox::forbid_writing(&dir)?;
    let mut command = convert_to(case, &program, &dir.join("out"), &[]);
    matches(&refused(case, sandbox::unprivileged(&mut command))?, &["permission", "theirs"])
}

/// The kernel's signal for it would end statify in the midst of writing.
fn too_large(case: &Case) -> Result<()> {
    let program = plain(case)?;
    let statify = convert_to(case, &program, &case.dir.join("out"), &[]);
    let mut command = case.command("prlimit");
    command.arg("--fsize=65536").arg(statify.get_program()).args(statify.get_args());
    matches(&refused(case, &mut command)?, &["too large"])
}

fn disk_full(case: &Case) -> Result<()> {
    let program = plain(case)?;
    let disk = case.dir.join("disk");
    fs::create_dir(&disk)?;
    let before = Listing::of(&case.dir)?;
    let statify = convert_to(case, &program, &disk.join("out"), &[]);
    let words = [statify.get_program()].into_iter().chain(statify.get_args());
    let mut command = sandbox::with_small_disk(&disk, 256 << 10, words);
    let outcome = finish(case, start(case, &mut command, Limits::seconds(30))?)?;
    Listing::of(&case.dir)?.must_equal(&before)?;
    let message = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "{}: {message}", outcome.end);
    ensure!(outcome.stdout.is_empty(), "left on the disk: {}", outcome.stdout_text());
    matches(&message, &["^statify: ", "no space"])
}
