//! Why one program stays as it is, where the run goes on: the reason of a failure
//! ([`crate::journal::record::Failure`]).

use std::io;

use statify::Error as Cause;
use statify_elf::ElfError;
use statify_program::Refusal;

/// Of a kind that can be counted, with its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// A few words for the kind.
    pub kind: &'static str,
    /// The sentence.
    pub message: String,
}

impl Reason {
    /// The reason that a conversion gives, with the program's path in the tree.
    pub fn of(error: &Cause) -> Self {
        match error {
            Cause::InRoot(_, source) => Self::of(source),
            Cause::Refused(refusal) => Self::refused(refusal),
            error => Self { kind: kind(error), message: error.to_string() },
        }
    }

    /// The reason for which a program is refused before its conversion has begun, with the program's path in the tree.
    pub fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::InRoot(_, source) => Self::refused(source),
            refusal => Self { kind: kind_of(refusal), message: refusal.to_string() },
        }
    }

    /// Something about the file itself.
    pub fn file(path: &std::path::Path, what: &str, error: &io::Error) -> Self {
        let message = format!("{}: it cannot be {what}: {error}", path.display());
        Self { kind: "file", message }
    }

    /// The file is not what it was when the run began.
    pub fn changed(path: &std::path::Path) -> Self {
        let message = format!(
            "{}: it was changed while it was converted, and stays as it is now; run it again",
            path.display()
        );
        Self { kind: "changed meanwhile", message }
    }
}

/// The kind of what a conversion says.
fn kind(error: &Cause) -> &'static str {
    match error {
        Cause::PrivilegedOrigin(..) | Cause::PrivilegedWritable(..) => "privileged and unsafe",
        Cause::CannotPreserve(..) => "privileges not kept",
        Cause::Timeout(..) => "too slow",
        Cause::Behaviour(..) => "forbidden behaviour",
        Cause::Unexplained(..) => "unexplained values",
        _ => "other",
    }
}

/// The kind of a refusal.
fn kind_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Privileged(..) => "privileged",
        Refusal::Elf(_, ElfError::NotHere(_) | ElfError::Machine(..)) => "another machine",
        Refusal::Interpreter(..) => "loader missing",
        Refusal::Loader(..) => "other C library",
        Refusal::LibraryMissing(..) => "library missing",
        Refusal::WritableCode(..) => "writable code",
        Refusal::Payload(..) | Refusal::Unclaimed(..) => "bytes without header",
        Refusal::Elf(..) => "damaged",
        Refusal::Program(..) => "file",
        Refusal::LoaderDied(..) | Refusal::Loading(..) => "does not load",
        _ => "other",
    }
}

/// Whether it is not the program's fault but the output's place: disk full, read-only, broken.
pub(crate) fn stops_the_run(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | ReadOnlyFilesystem | QuotaExceeded | FileTooLarge)
        || error.raw_os_error() == Some(libc::EIO)
}
