//! A snapshot from beginning to end.

use std::fmt::{self, Display, Formatter};
use std::io::Write;

use super::machine::{Machine, Memory, now};
use super::page_cache::PageCache;
use super::process::{Missed, Part, Processes, Ways};
use super::progress::Progress;
use super::ram;
use super::targets;
use super::tools::Tools;
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::page::PAGE;
use crate::snapshot::{Header, Means, Scope, Snapshot, Totals, Writer, read_all};

/// What a snapshot shall be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// These processes.
    Processes(Vec<u32>),
    /// All but this one.
    All,
    /// What these processes give machines as memory; of how many bytes, if that is known.
    Guests(Vec<(u32, Option<u64>)>),
    /// The processes of a control group and of those below it.
    Cgroup(String),
    /// All memory, by frame.
    Ram {
        /// With what is free.
        with_free: bool,
    },
    /// The page cache.
    Cache,
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let list = |pids: Vec<String>| {
            let word = if pids.len() == 1 { "process" } else { "processes" };
            format!("{word} {}", pids.join(", "))
        };
        match self {
            Self::Processes(pids) => {
                write!(f, "{}", list(pids.iter().map(u32::to_string).collect()))
            }
            Self::All => write!(f, "all processes"),
            Self::Guests(guests) => {
                let pids = guests.iter().map(|(pid, _)| pid.to_string()).collect();
                write!(f, "memory of guests of {}", list(pids))
            }
            Self::Cgroup(path) => write!(f, "control group {path}"),
            Self::Ram { .. } => write!(f, "all memory"),
            Self::Cache => write!(f, "the page cache"),
        }
    }
}

/// Whether a file of snapshots is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is.
    File,
    /// One more snapshot is written behind others.
    Behind,
}

/// Takes a snapshot. Returns where it was written to, and what is not in it though it was asked for, in sentences. How far it
/// is is told of memory and the page cache only.
pub fn take<W: Write + Send>(
    out: W,
    begin: Begin,
    target: &Target,
    tools: &Tools,
    hasher: &Hasher,
    progress: &mut dyn FnMut(Progress),
) -> Result<(W, Vec<String>)> {
    let wanted = wanted(target)?;
    let header = header(target, tools, hasher)?;
    let writer = match begin {
        Begin::File => Writer::new(out, header),
        Begin::Behind => Writer::append(out, header),
    };
    let mut writer = writer.map_err(Error::Write)?;
    let mut lacks = Vec::new();
    match wanted {
        Wanted::Processes(list) => {
            let is_named = matches!(target, Target::Processes(_) | Target::Guests(_));
            writer = processes(writer, list, is_named, tools, hasher, &mut lacks)?;
        }
        Wanted::Ram { with_free } => {
            let means = means(tools, hasher)?;
            let ranges = means.contents.ranges();
            ram::write(&means, ranges, with_free, &mut writer, progress).map_err(Error::Write)?;
        }
        Wanted::Cache => {
            let means = means(tools, hasher)?;
            let ranges = means.contents.ranges();
            let mut cache = PageCache::new()?;
            cache.write(&means, ranges, &mut writer, progress).map_err(Error::Write)?;
        }
    }
    let memory = Memory::now()?;
    let totals = Totals {
        taken: now(),
        committed: memory.committed,
        swapped: memory.swapped,
        lacks: lacks.clone(),
        ..Totals::default()
    };
    let out = writer.finish(totals).map_err(Error::Write)?;
    Ok((out, lacks))
}

fn processes<W: Write>(
    writer: Writer<W>,
    list: Vec<(u32, Part)>,
    is_named: bool,
    tools: &Tools,
    hasher: &Hasher,
    lacks: &mut Vec<String>,
) -> Result<Writer<W>> {
    let frames = tools.frames.as_ref().ok();
    let ways = Ways { frames, pages: tools.pages.as_ref(), uses: tools.uses.as_ref(), hasher };
    let mut scan = Processes::new(writer, ways);
    let mut denied = 0;
    for (pid, part) in list {
        match scan.add(pid, part) {
            Ok(()) => {}
            Err(Missed::Write(error)) => return Err(Error::Write(error)),
            Err(missed @ (Missed::Ended | Missed::Read(_))) => {
                lacks.push(format!("process {pid}: {missed}"));
            }
            Err(missed) if is_named => return Err(Error::Process(pid, missed.to_string())),
            Err(Missed::Denied) => denied += 1,
            // Threads of the kernel, and who has ended since they were listed.
            Err(_) => {}
        }
    }
    if denied > 0 {
        lacks.push(format!(
            "{denied} of the processes may not be read, and are missing; be root to have all"
        ));
    }
    Ok(scan.into_writer())
}

/// By what all memory is looked at.
fn means<'a>(tools: &'a Tools, hasher: &'a Hasher) -> Result<ram::Means<'a>> {
    let contents = tools.frames.as_ref().map_err(|lack| Error::Means(lack.to_string()))?;
    let lacks = || Error::Means(tools.lacks.join("; "));
    let pages = tools.pages.as_ref().ok_or_else(lacks)?;
    Ok(ram::Means { contents, pages, uses: tools.uses.as_ref(), hasher })
}

/// Takes a snapshot that is not kept in a file.
pub fn take_here(target: &Target, tools: &Tools, hasher: &Hasher) -> Result<Snapshot> {
    let (bytes, _) = take(Vec::new(), Begin::File, target, tools, hasher, &mut |_| {})?;
    let snapshots = read_all(&bytes[..]).map_err(|damage| Error::Snapshot("-".into(), damage))?;
    snapshots
        .into_iter()
        .next()
        .ok_or_else(|| Error::Snapshot("-".into(), crate::snapshot::Damage::CutOff))
}

/// What is to be looked at.
enum Wanted {
    Processes(Vec<(u32, Part)>),
    Ram { with_free: bool },
    Cache,
}

fn wanted(target: &Target) -> Result<Wanted> {
    let whole = |pids: Vec<u32>| {
        Wanted::Processes(pids.into_iter().map(|pid| (pid, Part::Whole)).collect())
    };
    Ok(match target {
        Target::Processes(pids) => whole(pids.clone()),
        Target::All => whole(targets::all().map_err(|error| Error::Kernel("/proc".into(), error))?),
        Target::Guests(guests) => {
            let guests = guests.iter().map(|&(pid, size)| (pid, Part::Guest(size)));
            Wanted::Processes(guests.collect())
        }
        Target::Cgroup(path) => {
            let pids = targets::of_cgroup(path);
            whole(pids.map_err(|error| Error::Kernel(path.into(), error))?)
        }
        Target::Ram { with_free } => Wanted::Ram { with_free: *with_free },
        Target::Cache => Wanted::Cache,
    })
}

fn header(target: &Target, tools: &Tools, hasher: &Hasher) -> Result<Header> {
    let scope = match target {
        Target::Processes(_) => Scope::Processes,
        Target::All => Scope::All,
        Target::Guests(_) => Scope::Guests,
        Target::Cgroup(path) => Scope::Cgroup(path.clone()),
        Target::Ram { .. } => Scope::Ram,
        Target::Cache => Scope::Cache,
    };
    let machine = Machine::this();
    Ok(Header {
        taken: now(),
        host: machine.host,
        boot: machine.boot,
        kernel: machine.kernel,
        page_size: PAGE as u32,
        memory: Memory::now()?.total,
        algorithm: hasher.algorithm(),
        key_id: hasher.key_id(),
        scope,
        means: if tools.frames.is_ok() { Means::Frame } else { Means::Process },
        lacks: tools.lacks.clone(),
    })
}
