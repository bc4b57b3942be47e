//! What can go wrong with a whole tree, each in one sentence that says what to do. What is wrong with
//! one program is [`reason::Reason`], what is wrong with an archive, an image, a pool or a guest that boots is a fault
//! ([`archive::Fault`], [`image::Fault`], [`pool::Fault`], [`boot::Fault`]).

pub(crate) mod archive;
pub(crate) mod boot;
pub(crate) mod image;
pub(crate) mod pool;
pub(crate) mod reason;

use std::io;
use std::path::{Path, PathBuf};

/// The reasons for which nothing is done, or for which a run ends early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What a conversion says, of the machine rather than of its program.
    #[error(transparent)]
    Statify(#[from] statify::Error),
    /// A directory that cannot stand for the root, or that there is no room for.
    #[error(transparent)]
    Room(#[from] statify_room::Error),
    /// A place where a cache cannot lie, or a file that cannot be its key.
    #[error(transparent)]
    Store(#[from] statify_store::Error),
    /// ROOT is this machine's own root.
    #[error("{path}: it is the root of the running system; give --i-know if that is meant", path = .0.display())]
    RunningSystem(PathBuf),
    /// None of the directories is there.
    #[error("{path}: it has none of the directories {dirs}, so it is no root file system; give the directory that holds them, or name others with --dirs", path = .0.display(), dirs = .1)]
    NotARoot(PathBuf, String),
    /// Every program wants a loader that is not there.
    #[error("{path}: the loader of its programs ({interpreter}) is not there, so none can be converted; install the C library into it", path = .0.display(), interpreter = .1.display())]
    NoLoader(PathBuf, PathBuf),
    /// Every executable is for another machine.
    #[error("{path}: none of its programs can be converted here: {machines}", path = .0.display(), machines = .1)]
    OtherArchitecture(PathBuf, String),
    /// Another run works on it.
    #[error("{path}: another run of rootfs-tools works on it; wait for its end", path = .0.display())]
    Locked(PathBuf),
    /// A file or directory of the tree, the backup or the output.
    #[error("{path}: it cannot be {what}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// A participle.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal is not as it was written.
    #[error("{path}: line {line} of the journal is damaged, so what was done is not known for certain; nothing was changed: put back a good copy of this file (whole originals are in the backup directory)", path = .0.display(), line = .1)]
    JournalDamaged(PathBuf, usize),
    /// The journal is of another version.
    #[error("{path}: the journal has version {found}, this rootfs-tools knows {known}; use the one that wrote it", path = .0.display(), found = .1, known = .2)]
    JournalVersion(PathBuf, u64, u64),
    /// No run has been made.
    #[error("{path}: it has no journal, so rootfs-tools has converted nothing in it", path = .0.display())]
    NoJournal(PathBuf),
    /// The output or backup lies in ROOT, or ROOT in it.
    #[error("{path}: it lies in {root}, or that in it; give a directory elsewhere", path = .0.display(), root = .1.display())]
    Nested(PathBuf, PathBuf),
    /// The output or backup directory has something in it already.
    #[error("{path}: it is not empty, and not from a run on {root}; give a new directory", path = .0.display(), root = .1.display())]
    NotEmpty(PathBuf, PathBuf),
    /// Originals are to be put back and were not kept.
    #[error("{path}: {count} program(s) were converted with --no-backup, so their originals are not there any more; the rest was restored", path = .0.display(), count = .1)]
    NoBackup(PathBuf, usize),
    /// Some originals could not be put back, or what came with them taken away.
    #[error("{path}: {count} file(s) were not put back or taken away, see above; repair what is said there and run it again", path = .0.display(), count = .1)]
    NotRestored(PathBuf, usize),
    /// A pattern of an option.
    #[error("{option}: {source}", option = .0, source = .1)]
    Pattern(&'static str, #[source] globset::Error),
    /// There is no converted program, or none that is asked for.
    #[error("{path}: {what}, so there is nothing to check", path = .0.display(), what = .1)]
    NothingToCheck(PathBuf, String),
    /// Programs run as nobody, who cannot enter the tree.
    #[error("{path}: programs run as nobody here, who may not enter it; allow it (chmod o+x), or check without running them (--no-run)", path = .0.display())]
    NotOpen(PathBuf),
    /// A cache that others may write to has no key.
    #[error(
        "{0}: give --cache-key FILE, a secret that all builders share: without it, whoever can write to the bucket could put programs into images"
    )]
    NoCacheKey(String),
    /// A cache on a web server.
    #[error(
        "{0}: a web server keeps nothing; give a directory or an object store (s3://, gs://, az://)"
    )]
    CacheOnWeb(String),
    /// `--reflink always`.
    #[error("{path}: files cannot share blocks on its file system ({source}); give --reflink auto, or take one that can, such as btrfs or XFS", path = .0.display(), source = .1)]
    NoReflinks(PathBuf, #[source] io::Error),
    /// No ext4 image of a directory can be made.
    #[error("{path}: an ext4 image of it cannot be made: {why}; or leave out --image-chunks", path = .0.display(), why = .1)]
    Ext4Image(PathBuf, String),
    /// An archive or image that cannot be converted.
    #[error("{path}: {fault}", path = .0.display(), fault = .1)]
    Archive(PathBuf, #[source] archive::Fault),
    /// An image layout that cannot be converted.
    #[error("{path}: {fault}", path = .0.display(), fault = .1)]
    Image(PathBuf, #[source] image::Fault),
    /// A tree that cannot have this pool.
    #[error("{path} in the tree: {fault}", path = .0.display(), fault = .1)]
    Pool(PathBuf, #[source] pool::Fault),
    /// Guests that cannot be booted.
    #[error(transparent)]
    Boot(#[from] boot::Fault),
    /// Neither a directory nor a file.
    #[error("{path}: it is neither a directory nor an archive; give the root file system", path = .0.display())]
    NoArchive(PathBuf),
    /// `--in-place` of an archive.
    #[error("{path}: an archive or image cannot be converted in place; give --out for the converted one", path = .0.display())]
    ArchiveInPlace(PathBuf),
    /// `--dry-run` of an archive.
    #[error("{path}: only of a directory it can be said without unpacking what a conversion would do; unpack it, or convert it with --out and --report", path = .0.display())]
    ArchiveDryRun(PathBuf),
    /// What only directories have.
    #[error("{path}: only a directory can be restored; an archive or image stays as it is when it is converted, so use that one", path = .0.display())]
    ArchiveRestored(PathBuf),
    /// The report of an archive.
    #[error("{path}: an archive or image has no journal; the report on it is written while it is converted (convert --report DIR)", path = .0.display())]
    ArchiveReported(PathBuf),
    /// Not root.
    #[error("{path}: only root can unpack the owners and capabilities of an archive or image; run it as root, or in `unshare --map-auto --map-root-user`", path = .0.display())]
    NotRoot(PathBuf),
    /// The output is there.
    #[error("{path}: it exists already; give a new name, or remove it", path = .0.display())]
    Exists(PathBuf),
    /// The input is not what was read at first.
    #[error("{path}: it was changed while it was read, so nothing was written; run it again", path = .0.display())]
    ChangedMeanwhile(PathBuf),
    /// The unpacked tree could not be worked on.
    #[error("{path}: what is unpacked from it cannot be worked on: {source}; repair this and run the same command again", path = .0.display(), source = .1)]
    NotFinished(PathBuf, #[source] io::Error),
    /// The places for what is not finished cannot be written to any more.
    #[error("{path}: it cannot be written: {source}; every program is either the original or the complete converted one: repair this and run the same command again, which goes on where this one ended", path = .path.display())]
    Stopped {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: what could not be done with `path`.
    pub fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, what, source }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
