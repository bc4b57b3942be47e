//! Whether a converted program is as it was written (`elfscan check`), and the one that belongs there.

use std::path::Path;

use elfscan::converted::check;
use elfscan::converted::open::{Converted, MappedFile};
use elfscan::converted::originals::Original;
use statify_files::path_text;
use statify_format::manifest::{FileKind, Manifest, hex};
use statify_room::Root;

use super::subjects::Subject;
use crate::journal::record::Replacement;
use crate::journal::state;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is not as it should be.
    pub problems: Vec<String>,
    /// What a user should know.
    pub notices: Vec<String>,
    /// The file is a whole converted program, whichever.
    pub runnable: bool,
    /// What it says of itself, if that can be read.
    pub manifest: Option<Manifest>,
}

impl Findings {
    fn problem(what: String) -> Self {
        Self { problems: vec![what], ..Self::default() }
    }
}

/// Looks at the file of a subject.
pub fn check(subject: &Subject) -> Findings {
    let path = match &subject.file {
        Ok(name) => name.at(),
        Err(why) => return Findings::problem(why.clone()),
    };
    match path.symlink_metadata() {
        Ok(stat) if stat.is_file() => {}
        Ok(_) => return Findings::problem("it is no file any more".into()),
        Err(error) => return Findings::problem(format!("it cannot be read: {error}")),
    }
    let file = match MappedFile::open(&path) {
        Ok(file) => file,
        Err(elfscan::Error::File(_, error)) => {
            return Findings::problem(format!("it cannot be read: {error}"));
        }
        Err(error) => return Findings::problem(format!("it cannot be read: {error}")),
    };
    let converted = match Converted::read(file.bytes()) {
        Ok(converted) => converted,
        Err(why) => {
            let original = subject.replacement.as_ref().is_some_and(|r| is_original(&path, r));
            return Findings::problem(match original {
                true => "it is the original again".into(),
                false => why.to_string(),
            });
        }
    };
    let found = check::check(&converted, &file.extents);
    let mut problems: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
    let runnable = problems.is_empty();
    if let Some(replacement) = &subject.replacement {
        let build_id = converted.elf.build_id().map(|id| hex(&id)).unwrap_or_default();
        if build_id != replacement.converted.build_id {
            problems.push(another(&build_id, &replacement.converted.build_id, &converted.manifest));
        }
    }
    let manifest = Some(converted.manifest);
    Findings { problems, notices: found.notices, runnable, manifest }
}

fn is_original(path: &Path, replacement: &Replacement) -> bool {
    state::holds(path, &replacement.original.sha256).unwrap_or(false)
}

fn another(found: &str, expected: &str, manifest: &Manifest) -> String {
    let of = manifest.files.first().map(|file| path_text::to_text(&file.path));
    let of = of.unwrap_or_default();
    format!("it is not what was put here (build-id {expected}), but a conversion of {of} ({found})")
}

/// What the original of a program must be, as SHA-256.
pub(crate) fn original_of(subject: &Subject, manifest: Option<&Manifest>) -> Option<String> {
    match &subject.replacement {
        Some(replacement) => Some(replacement.original.sha256.clone()),
        None => Some(manifest?.files.first()?.sha256.clone()),
    }
}

/// Embedded libraries that are not in the tree any more as they were embedded.
pub fn changed(root: &Root, manifest: &Manifest) -> Vec<String> {
    let libraries = manifest.files.iter().filter(|file| file.kind != FileKind::Program);
    let other = libraries.filter(|file| !matches!(Original::find(root, file), Original::Same(_)));
    other.map(|file| path_text::to_text(&file.path)).collect()
}
