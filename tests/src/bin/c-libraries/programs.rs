//! The system's own programs: each converted with `--root --verify`, called with `--version`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use statify_tests::convert::{LIMIT, Statify};
use statify_tests::guest;
use statify_tests::process::{self, End};

/// Where programs are, as far as a system has these directories.
const DIRECTORIES: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
/// What statify says of files that are no dynamic programs, or that it refuses on purpose.
const REFUSED: [&str; 6] = [
    "it is a script",
    "already static",
    "set-user-ID",
    "set-group-ID",
    "file capabilities",
    "not an ELF file",
];

/// What came out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Programs {
    /// Original and converted did the same.
    pub agreed: usize,
    /// The others, with what statify said.
    pub failed: BTreeMap<String, String>,
    /// Scripts, set-user-ID programs and others that are refused.
    pub refused: usize,
}

/// Converts every program of the guest.
pub fn check(scratch: &Path, statify: &Statify, jobs: usize) -> Result<Programs> {
    let root = guest::root().context("there is no guest")?;
    let found = find(root)?;
    let (programs, next) = (Mutex::new(Programs::default()), AtomicUsize::new(0));
    let work = |job: usize| -> Result<()> {
        let out = scratch.join(format!("program-{job}"));
        while let Some(program) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut command = statify.command(["--quiet", "--force", "--verify", "--root"]);
            command.arg(root).arg("-o").arg(&out).arg(program).args(["--", "--version"]);
            let outcome = process::run(&mut command, b"", LIMIT)?;
            let said = outcome.stderr_text().trim().to_owned();
            let mut programs = programs.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome.end {
                End::Exit(0) => programs.agreed += 1,
                End::Exit(1) if REFUSED.iter().any(|words| said.contains(words)) => {
                    programs.refused += 1;
                }
                end => {
                    let said = format!("{end}: {said}");
                    programs.failed.insert(program.to_string_lossy().into_owned(), said);
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..jobs).map(|job| scope.spawn(move || work(job))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(programs.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Paths of executable files in the guest, each file once.
fn find(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = BTreeMap::new();
    for directory in DIRECTORIES {
        let Ok(entries) = fs::read_dir(guest::outside(Path::new(directory))) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            // Links may lead to the machine as seen from here; what they name is found by its own name.
            let metadata = path.symlink_metadata()?;
            if metadata.is_file() && metadata.mode() & 0o111 != 0 {
                let inside = Path::new("/").join(path.strip_prefix(root)?);
                found.entry(metadata.ino()).or_insert(inside);
            }
        }
    }
    let mut paths: Vec<_> = found.into_values().collect();
    paths.sort();
    Ok(paths)
}
