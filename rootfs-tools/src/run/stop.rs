//! What keeps a step from being done: something about one program, which stays as it is, or something about
//! the place for outputs, which ends the run.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::error::reason::{Reason, stops_the_run};

/// What it stops.
#[derive(Debug)]
pub(crate) enum Stop {
    /// One program.
    Program(Reason),
    /// The run.
    Run(Error),
}

impl Stop {
    /// Something could not be done with `program` (`what`, a participle). If that is not due to the program,
    /// the run is said to stop at `place`.
    pub(crate) fn at(place: PathBuf, program: &Path, what: &str, error: io::Error) -> Self {
        if stops_the_run(&error) {
            Self::Run(Error::Stopped { path: place, source: error })
        } else {
            Self::Program(Reason::file(program, what, &error))
        }
    }
}
