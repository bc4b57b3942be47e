//! What `pagescan advise` says against what KSM does: frames and time.

mod merging;
#[macro_use]
mod trials;

use std::collections::HashSet;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pagescan::advise::candidates::Reach;
use pagescan::advise::cost::{Cost, tick};
use pagescan::advise::obstacle::Obstacle;
use pagescan::advise::settings::Settings;
use pagescan::advise::smart_scan::TURN;
use pagescan::advise::{Advice, Question, advice};
use pagescan::hash::Hasher;
use pagescan::scan::{By, Target, Tools, take_here};

use merging::{KERNEL, Merging, number};

trials! {
    the_verb_tells_what_merges_and_what_does_not: [];
    frames_and_time_are_as_foretold: [Ksm];
    what_smart_scan_leaves_is_foretold: [Ksm, File("/sys/kernel/mm/ksm/smart_scan")];
}

/// Plants pages, in itself and in children, which wait until standard input ends.
const PLANTED: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
static char *pages(long n, int flags, int fd) {
    char *at = mmap(0, n * 4096, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED) _exit(9);
    madvise(at, n * 4096, MADV_NOHUGEPAGE);
    return at;
}
static void fill(char *at, long n, uint64_t first, uint64_t step) {
    for (long i = 0; i < n; i++) {
        uint64_t x = (first + i * step) * 0x9e3779b97f4a7c15u + 1;
        for (int k = 0; k < 512; k++) ((uint64_t *)(at + i * 4096))[k] = x = x * 6364136223846793005u + 1442695040888963407u;
    }
}
static void zeros(char *at, long n) {
    for (long i = 0; i < n; i++) { at[i * 4096] = 1; at[i * 4096] = 0; }
}
int main(int argc, char **argv) {
    int private = MAP_PRIVATE | MAP_ANONYMOUS;
    prctl(67, 1, 0, 0, 0);
    fill(pages(2000, private, -1), 2000, 1, 0);       /* equal */
    fill(pages(3000, private, -1), 3000, 1000, 1);    /* pairs with the child's own */
    fill(pages(2000, private, -1), 2000, 500000, 1);  /* unique, forked */
    zeros(pages(1500, private, -1), 1500);
    int file = open(argv[1], O_RDWR);
    char *of_file = pages(1000, MAP_PRIVATE, file);
    for (long i = 0; i < 1000; i++) (void)*(volatile char *)(of_file + i * 4096);
    fill(of_file, 300, 1, 0);                          /* copied on write: equal to the first */
    int memfd = memfd_create("m", 0);
    if (ftruncate(memfd, 500 * 4096)) return 9;
    fill(pages(500, MAP_SHARED, memfd), 500, 1, 0);
    fill(pages(500, MAP_SHARED | MAP_ANONYMOUS, -1), 500, 1, 0);
    /* Huge pages: some of each equal to others, some zero. */
    char *huge = mmap(0, 10 << 20, PROT_READ | PROT_WRITE, private, -1, 0);
    huge = (char *)(((uintptr_t)huge + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1));
    madvise(huge, 8 << 20, MADV_HUGEPAGE);
    for (int h = 0; h < 4; h++) {
        char *at = huge + ((long)h << 21);
        at[0] = 1;
        fill(at, 100, 1, 0);
        fill(at + 100 * 4096, 200, 700000 + h * 1000, 1);
    }
    int ready[2];
    if (pipe(ready)) return 9;
    pid_t child = fork();
    if (!child) {
        fill(pages(3000, private, -1), 3000, 1000, 1);
        fill(pages(700, private, -1), 700, 900000, 1);
        (void)!write(ready[1], "r", 1);
        char byte;
        _exit(read(0, &byte, 1) == 0 ? 0 : 1);
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) return 9;
    printf("%d\n", child);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    wait(0);
    return 0;
}
"#;

struct Planted {
    parent: Child,
    child: u32,
    _directory: tempfile::TempDir,
}

