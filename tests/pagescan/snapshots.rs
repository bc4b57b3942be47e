//! Snapshots of planted memory: each page is there, once, with what it holds, and nothing is changed by being looked at.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use pagescan::hash::Hasher;
use pagescan::snapshot::{FrameFlags, PageFlags, Snapshot};
use statify_tests::case::{Case, Cases};

use crate::pagescan::planted::{PAGE, Planted, Seen, filled};
use crate::pagescan::tool;

/// By all means that there are, with more options.
const WAYS: [&[&str]; 2] = [&[], &["--by", "process"]];

pub fn add(cases: &mut Cases) {
    cases.check("snapshot/as-smaps-has-it", as_smaps);
    cases.check("snapshot/contents", contents);
    cases.needing(&["root"]).check("snapshot/frames", frames);
    cases.check("snapshot/changes-nothing", changes_nothing);
    cases.check("snapshot/mode", mode);
    cases.check("snapshot/key", key);
    cases.check("snapshot/several", several);
    cases.check("snapshot/all", all);
    cases.check("snapshot/files", files);
}

/// Resident bytes of each mapping by its first address, as the kernel has them.
fn resident(pid: u32) -> Result<BTreeMap<u64, u64>> {
    let mut resident = BTreeMap::new();
    let mut start = 0;
    for line in fs::read_to_string(format!("/proc/{pid}/smaps"))?.lines() {
        if let Some(kib) = line.strip_prefix("Rss:") {
            resident.insert(start, kib.trim().trim_end_matches(" kB").parse::<u64>()? * 1024);
        } else if let Some((address, _)) = line.split_once('-')
            && let Ok(address) = u64::from_str_radix(address, 16)
        {
            start = address;
        }
    }
    Ok(resident)
}

/// The same, as a snapshot has them.
fn resident_in(snapshot: &Snapshot, pid: u32) -> Result<BTreeMap<u64, u64>> {
    let task = snapshot.tasks.iter().find(|task| task.process.pid == pid).context("no process")?;
    let of = |vma: &pagescan::snapshot::Vma| {
        let runs = vma.runs.iter().filter(|run| !run.flags.has(PageFlags::SPECIAL));
        let frames = runs.flat_map(|run| run.frames());
        // The kernel's page of zeros is nobody's.
        let is_own =
            |&frame: &usize| !snapshot.frames.attributes(frame).flags.has(FrameFlags::ZERO_PAGE);
        frames.filter(is_own).count() as u64 * PAGE
    };
    Ok(task.vmas.iter().map(|vma| (vma.mapping.range.start, of(vma))).collect())
}

fn as_smaps(case: &Case) -> Result<()> {
    let planted = Planted::start(case)?;
    for way in WAYS {
        let pids = [planted.pid(), planted.forked];
        let snapshot = tool::snapshot(&pids, &case.dir.join("pages"), way)?;
        for pid in pids {
            let mut known = resident(pid)?;
            // It is not of the process.
            known.remove(&0xffff_ffff_ff60_0000);
            let mut found = resident_in(&snapshot, pid)?;
            found.remove(&0xffff_ffff_ff60_0000);
            ensure!(found == known, "{way:?}: {found:x?}\nin place of {known:x?}");
        }
    }
    Ok(())
}

/// Every page of an area holds what was put there.
fn holds(seen: &[Option<Seen>], kind: u64, is_equal: bool) -> Result<()> {
    for (number, seen) in seen.iter().enumerate() {
        let seen = seen.context("a page is missing")?;
        let number = if is_equal { 0 } else { number as u64 };
        ensure!(seen.hash == Hasher::Xxh3_128.hash(&filled(kind, number)).0, "{number}: {seen:?}");
    }
    Ok(())
}

