//! Why a tree has no pool where one is wanted, as the end of a sentence that begins with its path.

use std::io;
use std::path::PathBuf;

/// What is wrong: a clause, without the path.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be a path from a root on.
    #[error(
        "a pool's path must be absolute, without `..`, and another than /: it is where programs of the converted system look"
    )]
    Path,
    /// The directory with the journal.
    #[error("this directory is rootfs-tools' own; give another --pool")]
    Journals,
    /// Programs are looked for there.
    #[error("this directory has programs that are converted; give another --pool")]
    Programs,
    /// The starter follows none.
    #[error(
        "it is a symbolic link, which no program follows to a pool; remove it, or give another --pool"
    )]
    Link,
    /// A link on the way.
    #[error("the symbolic link {link} leads to no directory of the tree; remove it, or give another --pool", link = .0.display())]
    Dangling(PathBuf),
    /// Links that lead to each other.
    #[error("too many symbolic links are on the way; give the path without them as --pool")]
    Links,
    /// Something else has that name.
    #[error("{other} is no directory; remove it, or give another --pool", other = .0.display())]
    NoDirectory(PathBuf),
    /// No start would take anything from it.
    #[error("{directory} {why}, and a pool is used only if it and all directories that lead to it are root's, and nobody else may write to them; change that (chown, chmod), or give another --pool", directory = .0.display(), why = .1)]
    NotRoots(PathBuf, &'static str),
    /// A file of it is forged or damaged.
    #[error("the file {0} in it {1}; remove it and run the same command again")]
    Forged(String, &'static str),
    /// It cannot be looked at, or made.
    #[error("it cannot be {0}: {1}")]
    File(&'static str, #[source] io::Error),
}
