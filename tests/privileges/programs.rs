//! A small program twice, as it is and converted, both with privileges, and the unprivileged caller that starts them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, run};
use statify_tests::compare::said;
use statify_tests::process::Outcome;
use statify_tests::sandbox::NOBODY;

/// What every test of programs with privileges needs.
pub const PRIVILEGED: &str = "privileged-programs";

/// How `report.c` is built: before glibc 2.34, dlsym(3) is in a library of its own.
pub const REPORT: &[&str] = &["-O1", "-ldl"];

/// A program in two forms.
#[derive(Debug)]
pub struct Pair {
    /// As it was linked.
    pub original: PathBuf,
    /// Converted.
    pub converted: PathBuf,
}

impl Pair {
    /// Builds `source` with `flags`, makes it set-user-ID, and converts it with its privileges. The two have the same name in
    /// directories whose names are equally long.
    pub fn set_user_id(case: &Case, source: &str, flags: &[&str]) -> Result<Self> {
        for dir in ["orig", "conv"] {
            fs::create_dir(case.dir.join(dir))?;
        }
        let original = case.build(source, "orig/program", flags)?;
        fs::set_permissions(&original, Permissions::from_mode(0o4755))?;
        let converted = case.dir.join("conv/program");
        case.statify.convert(&original, &converted, &["--preserve-privileges"])?;
        Ok(Self { original, converted })
    }
}

/// The caller, and what it does before the program starts.
#[derive(Debug)]
pub struct Caller {
    path: PathBuf,
    dir: PathBuf,
}

impl Caller {
    /// Builds it.
    pub fn new(case: &Case) -> Result<Self> {
        Ok(Self { path: case.build("caller", "caller", &["-O1"])?, dir: case.dir.clone() })
    }

    /// Runs `program` with `arguments` as nobody, in the surroundings that `words` describe, with `variables` as its whole
    /// environment.
    pub fn run(
        &self,
        words: &[&str],
        variables: &[(String, String)],
        program: &Path,
        arguments: &[&str],
    ) -> Result<Outcome> {
        let mut command = Command::new(&self.path);
        // Not by this command's own environment: the caller's loader would heed it.
        let variables = variables.iter().map(|(name, value)| format!("set={name}={value}"));
        command.arg(format!("uid={NOBODY}")).args(words).args(variables);
        command.arg("--").arg(program).args(arguments).current_dir(&self.dir).env_clear();
        let outcome = run(&mut command)?;
        let could = !matches!(outcome.end, statify_tests::process::End::Exit(120..=122));
        ensure!(could, "the caller could not start it: {}\n{}", outcome.end, said(&outcome));
        Ok(outcome)
    }
}
