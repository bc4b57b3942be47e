//! Classifies 19 million frames of three machines of 24 GiB, and tells what it takes:
//! `cargo run --release -p pagescan --example classify_many [DIR]`. The snapshots are made by a process of their own, 360 MB in
//! DIR, so that only reading and classifying is measured.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use pagescan::hash::{Algorithm, PageHash};
use pagescan::share::{Options, Source, share};
use pagescan::snapshot::{Attributes, FrameFlags, Header, Means, Scope, Totals, Writer};

const MACHINES: u64 = 3;
const FRAMES: u64 = 24 << 18;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let path = |machine: u64| dir.join(format!("machine{machine}.pagescan"));
    if arguments.next().is_some() {
        for machine in 0..MACHINES {
            make(&path(machine), machine)?;
        }
        return Ok(());
    }
    let status = Command::new(std::env::current_exe()?).arg(&dir).arg("make").status()?;
    if !status.success() {
        return Err("the snapshots could not be made".into());
    }
    let (cpu, wall) = (cpu_seconds()?, Instant::now());
    let sources: Result<Vec<_>, _> =
        (0..MACHINES).map(|machine| Source::choose(&path(machine), None)).collect();
    let answer = share(&sources?, &Options::default())?;
    let (cpu, wall) = (cpu_seconds()? - cpu, wall.elapsed().as_secs_f64());
    println!(
        "{} frames: {cpu:.2} CPU seconds, {wall:.2} s, at most {} MiB of memory; {} contents, savable {}, attainable {}",
        answer.classes.all().frames + answer.free_frames,
        most_memory()? >> 10,
        answer.contents,
        answer.savable.at_most,
        answer.savable.attainable,
    );
    for machine in 0..MACHINES {
        fs::remove_file(path(machine))?;
    }
    Ok(())
}

/// A machine as one finds them: a tenth is zeros, a sixth is in other machines too, a part is there several times.
fn make(path: &Path, machine: u64) -> io::Result<()> {
    let header = Header {
        taken: 1,
        host: format!("machine{machine}"),
        boot: machine.to_string(),
        kernel: String::new(),
        page_size: 4096,
        memory: FRAMES * 4096,
        algorithm: Algorithm::Xxh3_128,
        key_id: None,
        scope: Scope::Ram,
        means: Means::Frame,
        lacks: Vec::new(),
    };
    let mut writer = Writer::new(BufWriter::new(File::create(path)?), header)?;
    let mut state = machine + 1;
    let mut chance = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % end
    };
    let mut number = 0;
    for index in 0..FRAMES {
        let content = match chance(60) {
            0..10 => chance(1 << 20),
            10..14 => 1 << 40 | machine << 32 | chance(1 << 16),
            _ => 1 << 41 | machine << 32 | index,
        };
        let kind = match chance(10) {
            0..5 => FrameFlags::ANONYMOUS,
            5..9 => FrameFlags::NAMED,
            _ => FrameFlags::KERNEL,
        };
        let is_zero = chance(10) == 0;
        let more = if is_zero { FrameFlags::ZERO } else { FrameFlags::REFERENCED };
        let map_count = [1, 1, 1, 0, 2, 7][chance(6) as usize];
        let attributes = Attributes {
            flags: kind | more,
            map_count,
            ref_count: map_count + 1,
            cgroup: chance(20),
        };
        let hash = PageHash(xxhash_rust::xxh3::xxh3_128(&content.to_le_bytes()).to_be_bytes());
        writer.frame(Some(number), attributes, hash)?;
        number += 1 + u64::from(chance(100) == 0);
    }
    writer.finish(Totals::default())?;
    Ok(())
}

/// What this process has used (proc_pid_stat(5): utime and stime, in hundredths of a second).
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit_once(')').ok_or("no name")?.1;
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// The most memory that this process has had, in KiB.
fn most_memory() -> Result<u64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}
