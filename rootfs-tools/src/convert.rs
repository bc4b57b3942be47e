//! A run over a tree, as its phases.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use globset::GlobSet;
use rayon::prelude::*;
use statify_files::trusted::{self, Way};
use statify_files::{beneath, metadata};
use statify_format::Shape;

use crate::backup::Backup;
use crate::cache::{self, Cache};
use crate::error::{Error, Result};
use crate::find::{self, Found};
use crate::journal::record::{Begin, Directory, End, Failed, Record};
use crate::journal::{self, Journal};
use crate::lock::Lock;
use crate::plan::{self, Unit};
use crate::recorder::Recorder;
use crate::reflink::{self, Pool, Reflink};
use crate::replace::{Keep, Replacer};
use crate::run_id::RunId;
use crate::tree::{self, Name, Tree};
use crate::unit::{self, Done, With};
use crate::{copy_tree, ledger, measure, recover};

/// At most so many programs between two flushes of the disk.
const BATCH: usize = 64;

/// Where the converted programs go, and the originals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into a copy of the tree.
    Out(PathBuf),
    /// In the originals' place; these are kept in a directory, or not at all.
    InPlace(Option<PathBuf>),
}

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tree.
    pub root: PathBuf,
    /// Where to.
    pub target: Target,
    /// Directories with programs, from ROOT on.
    pub dirs: Vec<PathBuf>,
    /// Paths that stay as they are.
    pub exclude: GlobSet,
    /// How many conversions at a time.
    pub jobs: usize,
    /// What the outputs are to be like.
    pub shape: Shape,
    /// As [`statify::Options::preserve_privileges`].
    pub preserve_privileges: bool,
    /// As [`statify::Options::timeout`].
    pub timeout: Duration,
    /// As [`statify::Options::memory`].
    pub memory: u64,
    /// Where conversions are kept for later runs.
    pub cache: Option<cache::Options>,
    /// Whether programs share blocks with the libraries in them.
    pub reflink: Reflink,
    /// The running system's own root is meant.
    pub i_know: bool,
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// The tree is being copied.
    Copying,
    /// The archive is being unpacked.
    Unpacking,
    /// It is being written anew.
    Packing,
    /// A run that had not come to its end was completed: so many programs.
    Recovered(usize),
    /// So many files will be converted.
    Found(usize),
    /// These names stand for a converted program.
    Converted(&'a [PathBuf]),
    /// This program stays as it is.
    Failed(&'a Failed),
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The tree with converted programs.
    pub tree: PathBuf,
    /// Programs that were converted.
    pub converted: usize,
    /// Programs that were not.
    pub failed: Vec<Failed>,
    /// What stays as it is, by kind.
    pub left: BTreeMap<String, u64>,
    /// What was wrong with the place of the cache, in a sentence.
    pub cache_failures: Option<String>,
    /// Bytes of converted programs in blocks that they share with what is embedded.
    pub shared: u64,
}

/// Converts the programs of a tree.
pub fn convert(options: &Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
    let since = Instant::now();
    // Before a tree is copied: neither may be wrong.
    Tree::open(&options.root)?;
    let cache =
        options.cache.as_ref().map(|cache| Cache::open(cache, options.shape)).transpose()?;
    let (tree, source, _locks) = open(options, tell)?;
    let before = root_times(&tree)?;
    let image = measure::tree(&tree)?;
    let pool = Pool::open(&tree, options.reflink)?.map(Arc::new);
    let mut keep = keep(options, &tree, &known(&tree)?)?;
    let (mut journal, mut records) = Journal::open(&tree)?;
    recover::remove_work(&tree, &records)?;
    let recovered = recover::finish(&tree, &mut journal, &records)?;
    if !recovered.is_empty() {
        tell(Event::Recovered(recovered.len()));
    }
    records.extend(recovered);
    let found = find::find(&tree, &options.dirs, &options.exclude)?;
    let begin = begin_record(options, &tree.path, source.as_deref(), &keep, image)?;
    let id = begin.id.clone();
    let mut new = vec![Record::Begin(begin.clone())];
    new.extend(directories(&tree, &records, before, &found)?);
    journal.append(&new)?;
    records.extend(new);
    let (ledger, others) = open_ledger(&tree, &keep)?;
    let mut recorder = Recorder::new(journal, ledger);
    recorder.vouch(&[Record::Begin(begin)])?;
    let Found { candidates, failed, left, .. } = found;
    let work = Work::make(&candidates, id)?;
    let (units, unreadable) = plan::plan(candidates);
    let failed: Vec<_> = failed.into_iter().chain(unreadable).collect();
    for failed in &failed {
        tell(Event::Failed(failed));
    }
    recorder.append(&failed.iter().cloned().map(Record::Failed).collect::<Vec<_>>())?;
    let mut outcome = Outcome { tree: tree.path.clone(), failed, left, ..Outcome::default() };
    let next_id = next_id(records.iter().chain(&others));
    let replacer = Replacer { recorder: &mut recorder, keep: &mut keep, next_id };
    let with = With { tree: &tree, options: each(options, &tree, pool.clone()), cache, pool };
    let result = run(options.jobs, &with, units, replacer, &mut outcome, tell);
    outcome.cache_failures = with.cache.as_ref().and_then(Cache::failures);
    work.remove()?;
    let seconds = since.elapsed().as_secs();
    let end = Record::End(End { seconds, left: outcome.left.clone() });
    let result = result.and_then(|()| recorder.append(&[end]));
    set_back_times(&tree, &records);
    result.map(|()| outcome)
}

/// A tree, and the one that it is a copy of; nobody else works on either.
type Opened = (Tree, Option<PathBuf>, [Option<Lock>; 2]);

/// Opens the tree to work on, which is a copy under `--out`.
fn open(options: &Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<Opened> {
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
        let times = root_times(&root)?;
        // So that a second run knows what it finds here.
        let (tree, writing) = copy_tree::copy(&root, &entry, |copy| {
            let image = measure::tree(copy)?;
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
    let is_ours = ledger::runs(&outside)
        .any(|run| run.source == source && ledger::runs(&known).any(|other| other.id == run.id));
    if !is_ours {
        return Err(Error::NotEmpty(out, root.path));
    }
    Ok((tree, source, [Some(reading), Some(writing)]))
}

/// What the journal says, if there is one.
fn known(tree: &Tree) -> Result<Vec<Record>> {
    match journal::read(tree) {
        Err(Error::NoJournal(_)) => Ok(Vec::new()),
        other => other,
    }
}

fn keep(options: &Options, tree: &Tree, records: &[Record]) -> Result<Keep> {
    let known = ledger::runs(records).map(|run| &run.id).collect();
    Ok(match &options.target {
        Target::Out(_) => Keep::InSource,
        Target::InPlace(None) => Keep::Not,
        Target::InPlace(Some(path)) => Keep::In(Backup::open(path, tree, &known)?),
    })
}

/// The journal outside of the tree, if there is one to be, and what it says of earlier runs.
fn open_ledger(tree: &Tree, keep: &Keep) -> Result<(Option<Journal>, Vec<Record>)> {
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

fn begin_record(
    options: &Options,
    tree: &Path,
    source: Option<&Path>,
    keep: &Keep,
    image: journal::record::Size,
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

/// The times of directories that will change, as far as they are not written down yet.
fn directories(
    tree: &Tree,
    records: &[Record],
    before: Record,
    found: &Found,
) -> Result<Vec<Record>> {
    let mut new = Vec::new();
    let mut known: Vec<PathBuf> = records
        .iter()
        .filter_map(|record| match record {
            Record::Directory(directory) => Some(directory.path.clone()),
            _ => None,
        })
        .collect();
    if !known.contains(&PathBuf::from("/")) {
        new.push(before);
        known.push("/".into());
    }
    let names = found.candidates.iter().flat_map(|candidate| &candidate.names);
    for directory in names.map(|name| &name.directory) {
        if !known.contains(&directory.path) {
            known.push(directory.path.clone());
            new.push(times(&directory.path, directory.file().metadata(), tree)?);
        }
    }
    Ok(new)
}

fn root_times(tree: &Tree) -> Result<Record> {
    times(Path::new("/"), tree.top()?.file().metadata(), tree)
}

fn times(path: &Path, stat: std::io::Result<std::fs::Metadata>, tree: &Tree) -> Result<Record> {
    let stat = stat.map_err(Error::file("read", &tree.path))?;
    Ok(Record::Directory(Directory {
        path: path.to_owned(),
        accessed: (stat.atime(), stat.atime_nsec()),
        modified: (stat.mtime(), stat.mtime_nsec()),
    }))
}

/// Gives directories the times that they had before anything in them was replaced, as far as they may
/// be set.
pub fn set_back_times(tree: &Tree, records: &[Record]) {
    for record in records {
        if let Record::Directory(directory) = record
            && let Ok(opened) = tree.directory(&directory.path)
        {
            let _ = metadata::set_times(&opened.at("."), directory.accessed, directory.modified);
        }
    }
}

fn next_id<'a>(records: impl Iterator<Item = &'a Record>) -> u64 {
    let ids = records.filter_map(|record| match record {
        Record::Replace(replacement) => Some(replacement.id + 1),
        _ => None,
    });
    ids.max().unwrap_or(0)
}

/// The working places of a run, in the directory of each program's first name.
struct Work {
    run: RunId,
    directories: Vec<Arc<tree::Directory>>,
}

impl Work {
    /// Makes them.
    fn make(candidates: &[find::Candidate], run: RunId) -> Result<Self> {
        let mut directories: Vec<Arc<tree::Directory>> = Vec::new();
        for directory in candidates.iter().map(|candidate| &candidate.names[0].directory) {
            if directories.iter().any(|known| known.path == directory.path) {
                continue;
            }
            let made = directory.make_work(&run);
            made.map_err(|source| Error::Stopped { path: directory.path.clone(), source })?;
            directories.push(directory.clone());
        }
        Ok(Self { run, directories })
    }

    fn remove(self) -> Result<()> {
        for directory in self.directories {
            let removed = directory.remove_work(&self.run);
            removed.map_err(Error::file("emptied", &directory.path))?;
        }
        Ok(())
    }
}

/// What is asked of each conversion.
fn each(options: &Options, tree: &Tree, pool: Option<Arc<Pool>>) -> statify::Options {
    statify::Options {
        shape: options.shape,
        preserve_privileges: options.preserve_privileges,
        timeout: options.timeout,
        memory: Some(options.memory),
        root: tree.root.clone(),
        sharing: pool.map(|pool| pool as _),
        // Before it gets the original's name.
        sync: false,
        ..statify::Options::default()
    }
}

fn run(
    jobs: usize,
    with: &With<'_>,
    units: Vec<Unit>,
    replacer: Replacer<'_>,
    outcome: &mut Outcome,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
    let count = units.iter().map(|unit| unit.candidates.len()).sum();
    tell(Event::Found(count));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let pool = pool.expect("threads can be made");
    let stop = AtomicBool::new(false);
    let (sender, receiver) = sync_channel::<Done>(BATCH);
    std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            pool.install(|| {
                units.into_par_iter().enumerate().for_each(|(number, unit)| {
                    if !stop.load(Ordering::Relaxed) {
                        // Nobody waits for it where the run is being ended.
                        let _ = sender.send(unit::convert(unit, number, with));
                    }
                });
            });
        });
        let result = commit(receiver, replacer, outcome, tell);
        stop.store(result.is_err(), Ordering::Relaxed);
        result
    })
}

/// Takes what is ready, as much as there is at a time, and lets it replace the originals.
fn commit(
    receiver: Receiver<Done>,
    mut replacer: Replacer<'_>,
    outcome: &mut Outcome,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
    while let Ok(first) = receiver.recv() {
        let mut batch = first;
        while let (true, Ok(more)) = (batch.ready.len() < BATCH, receiver.try_recv()) {
            batch.ready.extend(more.ready);
            batch.failed.extend(more.failed);
            batch.stop = batch.stop.or(more.stop);
        }
        replacer
            .recorder
            .append(&batch.failed.iter().cloned().map(Record::Failed).collect::<Vec<_>>())?;
        let names: Vec<(Vec<PathBuf>, u64)> = batch
            .ready
            .iter()
            .map(|ready| (ready.names.iter().map(Name::path).collect(), ready.converted.shared))
            .collect();
        let refused = replacer.replace(batch.ready)?;
        let is_refused = |names: &Vec<PathBuf>| refused.iter().any(|r| r.names == *names);
        for (names, shared) in names.iter().filter(|(names, _)| !is_refused(names)) {
            outcome.converted += 1;
            outcome.shared += shared;
            tell(Event::Converted(names));
        }
        for failed in batch.failed.into_iter().chain(refused) {
            tell(Event::Failed(&failed));
            outcome.failed.push(failed);
        }
        if let Some(error) = batch.stop {
            return Err(error);
        }
    }
    Ok(())
}
