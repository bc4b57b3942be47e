//! The initial file system: what every boot finds in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use statify_tests::convert::Statify;
use statify_tests::machine;
use statify_vm::Archive;

use crate::fixtures::Case;
use crate::plan::{PLAN, Plan};

/// The converted programs that are in every archive.
pub struct Tools {
    /// This program.
    init: PathBuf,
    /// Those that fixtures call, by where they lie in the machine.
    called: Vec<(&'static str, PathBuf)>,
}

/// What fixtures call.
const CALLED: &[(&str, &str)] = &[("/bin/sh", "sh"), ("/bin/tr", "tr")];

impl Tools {
    /// Converts them into `dir`.
    pub fn convert(statify: &Statify, dir: &Path) -> Result<Self> {
        let convert = |program: &Path, name: &str| -> Result<PathBuf> {
            let out = dir.join(name);
            statify.convert::<&str>(program, &out, &[])?;
            Ok(out)
        };
        let mut called = Vec::new();
        for (path, name) in CALLED {
            let program =
                machine::find_program(name).with_context(|| format!("{name} is missing"))?;
            let program = fs::canonicalize(program)?;
            called.push((*path, convert(&program, &format!("{name}.converted"))?));
        }
        Ok(Self { init: convert(&std::env::current_exe()?, "init.converted")?, called })
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
