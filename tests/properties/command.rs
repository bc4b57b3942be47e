//! What the command says when all goes well.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::compare::said;
use statify_tests::process::End;

pub fn add(cases: &mut Cases) {
    cases.check("command/silent-on-a-pipe", silent);
    cases.check("command/json", json);
    cases.check("command/program-found-on-path", |case| {
        case.build("shared", "on-path", &["-DALONE"])?;
        let out = case.dir.join("out");
        let mut command = case.statify.command(["on-path", "-o"]);
        output(command.arg(&out).env("PATH", &case.dir))?;
        ensure!(case.output(&out)? == "shared 1\n");
        Ok(())
    });
    cases.check("command/verify-agrees", |case| verify(case, "shared", 0));
    cases.check("command/verify-passes-arguments", |case| verify(case, "exit", 0));
    cases.check("command/verify-differs", |case| verify(case, "addresses", 1));
}

fn plain(case: &Case) -> Result<PathBuf> {
    case.build("shared", "plain", &["-DALONE"])
}

fn silent(case: &Case) -> Result<()> {
    let outcome = case.statify.run::<&str>(&plain(case)?, &case.dir.join("out"), &[])?;
    ensure!(outcome.end == End::Exit(0), "{}", outcome.end);
    ensure!(outcome.stdout.is_empty() && outcome.stderr.is_empty(), "{}", said(&outcome));
    Ok(())
}

/// The names of the embedded libraries are somewhere in the object, whatever its form.
fn json(case: &Case) -> Result<()> {
    let program = plain(case)?;
    let mut command = case.statify.command(["--json", "-o"]);
    let text = output(command.arg(case.dir.join("out")).arg(program))?;
    let report: Value =
        serde_json::from_str(&text).context("standard output is not one JSON value")?;
    ensure!(report.is_object(), "no object: {text}");
    for library in ["libc.so.6", "ld-linux-x86-64.so.2"] {
        ensure!(text.contains(library), "{library} is not named in {text}");
    }
    Ok(())
}

fn verify(case: &Case, source: &str, status: i32) -> Result<()> {
    let program = case.build(source, "program", &["-DALONE"])?;
    let mut command = case.statify.command(["--verify", "-o"]);
    command.arg(case.dir.join("out")).arg(program).args(["--", "two words", ""]);
    let outcome = run(&mut command)?;
    ensure!(outcome.end == End::Exit(status), "{}\n{}", outcome.end, said(&outcome));
    ensure!(status == 0 || outcome.stderr_text().starts_with("statify: "), "{}", said(&outcome));
    Ok(())
}
