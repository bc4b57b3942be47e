//! What a report of a fault needs (`--report`): this machine, the program, and how its conversion ends,
//! with every word that is not explained. Nothing in it says whose machine it is: no name of a host or
//! user, and nothing of the environment; paths are as they are.

mod machine;
mod program;
mod text;

use std::path::{Path, PathBuf};

pub use machine::Machine;
pub use program::Facts;

use crate::convert::{Options, convert};
use crate::error::Error;
use crate::report::{Phase, Report};

/// All that a report says.
#[derive(Debug)]
pub struct Diagnosis {
    /// Where it was made.
    pub machine: Machine,
    /// The program's path.
    pub program: PathBuf,
    /// What the program's file says of itself, or why it cannot be read.
    pub facts: std::io::Result<Facts>,
    /// What came of its conversion.
    pub outcome: Result<Report, Error>,
}

impl Diagnosis {
    /// Converts `program`, a path in the root, into a file in the directory `room`, which nobody else may
    /// write to, and removes that file. `progress` hears of every phase.
    pub fn make(
        program: &Path,
        room: &Path,
        options: &Options,
        progress: impl FnMut(Phase),
    ) -> Self {
        let output = room.join("converted");
        let outcome = convert(program, &output, options, progress);
        // Only its making is of interest.
        let _ = std::fs::remove_file(&output);
        Self {
            machine: Machine::here(),
            program: program.to_owned(),
            facts: Facts::read(&options.root, program),
            outcome,
        }
    }
}
