//! Command lines that say nothing, or nothing that can be done.

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::process::{End, Limits};

use crate::bad_input::attempt::{Listing, finish, start};

pub fn add(cases: &mut Cases) {
    let wrong: [(&str, &[&str]); 13] = [
        ("nothing", &[]),
        ("no-output", &["/bin/true"]),
        ("no-program", &["-o", "out"]),
        ("two-programs", &["/bin/true", "/bin/false", "-o", "out"]),
        ("unknown-option", &["/bin/true", "-o", "out", "--frobnicate"]),
        ("timeout-not-a-number", &["/bin/true", "-o", "out", "--timeout", "soon"]),
        ("timeout-negative", &["/bin/true", "-o", "out", "--timeout=-1"]),
        ("align-not-a-number", &["/bin/true", "-o", "out", "--align", "page"]),
        ("align-not-a-power-of-two", &["/bin/true", "-o", "out", "--align", "12288"]),
        ("align-below-a-page", &["/bin/true", "-o", "out", "--align", "64"]),
        ("report-of-nothing", &["--report"]),
        ("report-and-output", &["--report", "/bin/true", "-o", "out"]),
        ("loud-and-quiet", &["/bin/true", "-o", "out", "-v", "-q"]),
    ];
    for (name, arguments) in wrong {
        cases.check(&format!("usage/{name}"), move |case| usage_error(case, arguments));
    }
    cases.check("usage/help", |case| {
        let help = output(&mut case.statify.command(["--help"]))?;
        for word in ["--force", "--root", "--fixed", "--timeout", "--json", "--verify", "xamples"] {
            ensure!(help.contains(word), "no {word} in the help:\n{help}");
        }
        Ok(())
    });
    cases.check("usage/version", |case| {
        let version = output(&mut case.statify.command(["--version"]))?;
        ensure!(version.starts_with("statify "), "{version:?}");
        Ok(())
    });
}

fn usage_error(case: &Case, arguments: &[&str]) -> Result<()> {
    let before = Listing::of(&case.dir)?;
    let outcome =
        finish(case, start(case, &mut case.statify.command(arguments), Limits::seconds(30))?)?;
    Listing::of(&case.dir)?.must_equal(&before)?;
    ensure!(outcome.end == End::Exit(2), "{}: {}", outcome.end, outcome.stderr_text());
    ensure!(!outcome.stderr.is_empty(), "not a word on standard error");
    Ok(())
}
