//! What cannot be embedded is said in a sentence.

use std::fs;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, run};
use statify_tests::process::End;

use crate::plugins::identity::newer_library;

pub fn add(cases: &mut Cases) {
    cases.check_glibc("refused/no-such-file", |case| refused(case, "/no/such.so", "No such file"));
    cases.check_glibc("refused/no-such-name", |case| {
        refused(case, "libno-such.so.1", "cannot open shared object file")
    });
    cases.check_glibc("refused/no-library", |case| {
        fs::write(case.dir.join("text.so"), "x".repeat(5000))?;
        refused(case, "./text.so", "invalid ELF header")
    });
    cases.check_glibc("refused/blank", |case| {
        fs::write(case.dir.join("a b.so"), "")?;
        refused(case, "./a b.so", "no blank, colon or dollar sign")
    });
    cases.check_glibc("refused/newer-c-library", newer);
    cases.check_glibc("refused/missing-dependency", |case| {
        case.library(
            "libgone.so.1",
            "int gone(void) { return 1; }",
            &["-Wl,-soname,libgone.so.1"],
        )?;
        let dir = format!("-L{}", case.dir.display());
        let text = "int gone(void); int plugin_value(void) { return gone(); }";
        case.library("needs.so", text, &[&dir, "-l:libgone.so.1"])?;
        fs::remove_file(case.dir.join("libgone.so.1"))?;
        refused(case, "./needs.so", "libgone.so.1")
    });
}

/// A library that needs a newer C library.
fn newer(case: &Case) -> Result<()> {
    newer_library(case)?;
    refused(case, "./newer.so", "version `GLIBC_9.99' not found")
}

/// Nothing is written, and the message names the library and the reason.
fn refused(case: &Case, library: &str, reason: &str) -> Result<()> {
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let out = case.dir.join("out");
    let mut command = case.statify.command([program.as_path(), "-o".as_ref(), &out]);
    let outcome = run(command.args(["--with", library]).current_dir(&case.dir))?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "it ended with {}: {said}", outcome.end);
    ensure!(said.contains(library) && said.contains(reason), "it said {said}");
    ensure!(said.lines().count() == 1, "more than a sentence: {said}");
    ensure!(!out.exists(), "it wrote an output");
    Ok(())
}
