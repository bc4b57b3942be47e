//! What is converted once: files of equal contents share a conversion, as far as nothing in the output
//! depends on which of them it was made of.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use rayon::prelude::*;
use statify_elf::ElfFile;
use statify_files::contents;

use crate::error::reason::Reason;
use crate::journal::record::Failure;
use crate::programs::find::Candidate;

/// Files that share a conversion.
#[derive(Debug)]
pub(crate) struct Unit {
    /// One after the other as they were found; the first one is converted.
    pub candidates: Vec<Candidate>,
    /// SHA-256 of their contents, in hexadecimal.
    pub sha256: String,
}

/// In what files must be alike; the last two where the output depends on it.
type Key = (String, Option<PathBuf>, Option<usize>);

/// Groups the programs. Those that cannot be read are failures.
pub fn plan(candidates: Vec<Candidate>) -> (Vec<Unit>, Vec<Failure>) {
    let keys: Vec<io::Result<Key>> =
        candidates.par_iter().enumerate().map(|(index, program)| key(program, index)).collect();
    let mut units: Vec<Unit> = Vec::new();
    let mut known: BTreeMap<Key, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for (candidate, key) in candidates.into_iter().zip(keys) {
        match key {
            Ok(key) => {
                let sha256 = key.0.clone();
                let index = *known.entry(key).or_insert(units.len());
                if index == units.len() {
                    units.push(Unit { candidates: Vec::new(), sha256 });
                }
                units[index].candidates.push(candidate);
            }
            Err(error) => {
                let names: Vec<_> = candidate.names.iter().map(|name| name.path()).collect();
                let reason = Reason::file(&names[0], "read", &error);
                failures.push(Failure::new(names, reason));
            }
        }
    }
    (units, failures)
}

fn key(candidate: &Candidate, index: usize) -> io::Result<Key> {
    let file = contents::open(&candidate.names[0].at())?;
    let sha256 = contents::sha256(&file)?;
    // SAFETY: the bytes are only read as bytes; a file that shrinks meanwhile ends the process, as it
    // would in the conversion itself.
    let bytes = unsafe { memmap2::Mmap::map(&file) }?;
    // Privileges are checked against the directories that lead to the program.
    let alone = candidate.program.privileges.is_some().then_some(index);
    let parent = candidate.program.path.parent().map(PathBuf::from);
    Ok((sha256, parent.filter(|_| asks_for_its_directory(&bytes)), alone))
}

/// Whether libraries are found relative to the program (ld.so(8), `$ORIGIN`).
fn asks_for_its_directory(bytes: &[u8]) -> bool {
    let dynamic = ElfFile::parse(bytes).ok().and_then(|elf| elf.dynamic().ok().flatten());
    let Some(dynamic) = dynamic else {
        return true;
    };
    let strings = dynamic.search_paths().into_iter().chain(dynamic.needed());
    strings.into_iter().any(|text| text.windows(6).any(|word| word == b"ORIGIN"))
}