impl Planted {
    fn new() -> Self {
        use std::io::BufRead;
        let directory = tempfile::tempdir().unwrap();
        let (source, program, file) =
            (directory.path().join("p.c"), directory.path().join("p"), directory.path().join("f"));
        std::fs::write(&source, PLANTED).unwrap();
        std::fs::write(&file, vec![0x55; 1000 * 4096]).unwrap();
        let compiled = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(&source).status();
        assert!(compiled.unwrap().success());
        let mut command = Command::new(&program);
        command.arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut parent = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(parent.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        Self { parent, child: line.trim().parse().unwrap(), _directory: directory }
    }

    fn pids(&self) -> [u32; 2] {
        [self.parent.id(), self.child]
    }

    fn frames(&self, zero_page: u64) -> usize {
        frames_of(&self.pids(), zero_page)
    }
}

/// Distinct frames, by the page tables alone; without the page of zeros, which each process has through an empty page.
fn frames_of(pids: &[u32], zero_page: u64) -> usize {
    let mut frames = HashSet::new();
    for pid in pids {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let pagemap = std::fs::File::open(format!("/proc/{pid}/pagemap")).unwrap();
        for line in maps.lines().filter(|line| !line.contains("[vv") && !line.contains("[vs")) {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let page = |text| u64::from_str_radix(text, 16).unwrap() / 4096;
            let mut entries = vec![0; ((page(end) - page(start)) * 8) as usize];
            pagemap.read_exact_at(&mut entries, page(start) * 8).unwrap();
            let entries = entries.as_chunks::<8>().0.iter().map(|entry| u64::from_le_bytes(*entry));
            let present = entries.filter(|entry| entry >> 63 == 1);
            frames.extend(present.map(|entry| entry & ((1 << 55) - 1)));
        }
    }
    frames.remove(&zero_page);
    frames.len()
}

impl Drop for Planted {
    fn drop(&mut self) {
        drop(self.parent.stdin.take());
        let _ = self.parent.wait();
    }
}

/// The frame of the kernel's page of zeros.
fn zero_page() -> u64 {
    // SAFETY: a new mapping, of which a byte is read.
    let address = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let at = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        assert_eq!(at.cast::<u8>().read_volatile(), 0);
        at as u64
    };
    let mut entry = [0; 8];
    let pagemap = std::fs::File::open("/proc/self/pagemap").unwrap();
    pagemap.read_exact_at(&mut entry, address / 4096 * 8).unwrap();
    u64::from_le_bytes(entry) & ((1 << 55) - 1)
}

fn ask(pids: &[u32], settings: Settings) -> Advice {
    let (tools, hasher) = (Tools::find(By::Process), Hasher::Xxh3_128);
    let look = || take_here(&Target::Processes(pids.to_vec()), &tools, &hasher).unwrap();
    let (earlier, now) = (look(), look());
    let question = Question {
        reach: Reach::Everything,
        settings,
        cost: Cost::of_machine(),
        tick: tick(),
        max_cpu: 10.0,
    };
    advice(&now, Some(&earlier), &question)
}

fn the_verb_tells_what_merges_and_what_does_not() {
    // Nobody merges what is planted meanwhile, such as the other tests.
    let is_ours = trials::is_root() && Path::new(KERNEL).is_dir();
    let _off = is_ours.then(Merging::take);
    let planted = Planted::new();
    let pids = planted.pids().map(|pid| pid.to_string());
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagescan"));
        let output =
            command.args(["advise", "--interval", "1"]).args(more).args(&pids).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let options = ["--json", "--use-zero-pages", "false", "--max-page-sharing", "256"];
    let advice: serde_json::Value = serde_json::from_str(&run(&options)).unwrap();
    let number = |path: &str| advice.pointer(path).and_then(|value| value.as_i64()).unwrap();
    // 500 of a memfd and 500 of shared memory in each; 700 of the file are as they are.
    assert!(number("/obstacles/shared") >= 1000, "{advice}");
    assert!(number("/obstacles/file_page") >= 700, "{advice}");
    // 2,700 equal ones are 5,400 pages, and so 22 frames; 3,000 pairs; 1,500 zeros twice are 12; 4 huge pages have 212 zeros each.
    let saved = 2700 - 22 + 3000 + 1500 - 12 + 4 * 212;
    let told = number("/saved_frames");
    // What the loader and libraries have written is equal in no known number.
    assert!((saved..saved + 150).contains(&told), "{told}, {saved} are planted; {advice}");
    assert_eq!(number("/forecast/huge_pages_split"), 4, "{advice}");
    let text = run(&[]);
    assert!(text.starts_with("KSM would save "), "{text}");
    assert!(text.contains("files' pages that were not written to"), "{text}");
}

