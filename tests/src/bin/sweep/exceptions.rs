//! The runs that cannot agree, each with the reason. Nothing else may differ.

use crate::sweep::Arguments;

/// A run whose difference is known and understood.
#[derive(Debug)]
pub struct Exception {
    /// File name of the program.
    pub program: &'static str,
    /// The run; `None` for all of them.
    pub run: Option<Arguments>,
    /// Why it cannot agree.
    pub reason: &'static str,
}

/// The table.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        program: "lsfd",
        run: Some(Arguments::None),
        reason: "lists the files its own process has mapped: converted, that is one file and no libraries",
    },
    Exception {
        program: "lsof",
        run: Some(Arguments::None),
        reason: "lists the files its own process has mapped: converted, that is one file and no libraries",
    },
];

/// Programs whose output has an order that is the kernel's and changes at any moment: compared
/// normalised even where the original happens to agree with itself.
pub const UNORDERED: &[(&str, &str)] = &[
    ("findmnt", "lists mounts by their ids, and the kernel gives free ids to whoever comes next"),
    ("groff", "asks the programs that it calls for their versions, and they answer side by side"),
];

/// Whether the order of a program's lines is chance.
pub fn is_unordered(program: &str) -> bool {
    UNORDERED.iter().any(|(name, _)| *name == program)
}

/// The entry for a run, with its place in the table.
pub fn find(program: &str, run: Arguments) -> Option<(usize, &'static Exception)> {
    EXCEPTIONS
        .iter()
        .enumerate()
        .find(|(_, entry)| entry.program == program && entry.run.is_none_or(|named| named == run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_is_listed_once_and_has_a_reason() {
        for (place, entry) in EXCEPTIONS.iter().enumerate() {
            assert!(entry.reason.len() > 20, "{}: say why", entry.program);
            let first = find(entry.program, entry.run.unwrap_or(Arguments::None));
            assert_eq!(
                first.map(|(first, _)| first),
                Some(place),
                "{} is listed twice",
                entry.program
            );
        }
    }
}
