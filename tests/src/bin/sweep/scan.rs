//! What elfscan says of the programs beforehand, held against what statify does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use statify_tests::convert::SYSTEM_PATH;

use crate::convert::Conversion;
use crate::programs::{DIRECTORIES, Program};

/// As far as it is read.
#[derive(Deserialize)]
struct Document {
    files: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    path: String,
    verdict: String,
    reason: Option<String>,
}

/// For each file, why it cannot be converted; none if it can be.
pub struct Verdicts(BTreeMap<(u64, u64), Option<String>>);

impl Verdicts {
    /// What elfscan says of all programs, in one call.
    pub fn ask(elfscan: &Path) -> Result<Self> {
        let mut command = Command::new(elfscan);
        command.args(["scan", "--json"]).args(DIRECTORIES).env_clear().env("PATH", SYSTEM_PATH);
        let output = command.output().with_context(|| format!("run {}", elfscan.display()))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let found: Document = serde_json::from_slice(&output.stdout).with_context(|| said)?;
        let mut verdicts = BTreeMap::new();
        for row in found.files {
            // A name that is no text is not found again; no program has one.
            let Ok(metadata) = fs::metadata(&row.path) else { continue };
            ensure!((row.verdict == "convertible") == row.reason.is_none(), "{}", row.path);
            let start = format!("{}: ", row.path);
            let words = row.reason.map(|reason| reason.replacen(&start, "", 1));
            verdicts.insert((metadata.dev(), metadata.ino()), words);
        }
        Ok(Self(verdicts))
    }

    /// How the verdict on a program differs from what statify did.
    pub fn disagreement(&self, program: &Program, conversion: &Conversion) -> Option<String> {
        let id = fs::metadata(&program.file).map(|metadata| (metadata.dev(), metadata.ino()));
        let verdict = id.ok().and_then(|id| self.0.get(&id));
        let Some(verdict) = verdict else {
            return Some("elfscan has no row for it".into());
        };
        let start = format!("{}: ", program.file.display());
        let said = match conversion {
            Conversion::Done => None,
            Conversion::Refused(message) | Conversion::Failed(message) => {
                Some(message.split_once(&start).map_or(message.as_str(), |(_, words)| words))
            }
        };
        let shown = |words: Option<&str>| words.unwrap_or("it can be converted").to_owned();
        let verdict = verdict.as_deref();
        (verdict != said)
            .then(|| format!("elfscan: {}\n    statify: {}", shown(verdict), shown(said)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_paths() -> Result<()> {
        let file = Path::new("/proc/self/exe").canonicalize()?;
        let metadata = fs::metadata(&file)?;
        let verdict = |words: Option<&str>| {
            let id = (metadata.dev(), metadata.ino());
            Verdicts(BTreeMap::from([(id, words.map(Into::into))]))
        };
        let program = Program { path: file.clone(), file: file.clone(), privileged: false };
        let refused = Conversion::Refused(format!("statify: {}: it is odd", file.display()));
        assert_eq!(verdict(None).disagreement(&program, &Conversion::Done), None);
        assert_eq!(verdict(Some("it is odd")).disagreement(&program, &refused), None);
        assert!(verdict(Some("it is even")).disagreement(&program, &refused).is_some());
        assert!(verdict(None).disagreement(&program, &refused).is_some());
        assert!(verdict(Some("it is odd")).disagreement(&program, &Conversion::Done).is_some());
        assert!(Verdicts(BTreeMap::new()).disagreement(&program, &refused).is_some());
        Ok(())
    }
}
