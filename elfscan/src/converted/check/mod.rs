//! Whether a converted file is as it was written: its structure, its contents, what the starter
//! makes of it. Every bit of the file counts: what is loaded is under the build-id or a module's
//! hash in the manifest, which is under the build-id; the rest is zero. There is no signature: who
//! changes a file and makes its hashes anew is not found out.
//!
//! What a start would map from a pool belongs to the machine, not to the file: [`check_pool_on_this_machine`]
//! looks at it.

mod agent;
mod contents;
mod findings;
mod headers;
mod manifest;
mod on_this_machine;
mod pool;
mod problem;
mod tables;

use std::ops::Range;

use statify_format::parameters::Parameters;

pub use findings::Findings;
pub use on_this_machine::check as check_pool_on_this_machine;
pub use problem::{Part, Problem};

use super::memory::Memory;
use super::open::Converted;
use super::places::Places;
use problem::Problems;

/// Checks a converted file. `extents` are where it may have other bytes than zeros, ascending.
pub fn check(converted: &Converted<'_>, extents: &[Range<u64>]) -> Findings {
    let mut problems = Problems::default();
    let mut notices = Vec::new();
    headers::check(converted, &mut problems);
    let places = Places::of(converted);
    let parameters = Parameters::read(&converted.elf);
    let memory = match &parameters {
        Ok(parameters) => {
            let memory = Memory::of(converted, parameters, &places);
            tables::check(converted, parameters, &places, &memory, &mut problems);
            pool::check(converted, parameters, &places, &memory, &mut problems);
            tables::check_code(converted, parameters, &mut problems, &mut notices);
            Some(memory)
        }
        Err(error) => {
            problems.add(Part::Starter, error.to_string());
            None
        }
    };
    manifest::check(converted, &places, memory.as_ref(), &mut problems);
    if let Some(memory) = &memory {
        agent::check(converted, &places, memory, &mut problems);
    }
    contents::check(converted, extents, &mut problems);
    Findings { problems: problems.into_vec(), notices }
}
