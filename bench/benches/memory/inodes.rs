//! Two processes that have the same in memory: of one file, of two files, and of none (Figure 5.4 of the second paper).

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use pagescan::snapshot::Snapshot;
use serde_json::json;

use crate::look::{Eye, Frames};
use crate::merging::{Merging, Pace};
use crate::report::{Outcome, Unit};

/// Of a file; no other mapping is as large.
const PAGES: usize = 2003;
const LEN: usize = PAGES * 4096;
const PASSES: u64 = 4;
const MOST: Duration = Duration::from_secs(60);

/// What two processes have.
const CASES: [(&str, bool, bool, Option<&str>); 3] = [
    ("one file", false, false, Some("shared")),
    ("two files of equal contents", true, false, Some("nothing is merged")),
    (
        "two files, read into anonymous memory",
        true,
        true,
        Some("one more, besides both in the cache"),
    ),
];

/// The experiment.
pub fn run(eye: &Eye, scratch: &Path, outcome: &mut Outcome) -> Result<()> {
    let files = ["one", "other"].map(|name| scratch.join(name));
    let mut state = 1u64;
    let contents: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u8
    })
    .take(LEN)
    .collect();
    for file in &files {
        fs::write(file, &contents)?;
    }
    outcome.note(format!(
        "Two processes, each with a mapping of {PAGES} pages, all of them used. KSM may merge all of their memory."
    ));
    let mut details = Vec::new();
    for (name, two, copied, paper) in CASES {
        let pair = [&files[0], &files[usize::from(two)]].map(|file| Holder::start(file, copied));
        let [one, other] = pair;
        let holders = [one?, other?];
        let pids = [holders[0].0.id(), holders[1].0.id()];
        let before = frames(eye.processes(&pids)?);
        let merging = Merging::take(scratch)?;
        merging.on(Pace::FAST)?;
        merging.wait(PASSES, MOST);
        let after = frames(eye.processes(&pids)?);
        drop(holders);
        drop(merging);
        outcome.line(format!("{name}: frames"), before.all as f64, Unit::Pages, None);
        outcome.line(format!("{name}: frames with KSM"), after.all as f64, Unit::Pages, paper);
        details.push(json!({ "case": name, "before": before, "after": after }));
    }
    outcome.details = details.into();
    Ok(())
}

/// The frames of the mappings.
fn frames(mut snapshot: Snapshot) -> Frames {
    for task in &mut snapshot.tasks {
        task.vmas.retain(|vma| vma.mapping.range.end - vma.mapping.range.start == LEN as u64);
    }
    Frames::of(&snapshot)
}

/// A process that has a mapping.
struct Holder(Child);

impl Holder {
    fn start(file: &Path, copied: bool) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(if copied { "--hold-copy" } else { "--hold" }).arg(file);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let prepare = || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            pagescan::kernel::merge::merge_own(true)
        };
        // SAFETY: two system calls between fork and exec.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().context("no pipe")?;
        BufReader::new(out).read_line(&mut line)?;
        let holder = Self(child);
        ensure!(line.trim() == "holds", "a process does not map {}", file.display());
        Ok(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What such a process does: has a file mapped, or a copy of it, until its standard input ends.
pub fn hold(file: &Path, copied: bool) -> Result<()> {
    let opened = fs::File::open(file)?;
    let (flags, fd) = match copied {
        true => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        false => (libc::MAP_SHARED, opened.as_raw_fd()),
    };
    let protection = if copied { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
    // A page that cannot be used on either side: otherwise it is one mapping with its neighbours.
    // SAFETY: a new mapping, wherever the kernel wants it.
    let room = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(std::ptr::null_mut(), LEN + 2 * 4096, libc::PROT_NONE, flags, -1, 0)
    };
    if room == libc::MAP_FAILED {
        bail!("mmap: {}", std::io::Error::last_os_error());
    }
    // SAFETY: within the mapping above, which nothing else knows of.
    let at = unsafe {
        let place = room.cast::<u8>().add(4096).cast();
        libc::mmap(place, LEN, protection, flags | libc::MAP_FIXED, fd, 0)
    };
    if at == libc::MAP_FAILED {
        bail!("{}: mmap: {}", file.display(), std::io::Error::last_os_error());
    }
    if copied {
        use std::os::unix::fs::FileExt;
        // SAFETY: writable memory of this length, which nothing else knows of.
        let memory = unsafe { std::slice::from_raw_parts_mut(at.cast::<u8>(), LEN) };
        opened.read_exact_at(memory, 0)?;
    } else {
        for page in 0..PAGES {
            // SAFETY: within a readable mapping of this length.
            unsafe { at.cast::<u8>().add(page * 4096).read_volatile() };
        }
    }
    println!("holds");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
