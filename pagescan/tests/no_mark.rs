//! What is looked at stays as it is: merged pages stay merged, shared ones shared. What process_vm_readv(2) does to the same
//! memory shows that it would be noticed.

mod merging;
mod strange;
#[macro_use]
mod trials;

use std::fs;
use std::time::{Duration, Instant};

use merging::{Merging, number as ksm_number};
use strange::{Strange, pagescan, said};

trials! {
    merged_and_shared_pages_stay_so: [Ksm];
}

/// Equal pages that are planted.
const PAGES: u64 = 1024;

fn number(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.unwrap_or(&text).split_ascii_whitespace().next().unwrap();
    word.parse().unwrap_or_else(|_| panic!("{path} {name}: {word}"))
}

/// What would be another if pages were copied, unmerged or brought in; without that of files, which others map as well.
fn mark(pid: &str) -> Vec<(&'static str, u64)> {
    let rollup = format!("/proc/{pid}/smaps_rollup");
    let of_process = ["Rss:", "Pss_Anon:", "Anonymous:", "KSM:", "Swap:"];
    let mut mark: Vec<_> = of_process.map(|name| (name, number(&rollup, name))).into();
    mark.push(("cow_ksm", number("/proc/vmstat", "cow_ksm ")));
    mark.push(("pages_sharing", ksm_number("pages_sharing")));
    mark.push(("pages_shared", ksm_number("pages_shared")));
    mark
}

/// Bytes of the planted memory that are marked as used. Files' pages are marked by others, too.
fn referenced(pid: &str) -> u64 {
    let smaps = fs::read(format!("/proc/{pid}/smaps")).unwrap();
    let (mut is_planted, mut sum) = (false, 0);
    for line in String::from_utf8_lossy(&smaps).lines() {
        if line.contains(" rw-p 00000000 00:00 0") {
            is_planted = true;
        } else if line.as_bytes().first().is_some_and(|first| !first.is_ascii_uppercase()) {
            is_planted = false;
        } else if let Some(rest) = line.strip_prefix("Referenced:").filter(|_| is_planted) {
            let word = rest.split_ascii_whitespace().next().unwrap();
            sum += word.parse::<u64>().unwrap();
        }
    }
    sum
}

/// Reads the planted memory as nobody should.
fn read_by_pinning(pid: u32) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    for line in maps.lines().filter(|line| line.contains(" rw-p 00000000 00:00 0")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let address = |text| usize::from_str_radix(text, 16).unwrap();
        let (start, len) = (address(start), address(end) - address(start));
        if len < PAGES as usize * 4096 {
            continue;
        }
        let mut buffer = vec![0u8; len];
        let to = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: len };
        let from = libc::iovec { iov_base: start as *mut libc::c_void, iov_len: len };
        // SAFETY: the buffer is as long as it says; the other process is one of this test's.
        unsafe { libc::process_vm_readv(pid as i32, &to, 1, &from, 1, 0) };
    }
}

/// Looks in all ways.
fn nothing_is_changed_by_looking(pid: &str, before: &[(&'static str, u64)]) {
    let dir = tempfile::tempdir().unwrap();
    let verbs = [
        &["snapshot", "-o", "pages", "--by", "best"][..],
        &["snapshot", "-o", "pages", "--by", "process"],
        &["advise", "--interval", "0"],
        &["watch", "--count", "2", "--every", "0.1"],
        &["hashes", "--rounds", "1"],
        &["ksm", "status"],
    ];
    for verb in verbs {
        fs::write(format!("/proc/{pid}/clear_refs"), "1").unwrap();
        let unused = referenced(pid);
        let output = pagescan(dir.path(), &[verb, &[pid]].concat());
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(mark(pid), before, "{verb:?}");
        // Only frames say nothing of having been read.
        if !verb.contains(&"process") && !verb.contains(&"hashes") {
            let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
            let is_by_frame = !told.contains("memory cannot be read by frame");
            let used = referenced(pid);
            assert!(
                !is_by_frame || used == unused,
                "{verb:?} marks pages as used: {used} {unused}\n{told}"
            );
        }
    }
}

fn merged_and_shared_pages_stay_so() {
    let merging = Merging::take();
    let process = Strange::new(&["merged", "forked"]);
    let pid = process.pid();
    merging.switch(true);
    let begun = Instant::now();
    let sharing = || ksm_number("pages_sharing");
    let most = PAGES - PAGES.div_ceil(256);
    while sharing() < most && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Until it has nothing more to do.
    merging.passes(2);
    assert!(sharing() >= most, "{} pages are merged", sharing());

    // It marks what it merges as used, and merges some pages late (smart_scan). While it stands, marks are others'.
    merging.while_it_stands(|| {
        let before = mark(&pid);
        nothing_is_changed_by_looking(&pid, &before);
        read_by_pinning(process.0.id());
        let after = mark(&pid);
        let unmerged = after[5].1 - before[5].1;
        assert!(unmerged >= most && after[1].1 > before[1].1, "{before:?}\n{after:?}");
    });
    merging.switch(false);
}
