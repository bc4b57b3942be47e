//! The fixtures in one system.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde::{Deserialize, Serialize};
use statify_elf::machine::Machine;
use statify_tests::convert::Statify;
use statify_tests::machine;
use statify_tests::report::Done;
use statify_tests::suite::{self, Variant};
use statify_tests::toolchain::Toolchain;

use crate::programs::Programs;
use crate::start::Start;

/// What came out, by the fixtures' names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Checked {
    /// The system's C library.
    pub c_library: String,
    /// Those that hold.
    pub passed: Vec<String>,
    /// Those that do not, with the reason.
    pub failed: BTreeMap<String, String>,
    /// Those that its compiler does not build, or whose original fails there, with the reason: they say nothing of
    /// converted programs.
    pub unfit: BTreeMap<String, String>,
    /// Those that say nothing of this system, with the reason.
    pub not_applicable: BTreeMap<String, String>,
    /// The system's own programs, if they were asked for.
    pub programs: Option<Programs>,
    /// How long programs take to start, if it was asked for.
    pub start: Option<Start>,
    /// The starter's code for its machine, in bytes.
    pub starter: usize,
}

impl Checked {
    /// Whether nothing failed, nor an original, unless `some_are_unfit` there.
    pub fn holds(&self, some_are_unfit: bool) -> bool {
        let programs = self.programs.as_ref().is_none_or(|programs| programs.failed.is_empty());
        programs && self.failed.is_empty() && (some_are_unfit || self.unfit.is_empty())
    }
}

const EM_386: u16 = 3;

/// How the messages begin of fixtures that are unfit.
const UNFIT: [&str; 2] = ["building: ", "the original, called with"];

/// Checks the fixtures in the guest, each in a directory of `scratch`.
pub fn check(
    scratch: &Path,
    statify: &Statify,
    toolchain: Toolchain,
    only: Option<&Regex>,
    jobs: usize,
) -> Result<Checked> {
    let (major, minor) = machine::glibc().context("the system has no glibc")?;
    let mut variants = Vec::new();
    for variant in suite::variants(&copy_fixtures(scratch)?)? {
        let variant = variant.map_err(|unreadable| unreadable.error.context(unreadable.name))?;
        // The system's own C library is what is looked at.
        let own = variant.toolchain == toolchain;
        if own && only.is_none_or(|only| only.is_match(&variant.name)) {
            variants.push(variant);
        }
    }
    ensure!(!variants.is_empty(), "no fixture is called so");
    let machine = match toolchain {
        Toolchain::Narrow => EM_386,
        Toolchain::Machine | Toolchain::Musl => Machine::HOST.e_machine(),
    };
    let checked = Checked {
        c_library: format!("glibc {major}.{minor}"),
        starter: starter::image(machine).map_or(0, <[u8]>::len),
        ..Checked::default()
    };
    let (checked, next) = (Mutex::new(checked), AtomicUsize::new(0));
    let work = || {
        while let Some(variant) = variants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = check_one(variant, statify, scratch);
            let name = variant.name.clone();
            let mut checked = checked.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(Done::Passed) => checked.passed.push(name),
                Ok(Done::NotHere(reason)) => drop(checked.not_applicable.insert(name, reason)),
                Err(error) => {
                    let said = format!("{error:#}");
                    let is_unfit = UNFIT.iter().any(|start| said.starts_with(start));
                    let those = if is_unfit { &mut checked.unfit } else { &mut checked.failed };
                    those.insert(name, said);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    let mut checked = checked.into_inner().unwrap_or_else(PoisonError::into_inner);
    checked.passed.sort();
    Ok(checked)
}

fn check_one(variant: &Variant, statify: &Statify, scratch: &Path) -> Result<Done> {
    let dir = scratch.join(variant.name.replace('/', "."));
    fs::create_dir(&dir)?;
    let done = variant.check(statify, &dir);
    fs::remove_dir_all(dir)?;
    done
}

/// The guest sees no file of the machine but those of the scratch directory.
fn copy_fixtures(scratch: &Path) -> Result<std::path::PathBuf> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
    let to = scratch.join("fixtures");
    for dir in ["", "lib"] {
        fs::create_dir(to.join(dir))?;
        for entry in fs::read_dir(from.join(dir)).with_context(|| from.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), to.join(dir).join(entry.file_name()))?;
            }
        }
    }
    Ok(to)
}
