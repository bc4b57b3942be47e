//! Why one program stays as it is: the kind, for counting, and the sentence.

use std::io;

use statify::Error as Cause;
use statify_program::Refusal;

/// It.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

impl Failure {
    /// As the conversion says it, with the program's path in the tree.
    pub fn of(error: &Cause) -> Self {
        match error {
            Cause::InRoot(_, source) => Self::of(source),
            Cause::Refused(refusal) => Self::refused(refusal),
            error => Self { reason: reason(error), message: error.to_string() },
        }
    }

    /// The same of what a conversion has not begun with.
    pub fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::InRoot(_, source) => Self::refused(source),
            refusal => Self { reason: reason_of(refusal), message: refusal.to_string() },
        }
    }

    /// Something about the file itself.
    pub fn file(path: &std::path::Path, what: &str, error: &io::Error) -> Self {
        let message = format!("{}: it cannot be {what}: {error}", path.display());
        Self { reason: "file", message }
    }

    /// It is not what it was when the run began.
    pub fn changed(path: &std::path::Path) -> Self {
        let message = format!(
            "{}: it was changed while it was converted, and stays as it is now; run it again",
            path.display()
        );
        Self { reason: "changed meanwhile", message }
    }
}

/// A few words for the kind.
fn reason(error: &Cause) -> &'static str {
    match error {
        Cause::PrivilegedOrigin(..) | Cause::PrivilegedWritable(..) => "privileged and unsafe",
        Cause::CannotPreserve(..) => "privileges not kept",
        Cause::Timeout(..) => "too slow",
        Cause::Behaviour(..) => "forbidden behaviour",
        Cause::Unexplained(..) => "unexplained values",
        _ => "other",
    }
}

fn reason_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Privileged(..) => "privileged",
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
pub fn stops_the_run(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | ReadOnlyFilesystem | QuotaExceeded | FileTooLarge)
        || error.raw_os_error() == Some(libc::EIO)
}
