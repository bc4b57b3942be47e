//! A directory as an image: EROFS, as `mkfs.erofs` makes it, with files in chunks of 4 KiB, so that what is equal in them is there
//! once. The same tree makes the same bytes: times are the files' own, that of the image is the newest of them, and it has no UUID.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;
use walkdir::WalkDir;

use crate::error::{Error, Result};

/// What makes the image.
const PROGRAM: &str = "mkfs.erofs";
/// How large a file's chunks are, in bytes.
const CHUNKS: &str = "--chunksize=4096";

/// What is found out about a tree beforehand.
#[derive(Debug, Default)]
struct Survey {
    /// The newest of its files' times of change, in seconds.
    newest: i64,
    /// Names in it that another file system is mounted on; and whether that is a directory.
    mounted: Vec<(PathBuf, bool)>,
}

/// The image of a tree, a file that is gone when it is dropped. What is mounted somewhere in the tree is not in it.
pub fn image(tree: &Path) -> Result<NamedTempFile> {
    let unreadable = |error| Error::Image(tree.to_owned(), error);
    let failed = |why: String| Error::Tree(tree.to_owned(), why);
    let top = tree.canonicalize().map_err(unreadable)?;
    let survey = survey(&top).map_err(unreadable)?;
    let file = NamedTempFile::with_prefix("chunkstore-tree-").map_err(|error| {
        failed(format!("a temporary file (TMPDIR says where) cannot be made: {error}"))
    })?;
    let mut command = Command::new(PROGRAM);
    // Files that are newer would get this time.
    command.env("SOURCE_DATE_EPOCH", survey.newest.saturating_add(1).max(1).to_string());
    command.args(["--quiet", CHUNKS, "-U", "00000000-0000-0000-0000-000000000000"]);
    command
        .args(survey.mounted.iter().map(|(inside, is_directory)| left_out(inside, *is_directory)));
    command.arg(file.path()).arg(&top).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            failed(format!("{PROGRAM} is not installed (in the package erofs-utils)"))
        }
        _ => failed(format!("{PROGRAM} cannot be run: {error}")),
    })?;
    if output.status.success() {
        return Ok(file);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unrecognized option") {
        return Err(failed(format!("{PROGRAM} is too old: 1.5 or a newer one is needed")));
    }
    let line =
        said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it ended early");
    Err(failed(format!("{PROGRAM} failed: {}", statify_printable::printable(line))))
}

fn survey(top: &Path) -> io::Result<Survey> {
    let device = top.metadata()?.dev();
    let mut survey = Survey::default();
    for entry in WalkDir::new(top).same_file_system(true) {
        let entry = entry?;
        let stat = entry.path().symlink_metadata()?;
        survey.newest = survey.newest.max(stat.mtime());
        if stat.dev() != device {
            let inside = entry.path().strip_prefix(top).unwrap_or(entry.path());
            survey.mounted.push((inside.to_owned(), stat.is_dir()));
        }
    }
    Ok(survey)
}

/// The option that leaves out a file, or what is in a directory.
fn left_out(inside: &Path, is_directory: bool) -> OsString {
    let mut pattern = b"--exclude-regex=^".to_vec();
    for &byte in inside.as_os_str().as_bytes() {
        if br"\^$.[]|()*+?{}".contains(&byte) {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(if is_directory { b'/' } else { b'$' });
    OsString::from_vec(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_patterns() {
        let option = |text: &str, is_directory| left_out(Path::new(text), is_directory);
        assert_eq!(option("a/b", true), "--exclude-regex=^a/b/");
        assert_eq!(option("a.*(x)", false), r"--exclude-regex=^a\.\*\(x\)$");
    }
}
