//! How a run begins: the tree to work on, its journals, and where originals go.

use std::path::{Path, PathBuf};

use statify_files::beneath;
use statify_files::trusted::{self, Way};

use super::options::{Options, Target};
use super::outcome::Event;
use super::replace::Keep;
use super::{reflink, times};
use crate::error::{Error, Result};
use crate::journal::backup::Backup;
use crate::journal::record::{Begin, Record, Size};
use crate::journal::{self, Journal, history, ledger};
use crate::measure::size;
use crate::programs::find;
use crate::tree::lock::Lock;
use crate::tree::run_id::RunId;
use crate::tree::{Tree, copy};

/// A tree, and the one that it is a copy of; nobody else works on either.
pub(crate) type Opened = (Tree, Option<PathBuf>, [Option<Lock>; 2]);

/// Opens the tree to work on, which is a copy under `--out`.
pub(crate) fn open(options: &Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<Opened> {
    let root = Tree::open(&options.root)?;
    if root.path == Path::new("/") && !options.i_know {
        return Err(Error::RunningSystem(options.root.clone()));
    }
    let Target::Out(out) = &options.target else {
        let lock = Lock::exclusive(&root)?;
        find::find(&root, &options.dirs, &options.exclude)?;
        return Ok((root, None, [Some(lock), None]));
    };
    let reading = Lock::shared(&root)?;
    // Before anything is written: whether there is something to convert.
    find::find(&root, &options.dirs, &options.exclude)?;
    let entry = trusted::entry(out, Way::Any).map_err(Error::file("found", out))?;
    let out = entry.parent.path.join(&entry.name);
    if out.starts_with(&root.path) || root.path.starts_with(&out) {
        return Err(Error::Nested(out, root.path));
    }
    let is_new = match beneath::directory(&entry.parent.dir, Path::new(&entry.name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(Error::file("read", &out)(error)),
        Ok(dir) => {
            let mut entries =
                std::fs::read_dir(beneath::link(&dir)).map_err(Error::file("read", &out))?;
            entries.next().is_none()
        }
    };
    let source = Some(root.path.clone());
    if is_new {
        reflink::check(&entry.parent, options.reflink)?;
        tell(Event::Copying);
        let times = times::of_root(&root)?;
        // So that a second run knows what it finds here.
        let (tree, writing) = copy::copy(&root, &entry, |copy| {
            let image = size::tree(copy)?;
            let run = begin_record(options, &out, source.as_deref(), &Keep::InSource, image)?;
            ledger::begin_beside(&entry.parent, &entry.name)?
                .append(&[Record::Begin(run.clone())])?;
            Journal::open(copy)?.0.append(&[Record::Begin(run), times])
        })?;
        return Ok((tree, source, [Some(reading), Some(writing)]));
    }
    let tree = Tree::open(&out)?;
    let writing = Lock::exclusive(&tree)?;
    // Others may have put a tree there: what counts is what is known of it outside.
    let outside = ledger::read_beside(&entry.parent, &entry.name)?;
    let known = known(&tree)?;
    let is_ours = history::runs(&outside)
        .any(|run| run.source == source && history::runs(&known).any(|other| other.id == run.id));
    if !is_ours {
        return Err(Error::NotEmpty(out, root.path));
    }
    Ok((tree, source, [Some(reading), Some(writing)]))
}

/// What the journal says, if there is one.
pub(crate) fn known(tree: &Tree) -> Result<Vec<Record>> {
    match journal::read(tree) {
        Err(Error::NoJournal(_)) => Ok(Vec::new()),
        other => other,
    }
}

pub(crate) fn keep(options: &Options, tree: &Tree, records: &[Record]) -> Result<Keep> {
    let known = history::runs(records).map(|run| &run.id).collect();
    Ok(match &options.target {
        Target::Out(_) => Keep::InSource,
        Target::InPlace(None) => Keep::Not,
        Target::InPlace(Some(path)) => Keep::In(Backup::open(path, tree, &known)?),
    })
}

/// The journal outside of the tree, if there is one to be, and what it says of earlier runs.
pub(crate) fn open_ledger(tree: &Tree, keep: &Keep) -> Result<(Option<Journal>, Vec<Record>)> {
    match keep {
        Keep::Not => Ok((None, Vec::new())),
        Keep::In(backup) => Ok((Some(backup.journal()?), backup.records.clone())),
        Keep::InSource => {
            let entry = trusted::parent(&tree.path, Way::Any);
            let entry = entry.map_err(Error::file("found", &tree.path))?;
            let records = ledger::read_beside(&entry.parent, &entry.name)?;
            Ok((Some(ledger::open_beside(&entry.parent, &entry.name)?), records))
        }
    }
}

pub(crate) fn begin_record(
    options: &Options,
    tree: &Path,
    source: Option<&Path>,
    keep: &Keep,
    image: Size,
) -> Result<Begin> {
    let backup = match keep {
        Keep::In(backup) => Some(backup.place.path.clone()),
        _ => None,
    };
    Ok(Begin {
        id: RunId::new().map_err(Error::file("numbered", tree))?,
        version: env!("CARGO_PKG_VERSION").into(),
        fixed: options.shape.fixed,
        align: options.shape.align,
        preserve_privileges: options.preserve_privileges,
        tree: tree.to_owned(),
        source: source.map(Path::to_owned),
        backup,
        image,
    })
}
