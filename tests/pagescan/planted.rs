//! A process with memory of every kind, stopped while it is looked at.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use pagescan::snapshot::{FrameFlags, PageFlags, Snapshot};
use statify_tests::case::Case;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// The process.
pub struct Planted {
    child: Child,
    /// That which it has forked, which has the same memory.
    pub forked: u32,
    /// Address and number of pages of each kind.
    areas: HashMap<String, (u64, u64)>,
}

/// A page as a snapshot has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The frame's index.
    pub frame: u64,
    /// Its number.
    pub number: Option<u64>,
    /// What it holds.
    pub hash: [u8; 16],
    /// What the frame is.
    pub flags: FrameFlags,
    /// What the page table says.
    pub page: PageFlags,
}

impl Planted {
    /// Starts and stops it.
    pub fn start(case: &Case) -> Result<Self> {
        let program = case.build("planted", "planted", &["-O1"])?;
        let mut command = Command::new(program);
        command.arg(&case.dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let mut planted = Self { child, forked: 0, areas: HashMap::new() };
        loop {
            let line = lines.next().context("it has ended")??;
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ready"] => break,
                ["child", pid] => planted.forked = pid.parse()?,
                [name, address, pages] => {
                    let area = (u64::from_str_radix(address, 16)?, pages.parse()?);
                    planted.areas.insert(name.to_owned(), area);
                }
                _ => bail!("{line}"),
            }
        }
        kill(Pid::from_raw(planted.pid() as i32), Signal::SIGSTOP)?;
        kill(Pid::from_raw(planted.forked as i32), Signal::SIGSTOP)?;
        Ok(planted)
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has memory of this kind: not every kernel has all.
    pub fn has(&self, name: &str) -> bool {
        self.areas.contains_key(name)
    }

    /// Where it has memory of a kind: its address, and how many pages.
    pub fn area(&self, name: &str) -> Result<(u64, u64)> {
        self.areas.get(name).copied().with_context(|| format!("no memory {name}"))
    }

    /// The pages of a kind as a snapshot has them in a process; none where it has none.
    pub fn seen(&self, snapshot: &Snapshot, pid: u32, name: &str) -> Result<Vec<Option<Seen>>> {
        let (address, pages) = self.area(name)?;
        let task = snapshot.tasks.iter().find(|task| task.process.pid == pid);
        let task = task.context("no such process in the snapshot")?;
        let mut seen = vec![None; pages as usize];
        for vma in &task.vmas {
            for run in &vma.runs {
                for i in 0..run.len {
                    let at = vma.mapping.range.start + (run.page + i) * PAGE;
                    let Some(page) = at.checked_sub(address).map(|bytes| bytes / PAGE) else {
                        continue;
                    };
                    let Some(seen) = seen.get_mut(page as usize) else { continue };
                    let frame = (run.frame + i) as usize;
                    *seen = Some(Seen {
                        frame: frame as u64,
                        number: snapshot.frames.numbers.get(frame).copied(),
                        hash: snapshot.frames.hashes[frame].0,
                        flags: snapshot.frames.attributes(frame).flags,
                        page: run.flags,
                    });
                }
            }
        }
        Ok(seen)
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        if self.forked > 0 {
            // It is stopped, and has not heard of anything.
            let _ = kill(Pid::from_raw(self.forked as i32), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Whose parent is gone is this process's.
        let _ = waitpid(Pid::from_raw(self.forked as i32), None);
    }
}

/// What a page holds that `fill` of the program has filled.
pub fn filled(kind: u64, number: u64) -> Vec<u8> {
    (kind << 32 | number).to_le_bytes().repeat(PAGE as usize / 8)
}