fn contents(case: &Case) -> Result<()> {
    let planted = Planted::start(case)?;
    for way in WAYS {
        let snapshot = tool::snapshot(&[planted.pid()], &case.dir.join("pages"), way)?;
        let seen = |name| planted.seen(&snapshot, planted.pid(), name);
        let areas = [
            ("equal", 1, true),
            ("unique", 2, false),
            ("forked", 3, false),
            ("first", 4, false),
            ("second", 4, false),
            ("once", 5, false),
            ("again", 5, false),
            ("copied", 7, false),
            ("memfd", 8, false),
            ("none", 10, false),
            ("undumped", 11, false),
        ];
        for (name, kind, is_equal) in areas {
            holds(&seen(name)?, kind, is_equal).with_context(|| format!("{way:?} {name}"))?;
        }
        if planted.has("huge") {
            holds(&seen("huge")?, 9, false)?;
        }
        ensure!(seen("absent")?.iter().all(Option::is_none), "absent pages are there");
        let all_have = |name, flag| -> Result<()> {
            for seen in seen(name)? {
                let seen = seen.context("a page is missing")?;
                ensure!(seen.flags.has(flag), "{way:?} {name}: {seen:?}");
            }
            Ok(())
        };
        all_have("zeros-read", FrameFlags::ZERO_PAGE | FrameFlags::ZERO)?;
        all_have("zeros-written", FrameFlags::ZERO | FrameFlags::ANONYMOUS)?;
        all_have("copied", FrameFlags::ANONYMOUS)?;
        all_have("first", FrameFlags::NAMED)?;
        all_have("memfd", FrameFlags::NAMED)?;
        if planted.has("secret") {
            all_have("secret", FrameFlags::UNREAD)?;
        }
    }
    Ok(())
}

fn frames(case: &Case) -> Result<()> {
    let planted = Planted::start(case)?;
    for way in WAYS {
        let pids = [planted.pid(), planted.forked];
        let snapshot = tool::snapshot(&pids, &case.dir.join("pages"), way)?;
        let of = |pid, name| -> Result<Vec<u64>> {
            let seen = planted.seen(&snapshot, pid, name)?;
            seen.into_iter().map(|seen| Ok(seen.context("a page is missing")?.frame)).collect()
        };
        let own = |name| of(planted.pid(), name);
        ensure!(own("forked")? == of(planted.forked, "forked")?, "forked pages are others");
        ensure!(own("once")? == own("again")?, "a file's pages are others");
        let distinct = |frames: Vec<u64>| frames.into_iter().collect::<HashSet<_>>().len();
        ensure!(distinct(own("equal")?) == 300, "equal pages are one");
        ensure!(distinct([own("first")?, own("second")?].concat()) == 32, "two files are one");
        let numbers: HashSet<u64> = snapshot.frames.numbers.iter().copied().collect();
        ensure!(numbers.len() == snapshot.frames.len(), "a frame is there twice");
    }
    Ok(())
}

/// What the kernel counts of the whole machine when it copies or separates pages.
fn separated() -> Result<u64> {
    let text = fs::read_to_string("/proc/vmstat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("cow_ksm "));
    Ok(line.map_or(Ok(0), str::parse)?)
}

fn changes_nothing(case: &Case) -> Result<()> {
    let planted = Planted::start(case)?;
    let of = |pid| -> Result<String> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        // Pss of files depends on who else maps them; whether pages were used lately is marked where they are read by process.
        let kept = |line: &&str| {
            ["Rss:", "Pss_Anon:", "Swap:", "Anonymous:"].iter().any(|name| line.starts_with(name))
        };
        Ok(text.lines().filter(kept).collect::<Vec<_>>().join("\n"))
    };
    for way in WAYS {
        let before = (of(planted.pid())?, of(planted.forked)?, separated()?);
        tool::snapshot(&[planted.pid(), planted.forked], &case.dir.join("pages"), way)?;
        let after = (of(planted.pid())?, of(planted.forked)?, separated()?);
        ensure!(before == after, "{way:?}: {before:?}\nbecame {after:?}");
    }
    Ok(())
}

fn mode(case: &Case) -> Result<()> {
    let out = case.dir.join("pages");
    fs::write(&out, "something else")?;
    fs::set_permissions(&out, fs::Permissions::from_mode(0o666))?;
    tool::snapshot(&[std::process::id()], &out, &[])?;
    let mode = fs::metadata(&out)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "its mode is {mode:o}");
    Ok(())
}

