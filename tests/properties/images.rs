//! The images of starter and agent that lie in the repository are what a compiler makes of their source.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::compare::said;
use statify_tests::cross::I386;
use statify_tests::process::{self, End, Limits};

pub fn add(cases: &mut Cases) {
    cases.needing(&["rustc-32"]).check("images/made-anew-for-32-bits", made_anew);
}

/// In a directory of its own: what is built there is built for another purpose, and by other settings.
fn made_anew(case: &Case) -> Result<()> {
    let rustc = I386.rustc().context("TEST_RUSTC_32 is not set")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", "xtask", "--", "starter", "--check", "--rustc"]);
    command.arg(rustc).env("CARGO_TARGET_DIR", case.dir.join("target"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let outcome = process::run(&mut command, b"", Limits::seconds(1200))?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, said(&outcome));
    Ok(())
}
