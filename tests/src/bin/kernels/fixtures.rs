//! The fixtures, built, run as they are, and converted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressIterator;
use regex::Regex;
use statify_init::plan::Job;
use statify_tests::builder;
use statify_tests::compare::against_directives;
use statify_tests::convert::Statify;
use statify_tests::directives::Fixture;
use statify_tests::process::Outcome;
use statify_tests::scratch::Scratch;
use statify_tests::suite::{self, Variant};
use statify_tests::toolchain::Toolchain;

/// One variant of a fixture.
pub struct Case {
    /// Its name.
    pub name: String,
    /// Whether it is a program of 32 bits.
    pub narrow: bool,
    /// Its directives.
    pub fixture: Fixture,
    /// Where it lies, here and in the emulated machine.
    pub dir: PathBuf,
    /// The converted program.
    pub converted: PathBuf,
    /// Its runs, and what the original did here.
    pub runs: Vec<(Job, Outcome)>,
}

/// All of them.
#[derive(Default)]
pub struct Prepared {
    /// Ready to run.
    pub fixtures: Vec<Case>,
    /// Those that cannot be made here, and why.
    pub not_here: Vec<(String, String)>,
}

/// Builds, runs and converts the fixtures whose names match `only`, those of 32 bits alone if they are all that is to be run.
pub fn prepare(
    statify: &Statify,
    scratch: &Scratch,
    only: Option<&Regex>,
    narrow_only: bool,
) -> Result<Prepared> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
    let mut prepared = Prepared::default();
    let variants: Vec<_> = suite::variants(&sources)?
        .into_iter()
        .map(|variant| variant.map_err(|unreadable| unreadable.error.context(unreadable.name)))
        .filter(|variant| {
            variant.as_ref().map_or(true, |variant| {
                only.is_none_or(|only| only.is_match(&variant.name))
                    && (!narrow_only || is_narrow(variant))
            })
        })
        .collect::<Result<_>>()?;
    for variant in variants.iter().progress() {
        // Nothing is there to run.
        if variant.fixture.refuses.is_some() {
            continue;
        }
        if let Some(reason) = variant.lacking()? {
            prepared.not_here.push((variant.name.clone(), reason));
            continue;
        }
        let dir = scratch.dir(&variant.name)?;
        let case = case(variant, statify, dir).with_context(|| variant.name.clone())?;
        prepared.fixtures.push(case);
    }
    ensure!(!prepared.fixtures.is_empty(), "no fixture to run");
    Ok(prepared)
}

fn case(variant: &Variant, statify: &Statify, dir: PathBuf) -> Result<Case> {
    let fixture = &variant.fixture;
    let built = builder::build(&variant.source, fixture, &variant.flags, variant.toolchain, &dir)?;
    let mut runs = Vec::new();
    for arguments in &fixture.runs {
        let original = variant.run(&built, &built.original, arguments)?;
        let wrong = against_directives(&original, fixture);
        ensure!(wrong.is_empty(), "the original: {}", wrong.join("; "));
        runs.push((job(variant, &built, arguments), original));
    }
    statify.convert(&built.original, &built.converted, &builder::expand(&fixture.statify, &dir))?;
    built.take_libraries_away()?;
    // Only what is converted goes along, and what the fixture loads by itself.
    fs::remove_dir_all(dir.join("orig"))?;
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "o") {
            fs::remove_file(path)?;
        }
    }
    Ok(Case {
        name: variant.name.clone(),
        narrow: is_narrow(variant),
        fixture: fixture.clone(),
        dir,
        converted: built.converted,
        runs,
    })
}

fn is_narrow(variant: &Variant) -> bool {
    variant.toolchain == Toolchain::Narrow
}

fn job(variant: &Variant, built: &builder::Built, arguments: &[String]) -> Job {
    let command = variant.command(built, &built.converted, arguments);
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    Job {
        program: built.converted.clone(),
        arguments: command.get_args().map(text).collect(),
        environment: command
            .get_envs()
            .filter_map(|(name, value)| Some((text(name), text(value?))))
            .collect(),
        directory: built.dir.clone(),
        stdin: variant.fixture.stdin.clone(),
    }
}
