//! Processes and files that are not as others are: bounded time, nothing that hangs, nothing that is lost.
#![cfg(feature = "command-line")]

mod strange;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pagescan::snapshot::{Snapshot, read_all};
use strange::{Strange, pagescan, said};

/// Takes a snapshot in each way. None takes as long as this.
fn snapshots(pid: &str) -> Vec<Snapshot> {
    const MOST: Duration = Duration::from_secs(30);
    let dir = tempfile::tempdir().unwrap();
    let take = |by: &&str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagescan"));
        command.current_dir(dir.path()).args(["snapshot", pid, "--by", by, "-o", "pages"]);
        let (mut child, begun) = (command.spawn().unwrap(), Instant::now());
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > MOST {
                child.kill().unwrap();
                panic!("{by}: it takes more than {MOST:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{by}");
        let mut all = read_all(File::open(dir.path().join("pages")).unwrap()).unwrap();
        all.pop().unwrap()
    };
    ["best", "process"].iter().map(take).collect()
}

/// Pages of the largest mapping, and how many mappings there are.
fn largest(snapshot: &Snapshot) -> (u64, usize) {
    let vmas = &snapshot.tasks[0].vmas;
    let largest = vmas.iter().max_by_key(|vma| vma.mapping.range.end - vma.mapping.range.start);
    (largest.unwrap().runs.iter().map(|run| run.len).sum(), vmas.len())
}

#[test]
fn terabytes_with_few_pages_take_no_time() {
    let process = Strange::new(&["sparse"]);
    for snapshot in snapshots(&process.pid()) {
        assert_eq!(largest(&snapshot).0, 32);
    }
}

#[test]
fn tens_of_thousands_of_mappings() {
    let process = Strange::new(&["many"]);
    for snapshot in snapshots(&process.pid()) {
        assert!(largest(&snapshot).1 > 60_000, "{:?}", largest(&snapshot));
    }
}

#[test]
fn what_would_hang_or_kill_is_not_touched() {
    let process = Strange::new(&["uffd", "cut"]);
    for snapshot in snapshots(&process.pid()) {
        let vmas = &snapshot.tasks[0].vmas;
        let pages: Vec<u64> = vmas
            .iter()
            .filter(|vma| vma.mapping.range.end - vma.mapping.range.start == 64 * 4096)
            .map(|vma| vma.runs.iter().map(|run| run.len).sum())
            .collect();
        assert!(pages.contains(&8) && pages.contains(&3), "{pages:?}");
    }
    let hashed = pagescan(Path::new("/"), &["hashes", &process.pid(), "--rounds", "1"]);
    assert!(hashed.status.success(), "{}", said(&hashed));
}

#[test]
fn names_give_no_orders_and_break_no_line() {
    let process = Strange::new(&["name"]);
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = pagescan(dir.path(), arguments);
        assert!(output.status.success(), "{}", said(&output));
        output.stdout
    };
    run(&["snapshot", &process.pid(), "-o", "pages"]);
    for form in [&[][..], &["--json"], &["--csv=files"], &["--csv=largest"], &["--csv=domains"]] {
        for by in ["process", "file", "library"] {
            let out = run(&[&["share", "pages", "--by", by], form].concat());
            let text = String::from_utf8(out).expect("it is UTF-8");
            let is_bad = |byte: u8| byte < b' ' && byte != b'\n' && byte != b'\r' || byte == 0x7f;
            assert!(!text.bytes().any(is_bad), "{form:?} {by}: {text:?}");
            if form == ["--json"] {
                serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
            }
        }
    }
    run(&["share", "pages", "--html", "page.html"]);
    let page = fs::read_to_string(dir.path().join("page.html")).unwrap();
    assert!(!page.contains("<a>") && !page.contains("<b>") && !page.contains('\x1b'), "{page}");
    for verb in [&["advise", "--interval", "0"][..], &["watch", "--count", "1"], &["ksm", "status"]]
    {
        let out = run(&[verb, &[&process.pid()]].concat());
        assert!(!out.contains(&0x1b), "{verb:?}");
    }
}

#[test]
fn a_series_keeps_what_was_taken_before_its_process_ended() {
    let mut process = Strange::new(&[]);
    let dir = tempfile::tempdir().unwrap();
    let pid = process.pid();
    let series = Command::new(env!("CARGO_BIN_EXE_pagescan"))
        .args(["snapshot", &pid, "--every", "0.5", "--count", "40", "-o"])
        .arg(dir.path().join("pages"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(4000));
    process.kill();
    let output = series.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&format!("process {pid}: ")), "{}", said(&output));
    let all = read_all(File::open(dir.path().join("pages")).unwrap()).unwrap();
    assert!((1..40).contains(&all.len()), "{}", all.len());
    assert!(all.iter().all(|snapshot| snapshot.tasks.len() == 1));
}

#[test]
fn who_is_interrupted_leaves_nothing() {
    let process = Strange::new(&["many"]);
    let dir = tempfile::tempdir().unwrap();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGKILL] {
        for wait in [20, 60, 150] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pagescan"));
            command.args(["snapshot", &process.pid(), "-o"]).arg(dir.path().join("pages"));
            let mut child = command.stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            // SAFETY: a child that is not waited for yet.
            unsafe { libc::kill(child.id() as i32, signal) };
            let status = child.wait().unwrap();
            let names: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
            if status.signal() == Some(signal) {
                assert!(names.is_empty(), "{names:?} {wait} {status}");
            } else {
                // It was done before.
                fs::remove_file(dir.path().join("pages")).unwrap();
            }
        }
    }
}

#[test]
fn a_watch_of_nobody_leaves_older_files_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["old.csv", "old.svg", "old.html"];
    for name in names {
        fs::write(dir.path().join(name), "older").unwrap();
    }
    let [csv, svg, html] = names;
    let nobody = "4194305";
    let output = pagescan(dir.path(), &["watch", nobody, "-o", csv, "--svg", svg, "--html", html]);
    assert_eq!(output.status.code(), Some(1));
    for name in names {
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "older", "{name}");
    }
    let output = pagescan(dir.path(), &["watch", nobody, "-o", "new.csv", "--svg", "new.svg"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn a_snapshot_that_cannot_be_written_names_its_file() {
    let output =
        pagescan(Path::new("/"), &["snapshot", &std::process::id().to_string(), "-o", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("/dev/full: it cannot be written"), "{}", said(&output));
}
