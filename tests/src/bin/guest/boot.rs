//! Both guests run: to the login, and through the list of commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use regex::bytes::Regex;
use rootfs_tools::boot::initramfs;
use serde::{Deserialize, Serialize};
use statify_room::Root;
use statify_vm::monitor::{self, Reads};
use statify_vm::{Accelerator, Console, Disk, Kind, Machine, Serial};

use crate::commands::{COMMANDS, LOADERS};
use crate::compare::{Said, differences, plain};
use crate::images;
use crate::room::Room;
use crate::root;

/// What a guest's root may be on.
pub const SYSTEMS: [&str; 2] = ["ext4", "erofs"];
/// Software emulation takes its time.
const BOOT: Duration = Duration::from_secs(600);
const COMMAND: Duration = Duration::from_secs(300);

/// What came out.
#[derive(Debug)]
pub struct Boots {
    /// What is not as it should be, in words.
    pub differences: Vec<String>,
    /// How many commands were run in each guest.
    pub commands: usize,
    /// The pairs of guests.
    pub pairs: Vec<Pair>,
}

/// Two guests on one kind of file system.
#[derive(Debug)]
pub struct Pair {
    /// The file system's name.
    pub system: String,
    /// As Debian made it.
    pub normal: Guest,
    /// With converted programs.
    pub converted: Guest,
}

/// What one guest did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Guest {
    /// From QEMU's start to `login:`.
    pub login: f64,
    /// What it had read from its disk by then.
    pub reads: Reads,
    /// How often the shell's processes have a loader mapped.
    pub loaders: u64,
    /// What the commands did, in their order.
    pub said: Vec<Said>,
}

/// Boots the guests, one after another.
pub fn boot_all(room: &Room, systems: &[String], scratch: &Path) -> Result<Boots> {
    let mut boots = Boots { differences: Vec::new(), commands: COMMANDS.len(), pairs: Vec::new() };
    for system in systems {
        // A guest that has run is not run again after an interruption.
        let guest = |which: &str| {
            room.once(&format!("boot-{system}-{which}"), || boot(room, system, which, scratch))
        };
        let (normal, converted) = (guest("normal")?, guest("converted")?);
        let pair = Pair { system: system.to_owned(), normal, converted };
        boots.differences.extend(judge(&pair));
        boots.pairs.push(pair);
    }
    Ok(boots)
}

fn judge(pair: &Pair) -> Vec<String> {
    let said = pair.normal.said.iter().zip(&pair.converted.said);
    let mut found: Vec<String> = COMMANDS
        .iter()
        .zip(said)
        .filter_map(|(command, (a, b))| differences(&pair.system, command, a, b))
        .collect();
    // Otherwise a normal guest was compared with itself.
    if pair.normal.loaders == 0 || pair.converted.loaders != 0 {
        found.push(format!(
            "{}: loaders of shell and cat: {} in the normal guest, {} in the converted one",
            pair.system, pair.normal.loaders, pair.converted.loaders
        ));
    }
    found
}

fn boot(room: &Room, system: &str, which: &str, scratch: &Path) -> Result<Guest> {
    let monitor = scratch.join("monitor");
    let started = Instant::now();
    let machine = machine(room, system, which, scratch, &monitor)?;
    let transcript = room.results().join(format!("console-{system}-{which}.txt"));
    let mut console = Console::of(machine.start(scratch)?, fs::File::create(transcript)?)?;
    let result = talk(&mut console, started, &monitor);
    drop(console);
    let _ = fs::remove_file(monitor);
    result.with_context(|| format!("{which} on {system}"))
}

/// The emulated machine.
fn machine(
    room: &Room,
    system: &str,
    which: &str,
    scratch: &Path,
    monitor: &Path,
) -> Result<Machine> {
    let (kernel, release) = root::kernel(&room.root())?;
    let mut initial_files = None;
    if system == "erofs" {
        let archive: PathBuf = scratch.join("initramfs");
        let busybox = room.statics().join("bin/busybox");
        let root = room.root();
        initramfs::write(&archive, &root, &Root::open(&root)?, &release, &busybox)?;
        initial_files = Some(archive);
    }
    let parameters = if system == "erofs" { "" } else { "root=/dev/nvme0n1 rw" };
    Ok(Machine {
        kind: Kind::HERE,
        accelerator: Accelerator::Software,
        cpu: "max".into(),
        cpus: 2,
        memory: 2048,
        mergeable: false,
        kernel,
        initial_files,
        parameters: parameters.into(),
        serial: vec![Serial::Standard],
        disks: vec![Disk::File(images::path(room, system, which))],
        monitor: Some(monitor.to_owned()),
    })
}

fn talk(console: &mut Console, started: Instant, monitor: &Path) -> Result<Guest> {
    console.wait(&Regex::new("login: ")?, BOOT)?;
    let login = started.elapsed().as_secs_f64();
    let reads = monitor::reads(monitor)?;
    console.type_line("root")?;
    console.wait(&Regex::new("Password: ")?, BOOT)?;
    console.type_line(root::PASSWORD)?;
    console.wait(&Regex::new("# ")?, BOOT)?;
    // A shell that neither echoes nor prompts, and no kernel's messages among the answers.
    console.type_line("stty -echo; dmesg -n 1; PS1= PS2= exec bash --noediting --norc")?;
    console.type_line("export TERM=dumb LC_ALL=C.UTF-8 PAGER=cat; cd /root; PS1= PS2=")?;
    console.type_line(
        "run() { printf '<begin %s>\\n' \"$1\"; timeout 240 bash -c \"$2\" </dev/null >/run/said 2>&1; \
         status=$?; cat /run/said; printf '\\n<end %s %s>\\n' \"$1\" $status; }",
    )?;
    // What was started at boot may still be about to come.
    let ready = run(console, "ready", "systemctl is-system-running --wait")?;
    let loaders = run(console, "loaders", LOADERS)?;
    let loaders = loaders.text.trim().parse().with_context(|| format!("{loaders:?}"))?;
    let mut said = Vec::new();
    for command in COMMANDS {
        said.push(run(console, command.name, command.line)?);
    }
    console.type_line("systemctl poweroff --no-wall")?;
    console.wait_for_end(BOOT)?;
    ensure!(ready.text == "running", "the guest's state after its start is {ready:?}");
    Ok(Guest { login, reads, loaders, said })
}

fn run(console: &mut Console, name: &str, line: &str) -> Result<Said> {
    let quoted = |text: &str| shell_words::quote(text).into_owned();
    console.type_line(&format!("run {} {}", quoted(name), quoted(line)))?;
    let name = regex::escape(name);
    console.wait(&Regex::new(&format!("<begin {name}>\r?\n"))?, COMMAND)?;
    let end = Regex::new(&format!(r"\r?\n<end {name} (\d+)>"))?;
    let said = console.wait(&end, COMMAND)?;
    let status = said.groups.first().and_then(|digits| str::from_utf8(digits).ok());
    let status = status.and_then(|digits| digits.parse().ok()).context("a status")?;
    Ok(Said { status, text: plain(&said.before) })
}