fn frames_and_time_are_as_foretold() {
    let merging = Merging::take();
    let zero_page = zero_page();
    // Pages that are all new to KSM are as old as one another, so smart_scan is of no account.
    for (pages_to_scan, use_zero_pages, max, smart_scan) in
        [("200", "0", "256", "0"), ("1000", "1", "64", "1"), ("1000", "0", "256", "1")]
    {
        let planted = Planted::new();
        let _settings = merging.set(&[
            ("advisor_mode", "none"),
            ("pages_to_scan", pages_to_scan),
            ("sleep_millisecs", "20"),
            ("use_zero_pages", use_zero_pages),
            ("max_page_sharing", max),
            ("smart_scan", smart_scan),
        ]);
        let advice = ask(&planted.pids(), Settings::read(Path::new(KERNEL)));
        let before = planted.frames(zero_page);
        assert_eq!(advice.forecast.frames_now, before as u64);
        assert_eq!((advice.certain_frames, advice.settled.passes), (None, 2));
        assert!(advice.obstacles[&Obstacle::Shared] >= 1000, "{:?}", advice.obstacles);
        assert!(advice.obstacles[&Obstacle::FilePage] >= 700, "{:?}", advice.obstacles);

        let scanned = number("pages_scanned");
        merging.switch(true);
        let begun = Instant::now();
        let (mut least, mut settled, mut passes) = (before, Duration::ZERO, 0);
        let first = number("full_scans");
        while number("full_scans") < first + 5 && begun.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(20));
            let now = planted.frames(zero_page);
            if now < least {
                (least, settled, passes) = (now, begun.elapsed(), number("full_scans") - first);
            }
        }
        let scanned = number("pages_scanned") - scanned;
        let after = planted.frames(zero_page);
        merging.switch(false);
        let forecast = &advice.forecast;
        let expected = advice.settled.settling.seconds;
        eprintln!(
            "{pages_to_scan} pages a round: {before} frames, {after} after, {} foretold; {:.2} s, {expected:.2} foretold; {scanned} pages looked at; {:?}",
            forecast.frames_after,
            settled.as_secs_f64(),
            advice.cost,
        );
        let error = forecast.frames_after.abs_diff(after as u64) as f64 / after as f64;
        assert!(error <= 0.005, "{after} frames are left, {} were foretold", forecast.frames_after);
        // On a busy machine it takes longer, but no more passes.
        let measured = settled.as_secs_f64();
        assert!(
            passes <= advice.settled.passes && measured > expected * 0.6,
            "{measured} s, {passes} passes"
        );
    }
    drop(merging);
}

