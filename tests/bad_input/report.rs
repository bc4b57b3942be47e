//! `--report`: what a report of a fault needs, whatever becomes of the conversion, and no file but that of the answer.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits, Outcome};

use crate::bad_input::attempt::{Listing, finish, matches, start};
use crate::bad_input::inputs::plain;
use crate::bad_input::loaders::resolver;
use crate::bad_input::ptrace::without_ptrace;

/// Nothing of the environment is anybody's business.
const SECRET: &str = "of-the-environment";

/// So many words are told one by one.
const MOST_WORDS: usize = 64;

pub fn add(cases: &mut Cases) {
    cases.check("report/every-word-that-is-not-explained", every_word);
    cases.check("report/a-program-that-can-be-converted", |case| {
        let program = plain(case)?;
        let text = answer(&reported(case, &program, &[])?, 0)?;
        matches(&text, &["conversion: it can be converted", "has: /.*libc\\.so\\.6, "])
    });
    cases.check("report/where-nothing-may-be-traced", |case| {
        let mut command = report(case, &plain(case)?, &[]);
        let text = answer(&without_ptrace(case, &mut command)?, 1)?;
        matches(&text, &["error: .*tracing is not permitted", "seccomp: 2"])
    });
    cases.check("report/no-program", |case| {
        let text = answer(&reported(case, Path::new("/nonexistent"), &[])?, 1)?;
        matches(&text, &["program: /nonexistent\n  it cannot be read", "error: /nonexistent: "])
    });
    cases.check("report/a-program-in-another-root", |case| {
        let options = ["--root".to_owned(), case.dir.display().to_string()];
        let text = answer(&reported(case, Path::new("/bin/absent"), &options)?, 1)?;
        matches(&text, &["program: /bin/absent", "error: in .*"])
    });
}

/// A program whose resolver hides addresses in more words than are told.
fn every_word(case: &Case) -> Result<()> {
    let program = case.build("resolver", "program", &["-O1", "-DDISGUISE", "-rdynamic"])?;
    let text = answer(&reported(case, &program, &[])?, 1)?;
    let (_, words) = text.split_once("words that are not explained: 70\n").context(text.clone())?;
    let lines: Vec<&str> = words.lines().collect();
    ensure!(lines.len() == MOST_WORDS + 1, "{} lines:\n{text}", lines.len());
    let name = program.canonicalize()?.display().to_string();
    for line in &lines[..MOST_WORDS] {
        let place = line.strip_prefix(&format!("  {name}+0x")).context((*line).to_owned())?;
        matches(place, &["^[0-9a-f]+: 0x[0-9a-f]+ 0x[0-9a-f]+ \\.bss disguised$"])?;
    }
    ensure!(lines[MOST_WORDS] == "  and 6 more", "{text}");
    // The sentence of a conversion leads here.
    let outcome = case.statify.run::<&str>(&program, &case.dir.join("out"), &[])?;
    matches(
        &outcome.stderr_text(),
        &["70 word\\(s\\) .*with the output of `statify --report PROG`"],
    )?;
    // What runs before the program is no matter of words.
    let text = answer(&reported(case, &resolver(case, "EXIT")?, &[])?, 1)?;
    ensure!(!text.contains("not explained"), "{text}");
    Ok(())
}

/// `statify --report`, with a place for temporary files in which nothing may stay.
fn report(case: &Case, program: &Path, options: &[String]) -> Command {
    let mut command = case.statify.command(["--report"]);
    command.args(options).arg(program).env("TMPDIR", &case.dir).env("STATIFY_SECRET", SECRET);
    command
}

fn reported(case: &Case, program: &Path, options: &[String]) -> Result<Outcome> {
    let before = Listing::of(&case.dir)?;
    let mut command = report(case, program, options);
    let outcome = finish(case, start(case, &mut command, Limits::seconds(60))?)?;
    Listing::of(&case.dir)?.must_equal(&before)?;
    Ok(outcome)
}

/// The text of a report, which has what every report has.
fn answer(outcome: &Outcome, status: i32) -> Result<String> {
    let text = outcome.stdout_text();
    ensure!(outcome.end == End::Exit(status), "{}: {text}{}", outcome.end, outcome.stderr_text());
    ensure!(outcome.stderr.is_empty(), "on standard error: {}", outcome.stderr_text());
    matches(
        &text,
        &["^statify [0-9]", "\nkernel: Linux ", "\nC library: ", "\nCPU: .*x86-64", "\nprogram: /"],
    )?;
    ensure!(!text.contains(SECRET), "something of the environment is in it:\n{text}");
    Ok(text)
}
