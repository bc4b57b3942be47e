//! Whatever lies in a directory: a row or a notice, never a panic, a hang, or much memory.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use statify_tests::case::{Case, Cases, run};
use statify_tests::process::End;
use statify_tests::sandbox;

use crate::elfscan::tool;

/// No scan of a few files takes longer, on a busy machine.
const LONG: Duration = Duration::from_secs(15);

pub fn add(cases: &mut Cases) {
    cases.check("scan/bad/special-files-are-not-opened", |case| {
        mkfifo(&case.dir.join("fifo"), Mode::S_IRWXU)?;
        let _socket = UnixListener::bind(case.dir.join("socket"))?;
        symlink("/dev/zero", case.dir.join("device"))?;
        let (found, status) = scan(&case.dir)?;
        ensure!(status == 0 && found["not_elf"]["special"] == 2, "{found}");
        ensure!(found["totals"]["files"] == 0, "{found}");
        let (found, status) = scan(&case.dir.join("fifo"))?;
        let reason = found["problems"][0]["reason"].as_str().unwrap_or_default();
        ensure!(
            status == 1 && reason.ends_with("it is not a regular file; give an executable file"),
            "{found}"
        );
        Ok(())
    });
    cases.check("scan/bad/missing", |case| {
        let (found, status) = scan(&case.dir.join("missing"))?;
        let reason = found["problems"][0]["reason"].as_str().unwrap_or_default();
        ensure!(status == 1 && reason.contains("missing: No such file"), "{found}");
        Ok(())
    });
    cases.check("scan/bad/unreadable", unreadable);
    cases.check("scan/bad/truncated", |case| {
        let bytes = fs::read(case.build("scanned", "whole", &[])?)?;
        let directory = case.dir.join("cut");
        fs::create_dir(&directory)?;
        let lengths: Vec<usize> = (4..400).chain((400..bytes.len()).step_by(97)).collect();
        for len in &lengths {
            fs::write(directory.join(len.to_string()), &bytes[..*len])?;
        }
        all_rows(&directory, lengths.len())
    });
    cases.check("scan/bad/mutated", |case| {
        let bytes = fs::read(case.build("scanned", "whole", &[])?)?;
        let directory = case.dir.join("mutated");
        fs::create_dir(&directory)?;
        // Always the same ones (a linear congruential generator, Knuth's MMIX).
        let mut state = 1u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for number in 0..1500 {
            let mut changed = bytes.clone();
            for _ in 0..=next(4) {
                // Headers and tables more often than code.
                let end = [64, 1024, 8192, bytes.len()][next(4)];
                changed[4 + next(end - 4)] = [0, 0xff, 0x80, next(256) as u8][next(4)];
            }
            fs::write(directory.join(number.to_string()), changed)?;
        }
        all_rows(&directory, 1500)
    });
    cases.needing(&["program:prlimit"]).check("scan/bad/sparse-giants", sparse_giants);
    cases.check("scan/bad/shrinking", shrinking);
    cases.check("scan/bad/deep", |case| {
        let mut directory = case.dir.join("deep");
        for _ in 0..200 {
            directory.push("0123456789");
        }
        fs::create_dir_all(&directory)?;
        case.build("scanned", "program", &[])?;
        fs::rename(case.dir.join("program"), directory.join("program"))?;
        all_rows(&case.dir.join("deep"), 1)
    });
    cases.check("scan/bad/kernel-file-systems-are-not-entered", |_| {
        let (found, status) = scan(Path::new("/proc"))?;
        ensure!(status == 1 && found["files"] == serde_json::json!([]), "{found}");
        // A file there is one like any other.
        let (found, status) = scan(Path::new("/proc/self/exe"))?;
        ensure!(status == 0 && found["totals"]["files"] == 1, "{found}");
        Ok(())
    });
}

fn scan(path: &Path) -> Result<(Value, i32)> {
    let start = Instant::now();
    let found = tool::json(["scan".as_ref(), "--json".as_ref(), path.as_os_str()])?;
    ensure!(start.elapsed() < LONG, "it took {:?}", start.elapsed());
    Ok(found)
}

fn all_rows(directory: &Path, count: usize) -> Result<()> {
    let (found, status) = scan(directory)?;
    ensure!(status == 0, "{}", found["problems"]);
    ensure!(found["totals"]["files"] == count, "{}", found["totals"]);
    Ok(())
}

