//! All frames of all snapshots, each once, with what sharing depends on: columns, filled as snapshots are read.

use super::domain::Domains;
use super::files::{FileUse, Files};
use super::identity::{Identity, Known};
use super::kind::Kind;
use super::machine::machines;
use super::numbers::Numbers;
use super::options::Options;
use super::partition::Partition;
use super::reading::{Filling, Reading, Seen};
use super::source::Source;
use super::users::{Sets, Users};
use crate::error::{self, Error};

/// What was read.
pub struct Census {
    /// Of each frame, what it is.
    pub kinds: Vec<Kind>,
    /// Of each frame, the number of its users' set.
    pub users: Vec<u32>,
    /// The sets of users.
    pub sets: Sets,
    /// What frames hold.
    pub contents: Partition,
    /// How domains are called.
    pub domains: Vec<String>,
    /// The files.
    pub files: Vec<FileUse>,
    /// The machines' names.
    pub machines: Vec<String>,
    /// The snapshots in the order in which they were read.
    pub order: Vec<Read>,
}

/// A snapshot that was read.
pub struct Read {
    /// Its place in the list that was given.
    pub index: usize,
    /// Its machine's number.
    pub machine: u32,
    /// Which of all frames its own are.
    pub identity: Identity,
    /// The frames' numbers, of one that has no pages and so no other places.
    pub numbers: Option<Numbers>,
}

/// Reads snapshots.
pub fn census(sources: &[Source<'_>], options: &Options) -> error::Result<Census> {
    let machines = machines(sources)?;
    let names: Vec<String> = machines.iter().map(|machine| machine.name.clone()).collect();
    let mut all = Filling {
        kinds: Vec::new(),
        users: Users::default(),
        contents: Partition::default(),
        domains: Domains::new(options.by, &names),
        files: Files::default(),
        processes: 0,
        is_full: false,
    };
    let mut order = Vec::new();
    for (number, machine) in machines.iter().enumerate() {
        let mut known = Known::default();
        let mut seen = Seen::default();
        for (nth, &index) in machine.snapshots.iter().enumerate() {
            let source = &sources[index];
            let is_last = nth + 1 == machine.snapshots.len();
            let header = source.header();
            let identity = Identity::new(all.kinds.len() as u32, nth > 0, !is_last);
            let mut reading =
                Reading::new(&mut all, &mut known, &mut seen, number as u32, header, identity);
            let visited = source.visit(&mut reading).and_then(|()| reading.is_complete(source));
            let Reading { identity, numbers, .. } = reading;
            if all.is_full {
                return Err(Error::TooMany);
            }
            visited?;
            known.settle();
            seen.settle();
            let numbers = numbers.filter(Numbers::are_few);
            order.push(Read { index, machine: number as u32, identity, numbers });
        }
    }
    let (sets, users) = all.users.finish();
    Ok(Census {
        kinds: all.kinds,
        users,
        sets,
        contents: all.contents,
        domains: all.domains.labels().to_vec(),
        files: all.files.finish(),
        machines: names,
        order,
    })
}
