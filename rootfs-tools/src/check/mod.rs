//! Whether the converted programs of a tree are as they were written, and do what their originals do.
//!
//! [`check`] reads as its phases. Nothing in the tree changes; what runs, runs in a room in which the
//! tree is all there is, and read-only ([`statify_room::sandbox`]).

pub mod compare;
mod examine;
mod integrity;
mod normalise;
mod options;
pub mod outcome;
mod report;
mod run;
mod subjects;
pub mod text;

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use rayon::prelude::*;
use statify_room::sandbox;

use crate::error::{Error, Result};
use crate::tree::Tree;
use crate::tree::lock::Lock;
use examine::Examiner;
use report::{Checked, Report};

pub use options::Options;

/// What a check tells while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// So many programs will be checked.
    Found(usize),
    /// This one has been.
    Checked(&'a Checked),
}

/// Checks the converted programs of a tree.
pub fn check(options: &Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<Report> {
    let tree = Tree::open(&options.root)?;
    let _lock = Lock::shared(&tree)?;
    let found = subjects::find(&tree, options)?;
    if options.runs {
        can_be_entered(&tree)?;
    }
    tell(Event::Found(found.subjects.len()));
    let channels = if options.runs { sandbox::channels(&tree.root) } else { Ok(Vec::new()) };
    let channels = channels.map_err(Error::file("read", &tree.path))?;
    let limits = options.into();
    let examiner = Examiner { tree: &tree, runs: options.runs, limits, channels };
    let mut programs = examine_all(&examiner, found.subjects, options.jobs, tell)?;
    programs.sort_by(|a, b| a.names.cmp(&b.names));
    Ok(Report::of(&tree.path, found.journal, found.originals, programs))
}

impl From<&Options> for run::Limits {
    fn from(options: &Options) -> Self {
        Self { time: options.timeout, memory: options.memory }
    }
}

/// Programs run as nobody where this process is root's.
fn can_be_entered(tree: &Tree) -> Result<()> {
    let mode = tree.path.metadata().map_err(Error::file("read", &tree.path))?.mode();
    if rustix::process::geteuid().is_root() && mode & 0o001 == 0 {
        return Err(Error::NotOpen(tree.path.clone()));
    }
    Ok(())
}

fn examine_all(
    examiner: &Examiner<'_>,
    subjects: Vec<subjects::Subject>,
    jobs: usize,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Checked>> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let threads = threads.expect("threads can be made");
    let stop = AtomicBool::new(false);
    let (sender, receiver) = sync_channel(jobs);
    std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            threads.install(|| {
                // One after the other: neighbours by name are alike, and so is what they take.
                subjects.into_par_iter().with_max_len(1).for_each(|subject| {
                    if !stop.load(Ordering::Relaxed) {
                        // Nobody waits for it where the check is being ended.
                        let _ = sender.send(examiner.examine(&subject));
                    }
                });
            });
        });
        let mut programs = Vec::new();
        for checked in receiver {
            match checked {
                Ok(checked) => {
                    tell(Event::Checked(&checked));
                    programs.push(checked);
                }
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(programs)
    })
}
