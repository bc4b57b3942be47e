//! The fixtures of the repository, and what is done with each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::builder::{self, Built, expand};
use crate::compare::{against_directives, against_each_other, normalise, said};
use crate::convert::{SYSTEM_PATH, Statify};
use crate::directives::Fixture;
use crate::guest;
use crate::process::{self, End, Limits, Outcome};
use crate::report::Done;
use crate::toolchain::Toolchain;

/// Time given to one run of a fixture.
const LIMIT: Limits = Limits::seconds(30);

/// One variant of one fixture.
#[derive(Debug, Clone)]
pub struct Variant {
    /// `fixture` or `fixture/variant`, and `@musl` behind it where it is built for musl.
    pub name: String,
    /// The main source.
    pub source: PathBuf,
    /// What its directives say.
    pub fixture: Fixture,
    /// The variant's own flags.
    pub flags: Vec<String>,
    /// The C library that it is built for.
    pub toolchain: Toolchain,
}

/// A fixture whose directives cannot be understood.
#[derive(Debug)]
pub struct Unreadable {
    /// The fixture's name.
    pub name: String,
    /// What is wrong with it.
    pub error: anyhow::Error,
}

/// Every variant of every fixture in `dir`, by name, for every C library.
pub fn variants(dir: &Path) -> Result<Vec<Result<Variant, Unreadable>>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        let is_main = path
            .extension()
            .is_some_and(|extension| ["c", "cc", "S"].iter().any(|e| extension == *e));
        if is_main && path.is_file() {
            sources.push(path);
        }
    }
    sources.sort();
    let all = Toolchain::ALL.iter().flat_map(|&toolchain| {
        sources.iter().flat_map(move |source| variants_of(source, toolchain))
    });
    Ok(all.collect())
}

fn variants_of(source: &Path, toolchain: Toolchain) -> Vec<Result<Variant, Unreadable>> {
    let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let read = || Ok(Fixture::parse(&fs::read_to_string(source)?)?);
    let fixture = match read() {
        Ok(fixture) => fixture,
        Err(error) => return vec![Err(Unreadable { name, error })],
    };
    let fixture = match toolchain {
        Toolchain::Machine | Toolchain::Narrow => fixture,
        Toolchain::Musl => fixture.for_musl(),
    };
    let variant = |name: String, flags| {
        let (name, source) = (name + toolchain.suffix(), source.to_owned());
        Ok(Variant { name, source, fixture: fixture.clone(), flags, toolchain })
    };
    if fixture.configs.is_empty() {
        return vec![variant(name, Vec::new())];
    }
    let configs = fixture.configs.iter();
    configs.map(|config| variant(format!("{name}/{}", config.name), config.flags.clone())).collect()
}

impl Variant {
    /// Why it cannot be built and run here; `None` if it can.
    pub fn lacking(&self) -> Result<Option<String>> {
        let name = self.source.file_stem().unwrap_or_default().to_string_lossy();
        self.toolchain.lacking(&name, &self.fixture, builder::is_cxx(&self.source))
    }

    /// Builds the variant in `dir`, runs it, converts it, runs it converted, and compares.
    pub fn check(&self, statify: &Statify, dir: &Path) -> Result<Done> {
        if let Some(reason) = self.lacking()? {
            return Done::not_here(reason);
        }
        let built = builder::build(&self.source, &self.fixture, &self.flags, self.toolchain, dir)
            .context("building")?;
        let options = expand(&self.fixture.statify, dir);
        if self.fixture.refuses.is_some() {
            self.must_be_refused(
                &statify.run(&built.original, &built.converted, &options)?,
                &built,
            )?;
            return Ok(Done::Passed);
        }
        let mut originals = Vec::new();
        for arguments in &self.fixture.runs {
            let outcome = self.run(&built, &built.original, arguments)?;
            expect(against_directives(&outcome, &self.fixture), "the original", arguments)?;
            originals.push(outcome);
        }
        statify.convert(&built.original, &built.converted, &options)?;
        built.take_libraries_away()?;
        for (arguments, original) in self.fixture.runs.iter().zip(&originals) {
            let outcome = self.run(&built, &built.converted, arguments)?;
            expect(
                against_directives(&outcome, &self.fixture),
                "the converted program",
                arguments,
            )?;
            if self.fixture.varies.is_none() {
                let what = "the converted program, held against the original";
                expect(against_each_other(original, &outcome), what, arguments)?;
            }
        }
        Ok(Done::Passed)
    }

    /// The command that runs `program`, the variant as built or converted, with these arguments.
    pub fn command(&self, built: &Built, program: &Path, arguments: &[String]) -> Command {
        let mut command = Command::new(program);
        command.args(expand(arguments, &built.dir)).current_dir(&built.dir).env_clear();
        command.env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
        command.env("TMPDIR", built.dir.join("tmp")).env("FIXTURE_DIR", &built.dir);
        for (name, value) in &self.fixture.env {
            command.env(name, value.replace("$DIR", &built.dir.to_string_lossy()));
        }
        command
    }

    /// Runs `program`, the variant as built or converted; its path is `$EXE` in what it said.
    pub fn run(&self, built: &Built, program: &Path, arguments: &[String]) -> Result<Outcome> {
        let mut command = self.command(built, program, arguments);
        guest::place(&mut command, &built.dir)?;
        self.run_command(built, program, &mut command)
    }

    /// As [`Variant::run`], by a command that was made before.
    pub fn run_command(
        &self,
        built: &Built,
        program: &Path,
        command: &mut Command,
    ) -> Result<Outcome> {
        let temporary = built.dir.join("tmp");
        fs::remove_dir_all(&temporary)?;
        fs::create_dir(&temporary)?;
        let mut outcome = process::run(command, self.fixture.stdin.as_bytes(), LIMIT)
            .with_context(|| format!("running {}", program.display()))?;
        outcome.stdout = normalise(&outcome.stdout, program, "$EXE");
        outcome.stderr = normalise(&outcome.stderr, program, "$EXE");
        Ok(outcome)
    }

    fn must_be_refused(&self, outcome: &Outcome, built: &Built) -> Result<()> {
        ensure!(
            outcome.end == End::Exit(1),
            "statify was to refuse it: {}\n{}",
            outcome.end,
            said(outcome)
        );
        ensure!(!built.converted.exists(), "statify refused it and wrote a file all the same");
        match &self.fixture.refuses {
            Some(pattern) if !pattern.is_match(&outcome.stderr) => {
                bail!("the message does not match `{pattern}`: {}", outcome.stderr_text())
            }
            _ => Ok(()),
        }
    }
}

fn expect(wrong: Vec<String>, who: &str, arguments: &[String]) -> Result<()> {
    ensure!(wrong.is_empty(), "{who}, called with {arguments:?}:\n    {}", wrong.join("\n    "));
    Ok(())
}