fn key(case: &Case) -> Result<()> {
    let planted = Planted::start(case)?;
    let key = case.dir.join("key");
    fs::write(&key, [7; 32])?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let option = ["--key", key.to_str().context("a path of a test")?];
    let take =
        |name: &str, more: &[&str]| tool::snapshot(&[planted.pid()], &case.dir.join(name), more);
    let (plain, first, second) =
        (take("plain", &[])?, take("first", &option)?, take("second", &option)?);
    ensure!(first.header.key_id.is_some() && first.header.key_id == second.header.key_id);
    let of = |snapshot: &Snapshot| planted.seen(snapshot, planted.pid(), "unique");
    let hashes = |snapshot: &Snapshot| -> Result<Vec<_>> {
        Ok(of(snapshot)?.into_iter().map(|seen| seen.map(|seen| seen.hash)).collect())
    };
    ensure!(hashes(&first)? == hashes(&second)?, "the same key gives other hashes");
    ensure!(hashes(&first)? != hashes(&plain)?, "the key is of no effect");
    fs::write(&key, [8; 32])?;
    ensure!(hashes(&take("third", &option)?)? != hashes(&first)?, "any key gives these hashes");
    Ok(())
}

fn several(case: &Case) -> Result<()> {
    let out = case.dir.join("pages");
    let pid = std::process::id().to_string();
    let arguments = ["snapshot", &pid, "--every", "0.1", "--count", "3", "-o"];
    let arguments = arguments.iter().map(OsStr::new).chain([out.as_os_str()]);
    tool::good(arguments)?;
    let snapshots = pagescan::snapshot::read_all(fs::File::open(&out)?)?;
    ensure!(snapshots.len() == 3, "{} snapshots", snapshots.len());
    let times: Vec<u64> = snapshots.iter().map(|snapshot| snapshot.header.taken).collect();
    ensure!(times.is_sorted() && times[2] - times[0] > 150_000_000, "{times:?}");
    Ok(())
}

/// All processes, while some come and go.
fn all(case: &Case) -> Result<()> {
    let planted = Planted::start(case)?;
    let out = case.dir.join("pages");
    let mut busy = std::process::Command::new("sh");
    busy.args(["-c", "while true; do true & true | true; wait; done"]);
    let mut busy = busy.spawn()?;
    let arguments = ["snapshot", "--all", "-o"].iter().map(OsStr::new).chain([out.as_os_str()]);
    let outcome = tool::run(arguments);
    busy.kill()?;
    busy.wait()?;
    let outcome = outcome?;
    let snapshot = tool::read(&out).with_context(|| outcome.stderr_text())?;
    let pids: HashSet<u32> = snapshot.tasks.iter().map(|task| task.process.pid).collect();
    ensure!(pids.contains(&planted.pid()) && pids.contains(&planted.forked), "{pids:?}");
    let is_root = nix::unistd::geteuid().is_root();
    ensure!(!is_root || pids.len() > 3, "{pids:?}");
    Ok(())
}

fn files(case: &Case) -> Result<()> {
    let planted = Planted::start(case)?;
    let snapshot = tool::snapshot(&[planted.pid()], &case.dir.join("pages"), &[])?;
    let path = case.dir.join("first");
    let file = snapshot.files.iter().find(|file| file.file.path.ends_with(b"/first"));
    let file = &file.context("the file is not in it")?.file;
    ensure!(file.path == path.as_os_str().as_encoded_bytes(), "{file:?}");
    let stat = fs::metadata(&path)?;
    ensure!(file.inode == stat.ino() && file.device == stat.dev(), "{file:?}");
    if nix::unistd::geteuid().is_root() {
        ensure!(file.size == stat.len(), "{file:?}");
    }
    let process = &snapshot.tasks[0].process;
    ensure!(process.name == "planted" && process.exe.ends_with(b"/planted"), "{process:?}");
    ensure!(process.uid == nix::unistd::geteuid().as_raw(), "{process:?}");
    let is_in = |range: &std::ops::Range<u64>| {
        snapshot.tasks[0].vmas.iter().any(|vma| vma.mapping.range.contains(&range.start))
    };
    ensure!(is_in(&process.code) && is_in(&process.stack), "{process:?}");
    Ok(())
}
