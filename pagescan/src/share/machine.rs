//! Which snapshots are of the same machine, and whether all of them can be held against one another.

use super::source::Source;
use crate::error::{Error, Result};
use crate::snapshot::{Header, Scope};

/// A machine, from one start of it to the next, with its snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name, and more where that is not enough to tell it from the others.
    pub name: String,
    /// Its snapshots by their places in the list that was given, the newest first: what a frame holds is what the newest says
    /// of it, and so is who uses it.
    pub snapshots: Vec<usize>,
}

/// The machines in the order in which they come first.
pub fn machines(sources: &[Source<'_>]) -> Result<Vec<Machine>> {
    let mut machines: Vec<Machine> = Vec::new();
    let mut firsts: Vec<&Header> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let header = source.header();
        compare(&sources[0], source)?;
        let same = |first: &&Header| first.host == header.host && first.boot == header.boot;
        match firsts.iter().position(same) {
            Some(machine) => machines[machine].snapshots.push(index),
            None => {
                machines.push(Machine { name: header.host.clone(), snapshots: vec![index] });
                firsts.push(header);
            }
        }
    }
    for index in 0..machines.len() {
        let is_named_alike = |other: &&Header| other.host == firsts[index].host;
        if firsts.iter().filter(|other| is_named_alike(other)).count() > 1 {
            let boot: String = firsts[index].boot.chars().take(8).collect();
            machines[index].name = format!("{} {boot}", firsts[index].host);
        }
    }
    for machine in &mut machines {
        // Of equally old ones the one that was given last.
        machine.snapshots.reverse();
        machine.snapshots.sort_by_key(|&index| std::cmp::Reverse(sources[index].header().taken));
        // All memory counts uses as the kernel does, of which those of single processes are a part.
        let is_ram = |index: &&usize| sources[**index].header().scope == Scope::Ram;
        let ram = machine.snapshots.iter().find(is_ram);
        let other = machine.snapshots.iter().find(|index| Some(*index) != ram);
        if let (Some(&ram), Some(&other)) = (ram, other) {
            let why =
                "a snapshot of all memory has what others of the same machine have; give it alone";
            return Err(incomparable(&sources[ram], &sources[other], why));
        }
    }
    Ok(machines)
}

fn compare(one: &Source<'_>, other: &Source<'_>) -> Result<()> {
    let (first, second) = (one.header(), other.header());
    let why = if first.algorithm != second.algorithm {
        "their pages were hashed in different ways, so what they hold cannot be compared; take both anew with the same --hash"
    } else if first.key_id != second.key_id {
        "their pages were hashed with different keys, so what they hold cannot be compared; take both anew with the same --key"
    } else if first.page_size != second.page_size {
        "their pages are of different sizes, so what they hold cannot be compared"
    } else {
        return Ok(());
    };
    Err(incomparable(one, other, why))
}

fn incomparable(one: &Source<'_>, other: &Source<'_>, why: &'static str) -> Error {
    Error::Incomparable(one.path().into(), other.path().into(), why)
}