fn unreadable(case: &Case) -> Result<()> {
    let closed = case.dir.join("closed");
    fs::create_dir(&closed)?;
    case.build("scanned", "program", &[])?;
    case.build("scanned", "secret", &[])?;
    // Not even for their owner, who may run this.
    fs::set_permissions(&closed, Permissions::from_mode(0o000))?;
    fs::set_permissions(case.dir.join("secret"), Permissions::from_mode(0o000))?;
    let mut command = tool::elfscan(["scan".as_ref(), "--json".as_ref(), case.dir.as_os_str()])?;
    let copy = case.dir.join("elfscan");
    fs::copy(command.get_program(), &copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = Command::new(&copy);
    command.args(arguments);
    let outcome = run(sandbox::unprivileged(&mut command));
    // So that it can be removed.
    fs::set_permissions(&closed, Permissions::from_mode(0o700))?;
    let outcome = outcome?;
    ensure!(outcome.end == End::Exit(1), "{}: {}", outcome.end, outcome.stderr_text());
    let found: Value = serde_json::from_slice(&outcome.stdout)?;
    let problems = found["problems"].to_string();
    for name in ["closed", "secret"] {
        ensure!(problems.contains(&format!("{name}: Permission denied")), "{problems}");
    }
    ensure!(found["totals"]["files"] == 2, "{found}");
    Ok(())
}

/// An ELF head, and then nothing, in files of a TiB: with tables that are said to be large.
fn sparse_giants(case: &Case) -> Result<()> {
    const SIZE: u64 = 1 << 40;
    let bytes = fs::read(case.build("scanned", "whole", &["-O1"])?)?;
    let directory = case.dir.join("giants");
    fs::create_dir(&directory)?;
    let giant = |name: &str, change: &dyn Fn(&mut Vec<u8>)| -> Result<()> {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        fs::write(directory.join(name), &bytes)?;
        File::options().write(true).open(directory.join(name))?.set_len(SIZE)?;
        Ok(())
    };
    let word = |bytes: &mut Vec<u8>, at: usize, value: u64| {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    giant("plain", &|_| {})?;
    giant("head", &|bytes| bytes.truncate(64))?;
    giant("many-segments", &|bytes| {
        // e_phnum = PN_XNUM; the number is in the first section header.
        bytes[56..58].copy_from_slice(&[0xff, 0xff]);
        let sections = u64::from_le_bytes(bytes[40..48].try_into().unwrap_or_default()) as usize;
        bytes[sections + 44..sections + 48].copy_from_slice(&u32::MAX.to_le_bytes());
    })?;
    giant("segments-far-out", &|bytes| word(bytes, 32, SIZE / 2))?;
    // Each segment (56 bytes from 64 on) as long as the file.
    giant("long-segments", &|bytes| {
        for header in (64..64 + 56 * 10).step_by(56) {
            word(bytes, header + 32, SIZE / 2);
        }
    })?;
    all_rows(&directory, 5)?;
    let (found, _) = scan(&directory.join("plain"))?;
    let row = &found["files"][0];
    let reason = row["reason"].as_str().unwrap_or_default();
    ensure!(row["verdict"] != "convertible" && reason.contains("it is not read"), "{row}");
    // It would not fit there.
    let mut limited = Command::new("prlimit");
    limited.arg("--rss=unlimited").arg("--data=400000000").arg(tool::elfscan(["x"])?.get_program());
    limited.args(["scan", "--json"]).arg(&directory);
    let outcome = run(&mut limited)?;
    ensure!(matches!(outcome.end, End::Exit(0 | 1)), "{}: {}", outcome.end, outcome.stderr_text());
    ensure!(!outcome.stderr_text().contains("panicked"), "{}", outcome.stderr_text());
    Ok(())
}

/// Files that somebody cuts and restores meanwhile.
fn shrinking(case: &Case) -> Result<()> {
    let program = case.build("scanned", "whole", &[])?;
    let bytes = fs::read(&program)?;
    let directory = case.dir.join("shrinking");
    fs::create_dir(&directory)?;
    let names: Vec<_> = (0..20).map(|number| directory.join(number.to_string())).collect();
    for name in &names {
        fs::write(name, &bytes)?;
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                for name in &names {
                    File::options().write(true).open(name)?.set_len(0)?;
                    fs::write(name, &bytes)?;
                }
            }
            Ok(())
        });
        let scans = (0..40).try_for_each(|_| {
            let mut command =
                tool::elfscan(["scan".as_ref(), "--json".as_ref(), directory.as_os_str()])?;
            let outcome = run(&mut command)?;
            let good = matches!(outcome.end, End::Exit(0 | 1));
            ensure!(good, "{}: {}", outcome.end, outcome.stderr_text());
            let _: Value = serde_json::from_slice(&outcome.stdout)?;
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let written = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        scans.and(written)
    })
}
