//! Why one program stays as it is: the kind, for counting, and the sentence.

use std::io;

use statify::Error as Cause;

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
        let error = match error {
            Cause::InRoot(_, source) => source,
            other => other,
        };
        Self { reason: reason(error), message: error.to_string() }
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
        Cause::Privileged(..) => "privileged",
        Cause::PrivilegedOrigin(..) | Cause::PrivilegedWritable(..) => "privileged and unsafe",
        Cause::CannotPreserve(..) => "privileges not kept",
        Cause::Interpreter(..) => "loader missing",
        Cause::Loader(..) => "other C library",
        Cause::LibraryMissing(..) => "library missing",
        Cause::Timeout(..) => "too slow",
        Cause::Behaviour(..) => "forbidden behaviour",
        Cause::WritableCode(..) => "writable code",
        Cause::Payload(..) | Cause::Unclaimed(..) => "bytes without header",
        Cause::Unexplained { .. } => "unexplained values",
        Cause::Elf(..) => "damaged",
        Cause::Program(..) => "file",
        Cause::LoaderDied(..) | Cause::Loading(..) => "does not load",
        _ => "other",
    }
}

/// Whether it is not the program's fault but the output's place: disk full, read-only, broken.
pub fn stops_the_run(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | ReadOnlyFilesystem | QuotaExceeded | FileTooLarge)
        || error.raw_os_error() == Some(libc::EIO)
}
