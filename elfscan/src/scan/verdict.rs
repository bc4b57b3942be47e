//! Whether statify can convert a file: its own examination says so, and why not in its own words.

use serde::Serialize;
use statify_elf::ElfFile;
use statify_program::Refusal;
use statify_program::{Examiner, Opened, Program};
use statify_room::Root;

use super::Kind;

/// What statify would make of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// One file.
    Convertible,
    /// It is one file already.
    AlreadyStatic,
    /// A program that is refused.
    Refused,
    /// Nothing that is started: libraries, object files, cores. Refused, too.
    NoProgram,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Convertible, Self::AlreadyStatic, Self::Refused, Self::NoProgram];

    /// As people say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Convertible => "convertible",
            Self::AlreadyStatic => "already static",
            Self::Refused => "refused",
            Self::NoProgram => "no program",
        }
    }
}

/// What is to be said against a program because of the libraries that it would load: one that is
/// missing ([`Refusal::LibraryMissing`]), one with writable code ([`Refusal::WritableCode`]). Of the program's
/// bytes those of its [`statify_elf::Excerpt`] are there: no relocations, no symbols that it defines.
pub type LibrariesCheck<'a> =
    &'a (dyn Fn(&Program, &ElfFile<'_>) -> statify_program::Result<()> + Sync);

/// Who decides.
pub struct Judge<'a> {
    examiner: Examiner,
    root: &'a Root,
    libraries: Option<LibrariesCheck<'a>>,
}

impl<'a> Judge<'a> {
    /// For files in a root. `libraries` is asked last, of programs that nothing else speaks against.
    pub fn new(root: &'a Root, libraries: Option<LibrariesCheck<'a>>) -> Self {
        Self { examiner: Examiner::new(root.clone()), root, libraries }
    }

    /// The verdict on a file, and unless it is convertible, what statify says of it. In the order in
    /// which a conversion finds out.
    pub fn judge(&self, opened: &Opened<'_>, kind: Kind) -> (Verdict, Option<String>) {
        let Err(error) = self.check(opened) else { return (Verdict::Convertible, None) };
        let verdict = match (&error, kind) {
            (_, kind) if !kind.is_program() => Verdict::NoProgram,
            (Refusal::Static(_), _) => Verdict::AlreadyStatic,
            _ => Verdict::Refused,
        };
        (verdict, Some(error.in_root(self.root).to_string()))
    }

    fn check(&self, opened: &Opened<'_>) -> statify_program::Result<()> {
        let program = self.examiner.examine(opened)?;
        program.check_privileges(false)?;
        let Some(check) = self.libraries else { return Ok(()) };
        let elf = ElfFile::parse(opened.bytes);
        let elf = elf.map_err(|error| Refusal::Elf(opened.path.to_owned(), error))?;
        check(&program, &elf)
    }
}
