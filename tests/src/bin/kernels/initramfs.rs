//! The initial file system: what every boot finds in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use statify_init::plan::{PLAN, Plan};
use statify_tests::convert::Statify;
use statify_tests::cross::I386;
use statify_tests::{machine, tool};
use statify_vm::Archive;

use crate::fixtures::Case;
use crate::packages;

/// The converted programs that are in every archive.
pub struct Tools {
    /// Process 1.
    init: PathBuf,
    /// Those that fixtures call, by where they lie in the machine.
    called: Vec<(&'static str, PathBuf)>,
}

/// The package of process 1, and its command.
const INIT: &str = "statify-init";

/// What fixtures call.
struct Called {
    /// Where it lies in the machine.
    path: &'static str,
    /// The command.
    name: &'static str,
    /// Debian's package with it.
    package: &'static str,
    /// How its file's name there ends.
    file: &'static str,
}

const CALLED: [Called; 2] = [
    Called { path: "/bin/sh", name: "sh", package: "dash", file: "*/bin/dash" },
    Called { path: "/bin/tr", name: "tr", package: "coreutils", file: "*/bin/tr" },
];

impl Tools {
    /// Converts this machine's into `dir`.
    pub fn convert(statify: &Statify, dir: &Path) -> Result<Self> {
        let find = |called: &Called| {
            let found = machine::find_program(called.name);
            Ok(found.with_context(|| format!("{} is missing", called.name))?.canonicalize()?)
        };
        Self::of(&tool::locate(INIT)?, find, statify, dir)
    }

    /// Converts some of 32 bits into `dir`: process 1 is built, the others are downloaded into `cache`.
    pub fn convert_narrow(statify: &Statify, dir: &Path, cache: &Path) -> Result<Self> {
        let find =
            |called: &Called| packages::program_of_32_bits(called.package, called.file, cache);
        Self::of(&I386.build(INIT, INIT)?, find, statify, dir)
    }

    fn of(
        init: &Path,
        find: impl Fn(&Called) -> Result<PathBuf>,
        statify: &Statify,
        dir: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let convert = |program: &Path, name: &str| -> Result<PathBuf> {
            let out = dir.join(name);
            statify.convert::<&str>(program, &out, &[])?;
            Ok(out)
        };
        let mut called = Vec::new();
        for one in &CALLED {
            called.push((one.path, convert(&find(one)?, one.name)?));
        }
        Ok(Self { init: convert(init, "init")?, called })
    }
}

/// Writes the archive for `cases` to `path`.
pub fn write(path: &Path, tools: &Tools, plan: &Plan, cases: &[&Case]) -> Result<()> {
    let mut archive = Archive::create(path)?;
    for empty in ["/tmp", "/etc", "/root"] {
        archive.directory(Path::new(empty))?;
    }
    archive.file(Path::new("/init"), &tools.init)?;
    for (path, program) in &tools.called {
        archive.file(Path::new(path), program)?;
    }
    archive.contents(Path::new(PLAN), 0o644, &serde_json::to_vec(plan)?)?;
    for case in cases {
        archive.tree(&case.dir)?;
    }
    Ok(archive.finish()?)
}
