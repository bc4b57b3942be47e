//! A guest for AArch64: Debian in a machine that QEMU emulates, booted for one script, with a directory of files to work
//! with and another to bring back. Its kernel is a real one, so that what needs ptrace(2) runs there, as it does not under
//! QEMU's emulation of single programs.
//!
//! `TEST_ARM64` names the directory that `.ci/arm64` makes: kernels, and a disk with the root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use regex::bytes::Regex;
use statify_vm::{Accelerator, Console, Disk, Kind, Machine, Serial};

use crate::process::{self, End, Limits};

pub mod programs;

/// From power to the script, and from its end to the machine's, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// A fixture has data of 3 GiB, which takes none of it but must be possible; in MiB.
const MEMORY: u64 = 3584;
/// More than a script may bring back, in bytes; what is not written takes no room.
const ANSWER: u64 = 2 << 30;
/// What the guest may write to the files that came along beyond what they take, in bytes.
const ROOM: u64 = 2 << 30;
/// Its console's last words in a message, in bytes.
const LAST_WORDS: usize = 2000;

/// The kernel with pages of 4 KiB, Debian's for virtual machines.
pub const KERNEL: &str = "kernel";
/// One with pages of 16 KiB.
pub const KERNEL_16K: &str = "kernel-16k";

const INIT: &str = include_str!("arm64/init.sh");

/// A guest that has not been booted yet.
#[derive(Debug, Clone)]
pub struct Guest {
    image: PathBuf,
    /// Its kernel, a file of that directory; beside it its initial files, if it has some, with `.initial` behind its name.
    pub kernel: String,
    /// Its CPU, by QEMU's names; `max` has all that QEMU knows.
    pub cpu: String,
    /// How long the script may run.
    pub time: Duration,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The script's exit status as the shell has it; 124 if its time was up.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From power to the script's beginning.
    pub boot: Duration,
    /// From there to its end.
    pub ran: Duration,
}

impl Guest {
    /// That of `TEST_ARM64`; `None` without one.
    pub fn locate() -> Option<Self> {
        let image = PathBuf::from(std::env::var_os("TEST_ARM64")?);
        let is_whole =
            [KERNEL, KERNEL_16K, "root.img"].iter().all(|file| image.join(file).is_file());
        is_whole.then(|| Self {
            image,
            kernel: KERNEL.into(),
            cpu: "max".into(),
            time: Duration::from_secs(600),
        })
    }

    /// Boots it and runs `script` by bash, as root. It finds the files of the directory `files` in /files, where it can write,
    /// and what it leaves in /out is in the directory `out` afterwards. Files of the machine are made in `scratch`.
    pub fn run(&self, script: &str, files: &Path, out: &Path, scratch: &Path) -> Result<Answer> {
        let (text, disk, answer) =
            (scratch.join("script"), scratch.join("files"), scratch.join("answer"));
        fs::write(&text, init(script, self.time))?;
        file_system(files, &disk)?;
        File::create(&answer)?.set_len(ANSWER)?;
        let initial_files = self.image.join(format!("{}.initial", self.kernel));
        let machine = Machine {
            kind: Kind::Aarch64,
            accelerator: Accelerator::Software,
            cpu: self.cpu.clone(),
            cpus: 2,
            memory: MEMORY,
            mergeable: false,
            kernel: self.image.join(&self.kernel),
            initial_files: initial_files.exists().then_some(initial_files),
            parameters: "root=/dev/nvme0n1 rw init=/bin/bash -- \
                         -c \"mount -t devtmpfs dev /dev; . /dev/nvme0n2\""
                .into(),
            serial: vec![Serial::Standard],
            disks: vec![
                Disk::File(self.image.join("root.img")),
                Disk::File(text),
                Disk::File(disk.clone()),
                Disk::Kept(answer.clone()),
            ],
            monitor: None,
        };
        let transcript = scratch.join("console");
        let started = Instant::now();
        let mut console = Console::of(machine.start(scratch)?, File::create(&transcript)?)?;
        console.wait(&Regex::new(r"<up [\d.]+>")?, PATIENCE)?;
        let boot = started.elapsed();
        let said = console.wait(&Regex::new("<([a-z][a-z ]*)>\r?\n")?, self.time + PATIENCE)?;
        let ran = started.elapsed() - boot;
        console.wait_for_end(PATIENCE)?;
        drop(console);
        if said.groups.first().is_none_or(|word| word != b"answered") {
            bail!("the guest has no answer: {}", last_words(&transcript));
        }
        unpack(&answer, out)?;
        for file in [&disk, &answer] {
            fs::remove_file(file)?;
        }
        let text = |name: &str| -> Result<String> {
            let bytes = fs::read(out.join(name)).with_context(|| format!("{name} of the guest"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let status = text("status")?.trim().parse().context("the script's status")?;
        Ok(Answer { status, stdout: text("stdout")?, stderr: text("stderr")?, boot, ran })
    }
}

/// The disk that is a shell's script: whole sectors.
fn init(script: &str, time: Duration) -> Vec<u8> {
    const SECTOR: usize = 512;
    let (script, seconds) = (shell_words::quote(script), time.as_secs());
    let mut text = format!("script={script}\nseconds={seconds}\n{INIT}").into_bytes();
    text.resize(text.len().next_multiple_of(SECTOR), b'\n');
    text
}

/// A file system with the files of `tree`, in a file with holes.
fn file_system(tree: &Path, image: &Path) -> Result<()> {
    let taken = said(Command::new("du").args(["-s", "-B1"]).arg(tree))?;
    let taken: u64 = taken.split_whitespace().next().context("du(1)")?.parse()?;
    // Blocks, and what describes them.
    let size = (taken * 5 / 4 + ROOM).next_multiple_of(1 << 20);
    File::create(image)?.set_len(size)?;
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d"]);
    said(command.arg(tree).arg(image)).map(drop)
}

fn unpack(answer: &Path, out: &Path) -> Result<()> {
    fs::create_dir_all(out)?;
    let mut command = Command::new("tar");
    command
        .arg("-xf")
        .arg(answer)
        .arg("-C")
        .arg(out)
        .args(["--no-same-owner", "--delay-directory-restore"]);
    said(&mut command).map(drop)
}

/// What a command says that must end well.
fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let outcome = process::run(command, b"", Limits::seconds(300))
        .with_context(|| format!("running {}", program.display()))?;
    let text = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(0), "{}: {}: {text}", program.display(), outcome.end);
    Ok(outcome.stdout_text())
}

fn last_words(transcript: &Path) -> String {
    let bytes = fs::read(transcript).unwrap_or_default();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LAST_WORDS)..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_a_disk() {
        let text = init("echo 'it''s'; exit 3", Duration::from_secs(7));
        assert_eq!(text.len() % 512, 0);
        let checked = text.split(|&byte| byte == b'\n').next().expect("a line");
        let line = String::from_utf8(checked.to_vec()).expect("text");
        let words = shell_words::split(line.strip_prefix("script=").expect("its name"));
        assert_eq!(words.expect("one word"), ["echo 'it''s'; exit 3"]);
    }
}
