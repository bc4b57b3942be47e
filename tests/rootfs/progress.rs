//! What is seen of a run while it goes on.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;

use crate::rootfs::{guest, tool};

pub fn add(cases: &mut Cases) {
    cases.check("progress/lines-and-log", lines);
    cases.needing(&["program:script"]).check("progress/bar", bar);
}

fn lines(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    // One that is known to fail before the first is converted, and does not count.
    root.add(&root.path("/usr/bin/true"), "/usr/bin/unfit")?;
    let mut bytes = fs::read(root.path("/usr/bin/unfit"))?;
    bytes[54] = 1;
    fs::write(root.path("/usr/bin/unfit"), bytes)?;
    let (out, log) = (case.dir.join("out"), case.dir.join("log"));
    let arguments = [
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--keep-going".as_ref(),
        "--log".as_ref(),
        log.as_os_str(),
    ];
    let outcome = tool::run(arguments)?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(0), "{}: {said}", outcome.end);
    let percent = |line: &str| line.split_once("% (")?.0.parse::<u64>().ok();
    let percents: Vec<u64> = said.lines().filter_map(percent).collect();
    ensure!(percents.len() <= 20 && percents.len() >= 15, "{percents:?}");
    ensure!(percents.is_sorted() && percents.iter().all(|percent| percent % 5 == 0), "{said}");
    ensure!(percents.last() == Some(&100), "{said}");
    ensure!(said.contains("/usr/bin/unfit"), "{said}");
    let logged = fs::read_to_string(&log)?;
    let count = |word: &str| logged.lines().filter(|line| line.contains(word)).count();
    let all = outcome.stdout_text();
    let converted =
        all.split(": ").nth(1).and_then(|text| text.split(' ').next()).context("none")?;
    ensure!(count(" converted /") == converted.parse::<usize>()?, "{converted}: {logged}");
    ensure!(count(" left /usr/bin/unfit") == 1 && count("programs to convert") == 1, "{logged}");
    ensure!(count(" programs converted, 1 could not be") == 1, "{logged}");
    // What is appended to stays.
    let again = tool::run([&arguments[..], &["--quiet".as_ref()]].concat())?;
    ensure!(!again.stderr_text().contains('%') && again.stdout_text().is_empty(), "not quiet");
    let more = fs::read_to_string(&log)?;
    ensure!(more.starts_with(&logged) && more.len() > logged.len(), "the log was begun anew");
    Ok(())
}

fn bar(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    let out = case.dir.join("out");
    let line = format!(
        "stty cols 100; exec '{}' convert '{}' --out '{}'",
        tool::path()?.display(),
        root.dir.display(),
        out.display()
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("TERM", "xterm");
    let outcome = tool::finish(&mut command)?;
    let seen = outcome.stdout_text();
    ensure!(outcome.end == End::Exit(0), "{}: {seen}", outcome.end);
    let drawn = seen.split('\r').filter(|line| line.contains(" programs, ")).collect::<Vec<_>>();
    ensure!(drawn.len() > 3, "no bar: {seen:?}");
    let whole = |line: &&str| line.contains("/s, ") && line.contains("left") && line.contains('█');
    ensure!(drawn.iter().any(whole), "{seen:?}");
    ensure!(!seen.contains("% ("), "lines beside the bar: {seen:?}");
    Ok(())
}
