//! A run over a tree, as its phases.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use rayon::prelude::*;

use super::donor::Donor;
use super::open::{begin_record, keep, known, open, open_ledger};
use super::options::Options;
use super::outcome::{Event, Outcome};
use super::replace::Replacer;
use super::unit::{self, Done, With};
use super::work::Work;
use super::{recover, times};
use crate::cache::Cache;
use crate::error::pool::Fault;
use crate::error::{Error, Result};
use crate::journal::record::{self, End, Record};
use crate::journal::recorder::Recorder;
use crate::journal::{Journal, history};
use crate::measure::size;
use crate::pool::fill::Filler;
use crate::pool::place::{self, Place};
use crate::programs::find::{self, Found};
use crate::programs::plan::{self, Unit};
use crate::tree::{Directory, Name, Tree};

/// At most so many programs between two flushes of the disk.
const BATCH: usize = 64;

/// Converts the programs of a tree.
pub fn convert(options: &Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
    let since = Instant::now();
    // Before a tree is copied: nothing of this may be wrong.
    let pool = find_pool(&Tree::open(&options.root)?, options)?.map(|place| place.path);
    let open_cache = |cache| Cache::open(cache, options.shape, pool.as_deref());
    let cache = options.cache.as_ref().map(open_cache).transpose()?;
    let (tree, source, _locks) = open(options, tell)?;
    let before = times::of_root(&tree)?;
    let image = size::tree(&tree)?;
    let donor = Donor::open(&tree, options.reflink)?.map(Arc::new);
    let mut keep = keep(options, &tree, &known(&tree)?)?;
    let (mut journal, mut records) = Journal::open(&tree)?;
    recover::remove_work(&tree, &records)?;
    let recovered = recover::finish(&tree, &mut journal, &records)?;
    if !recovered.is_empty() {
        tell(Event::Recovered(recovered.len()));
    }
    records.extend(recovered);
    let found = find::find(&tree, &options.dirs, &options.exclude)?;
    let pool = find_pool(&tree, options)?;
    let begin = begin_record(options, &tree.path, source.as_deref(), &keep, image)?;
    let id = begin.id.clone();
    let mut new = vec![Record::Begin(begin.clone())];
    new.extend(times::of_directories(&tree, &records, before, &found, pool.as_ref())?);
    new.extend(
        pool.as_ref().map(|place| {
            Record::Pool(record::Pool { path: place.path.clone(), made: place.made() })
        }),
    );
    journal.append(&new)?;
    records.extend(new);
    let pool = pool.map(Place::make).transpose()?;
    if let Some(pool) = &pool {
        place::complete(&tree, &records, pool)?;
    }
    let (ledger, others) = open_ledger(&tree, &keep)?;
    let mut recorder = Recorder::new(journal, ledger);
    recorder.vouch(&[Record::Begin(begin)])?;
    let Found { candidates, failures, left, foreign, .. } = found;
    let work = Work::make(&candidates, pool.as_ref(), id)?;
    let (units, unreadable) = plan::plan(candidates);
    let failures: Vec<_> = failures.into_iter().chain(unreadable).collect();
    for failure in &failures {
        tell(Event::Failed(failure));
    }
    recorder.append(&failures.iter().cloned().map(Record::Failed).collect::<Vec<_>>())?;
    let tree_path = tree.path.clone();
    let mut outcome = Outcome { tree: tree_path, failures, left, foreign, ..Outcome::default() };
    let next_id = history::next_id(records.iter().chain(&others));
    let each = each(options, &tree, donor.clone(), pool.as_deref());
    let with = With { tree: &tree, options: each, cache, donor };
    let mut filler = pool.map(|directory| Filler::new(&tree, directory));
    let pool = filler.as_mut();
    let replacer = Replacer { recorder: &mut recorder, keep: &mut keep, pool, next_id };
    let result = run(options.jobs, &with, units, replacer, &mut outcome, tell);
    outcome.cache_failures = with.cache.as_ref().and_then(Cache::failures);
    outcome.notices = filler.as_ref().map(Filler::notices).unwrap_or_default();
    work.remove()?;
    let seconds = since.elapsed().as_secs();
    let (left, foreign) = (outcome.left.clone(), outcome.foreign.clone());
    let end = Record::End(End { seconds, left, foreign });
    let result = result.and_then(|()| recorder.append(&[end]));
    times::set_back(&tree, &records);
    result.map(|()| outcome)
}

/// Where the pool is in a tree, if there is to be one.
fn find_pool(tree: &Tree, options: &Options) -> Result<Option<Place>> {
    let Some(wanted) = &options.pool else {
        return Ok(None);
    };
    let place = place::find(tree, wanted)?;
    let mut programs = find::directories(tree, &options.dirs)?.into_iter();
    match programs.any(|directory| directory.path == place.path) {
        true => Err(Error::Pool(wanted.clone(), Fault::Programs)),
        false => Ok(Some(place)),
    }
}

/// What is asked of each conversion.
fn each(
    options: &Options,
    tree: &Tree,
    donor: Option<Arc<Donor>>,
    pool: Option<&Directory>,
) -> statify::Options {
    statify::Options {
        shape: options.shape,
        preserve_privileges: options.preserve_privileges,
        timeout: options.timeout,
        memory: Some(options.memory),
        root: tree.root.clone(),
        pool: pool.map(|pool| statify::Pool::elsewhere(&pool.path)),
        sharing: donor.map(|donor| donor as _),
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
    let threads = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let threads = threads.expect("threads can be made");
    let stop = AtomicBool::new(false);
    let (sender, receiver) = sync_channel::<Done>(BATCH);
    std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            threads.install(|| {
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
            batch.failures.extend(more.failures);
            batch.stop = batch.stop.or(more.stop);
        }
        replacer
            .recorder
            .append(&batch.failures.iter().cloned().map(Record::Failed).collect::<Vec<_>>())?;
        let names: Vec<(Vec<PathBuf>, u64)> = batch
            .ready
            .iter()
            .map(|ready| (ready.names.iter().map(Name::path).collect(), ready.converted.shared))
            .collect();
        let left = replacer.replace(batch.ready)?;
        let is_left = |names: &Vec<PathBuf>| left.iter().any(|failure| failure.names == *names);
        for (names, shared) in names.iter().filter(|(names, _)| !is_left(names)) {
            outcome.converted += 1;
            outcome.shared += shared;
            tell(Event::Converted(names));
        }
        for failure in batch.failures.into_iter().chain(left) {
            tell(Event::Failed(&failure));
            outcome.failures.push(failure);
        }
        if let Some(error) = batch.stop {
            return Err(error);
        }
    }
    Ok(())
}