/// Memory of a child for which KSM is on, filled as it is told to.
const FILLED: &str = r#"
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
int main(int argc, char **argv) {
    char *at = mmap(0, 1000 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(at, 1000 * 4096, MADV_NOHUGEPAGE);
    if (argc > 1) madvise(at, 1000 * 4096, MADV_MERGEABLE);
    long from, to, content;
    while (scanf("%ld %ld %ld", &from, &to, &content) == 3) {
        for (long i = from; i < to; i++) {
            uint64_t x = (content + i - from) * 0x9e3779b97f4a7c15u + 1;
            for (int k = 0; k < 512; k++) ((uint64_t *)(at + i * 4096))[k] = x = x * 6364136223846793005u + 1442695040888963407u;
        }
        puts("filled");
        fflush(stdout);
    }
    return 0;
}
"#;

struct Filled {
    child: Child,
    out: std::io::BufReader<std::process::ChildStdout>,
}

impl Filled {
    /// KSM may be on for it from the beginning.
    fn new(program: &Path, is_on: bool) -> Self {
        let mut command = Command::new(program);
        command.args(is_on.then_some("on")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = std::io::BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Fills so many pages from the one of this number on with contents, each another, of this number and those that follow.
    fn fill(&mut self, from: u64, pages: u64, content: u64) {
        use std::io::{BufRead, Write};
        let mut input = self.child.stdin.as_ref().unwrap();
        writeln!(input, "{from} {} {content}", from + pages).unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert_eq!(line, "filled\n");
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// KSM runs for long, with smart_scan. What it knows already merges only where that is certain, and the forecast tells how much
/// that is; without smart_scan the rest merges as well.
fn what_smart_scan_leaves_is_foretold() {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("f.c"), directory.path().join("f"));
    std::fs::write(&source, FILLED).unwrap();
    let compiled = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(&source).status();
    assert!(compiled.unwrap().success());
    let zero_page = zero_page();
    let merging = Merging::take();
    let _settings = merging.set(&[
        ("advisor_mode", "none"),
        ("pages_to_scan", "20000"),
        ("sleep_millisecs", "20"),
        ("use_zero_pages", "0"),
        ("max_page_sharing", "256"),
        ("smart_scan", "1"),
    ]);
    merging.switch(true);
    let (mut first, born) = merging.while_it_stands(|| {
        let mut first = Filled::new(&program, true);
        // 50 pairs that are merged soon, and others that are like nothing.
        first.fill(0, 50, 1000);
        first.fill(50, 50, 1000);
        first.fill(100, 300, 2000);
        (first, number("full_scans"))
    });
    merging.passes(4);
    while (number("full_scans") - born).is_multiple_of(TURN) {
        merging.passes(1);
    }
    let (mut second, later) = merging.while_it_stands(|| {
        let mut second = Filled::new(&program, true);
        second.fill(0, 250, 3000);
        (second, number("full_scans"))
    });
    if (later - born).is_multiple_of(TURN) {
        trials::not_here("this machine is too busy: KSM went on by itself");
    }
    merging.passes(20);
    // It stands until the forecast is there.
    std::fs::write(Path::new(KERNEL).join("run"), "0").unwrap();
    // The turns of both are in different passes: 200 equal pages never meet. 50 are like those that are merged.
    first.fill(100, 200, 4000);
    second.fill(0, 200, 4000);
    second.fill(200, 50, 1000);
    let mut new = Filled::new(&program, false);
    new.fill(0, 60, 5000);
    new.fill(60, 60, 5000);

    let pids = [first.child.id(), second.child.id(), new.child.id()];
    let advice = ask(&pids, Settings::read(Path::new(KERNEL)));
    let frames = || frames_of(&pids, zero_page) as i64;
    let before = frames();
    assert_eq!(advice.forecast.frames_now, before as u64);
    let certain = advice.certain_frames.expect("smart_scan leaves out pages");
    // What the loader has left in the three processes is equal, too, and new to KSM.
    let least = 50 + 60;
    assert!((least..least + 300).contains(&certain), "{certain} {advice:?}");
    assert_eq!(advice.saved_frames, certain + 200, "{advice:?}");

    for pid in pids {
        pagescan::ksm::switch(pid, true).unwrap();
    }
    std::fs::write(Path::new(KERNEL).join("run"), "1").unwrap();
    merging.passes(advice.settled.passes + 2);
    let saved = before - frames();
    eprintln!(
        "{saved} frames are saved after {} passes; {certain} for certain and {} at most were foretold",
        advice.settled.passes, advice.saved_frames
    );
    // Of what the loader has left, a page or two may be another by now.
    assert!(saved.abs_diff(certain) <= 3, "{saved} {certain}");
    // For as long as one likes.
    merging.passes(30);
    assert!((before - frames()).abs_diff(certain) <= 3);
    std::fs::write(Path::new(KERNEL).join("smart_scan"), "0").unwrap();
    merging.passes(4);
    let all = before - frames();
    assert!(all.abs_diff(advice.saved_frames) <= 3, "{all} {advice:?}");
}
