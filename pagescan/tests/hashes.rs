//! `pagescan hashes` on processes of this kernel.

#[macro_use]
mod trials;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pagescan::hashes::{Frozen, PAGE, Pages, Part, ProcessMemory};
use trials::not_run_in_part;

trials! {
    pages_that_are_there_are_read_and_no_others_are_made: [];
    a_process_stands_and_goes_on: [];
    who_cannot_be_read_or_stopped_gets_a_sentence: [];
    one_that_ends_meanwhile_is_told: [];
}

/// Ends it, whatever becomes of the test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it is there");
        stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).expect("a state")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Which pages from an address on are in memory.
fn present(address: usize, pages: usize) -> Vec<bool> {
    let pagemap = File::open("/proc/self/pagemap").expect("it is there");
    let mut entries = vec![0; pages * 8];
    pagemap.read_exact_at(&mut entries, (address / PAGE * 8) as u64).expect("it can be read");
    entries.as_chunks::<8>().0.iter().map(|entry| u64::from_ne_bytes(*entry) >> 63 == 1).collect()
}

fn pages_that_are_there_are_read_and_no_others_are_made() {
    const COUNT: usize = 1024;
    // Nothing of it is there before it is written to, and no huge pages as far as it is not aligned to them.
    let mut memory = vec![0u8; (COUNT + 1) * PAGE];
    let offset = memory.as_ptr().align_offset(PAGE);
    let address = memory.as_ptr() as usize + offset;
    let mark = *b"a mark that no other page has at its beginning";
    for page in (0..COUNT).step_by(8) {
        let at = offset + page * PAGE;
        memory[at..at + mark.len()].copy_from_slice(&mark);
        memory[at + 64..at + 72].copy_from_slice(&page.to_ne_bytes());
    }
    let before = present(address, COUNT);
    let absent = before.iter().filter(|is_there| !**is_there).count();
    let mut source = ProcessMemory::open(std::process::id(), Part::All).expect("it is this one");
    let (mut buffer, mut seen) = (vec![0u8; 37 * PAGE], Vec::new());
    loop {
        let len = source.next(&mut buffer).expect("it can be read");
        if len == 0 {
            break;
        }
        assert_eq!(len % PAGE, 0);
        for page in buffer[..len].as_chunks::<PAGE>().0 {
            if page.starts_with(&mark) {
                seen.push(usize::from_ne_bytes(page[64..72].try_into().expect("8 bytes")));
            }
        }
    }
    // A page that was read is in the buffer, too, in which it may be read once more.
    seen.sort_unstable();
    seen.dedup();
    assert!(seen == (0..COUNT).step_by(8).collect::<Vec<_>>(), "{seen:?}");
    assert_eq!(present(address, COUNT), before);
    if absent == 0 {
        not_run_in_part("huge pages had all of it brought in before");
    }
}

fn a_process_stands_and_goes_on() {
    let process = Process::start(Command::new("sh").args(["-c", "while :; do :; done"]));
    let pid = process.0.id();
    let frozen = Frozen::new(pid, &AtomicBool::new(false)).expect("it is ours");
    assert_eq!(process.state(), 'T');
    // One that stands already is left as it is.
    drop(Frozen::new(pid, &AtomicBool::new(false)).expect("it is ours"));
    assert_eq!(process.state(), 'T');
    drop(frozen);
    let until = Instant::now() + Duration::from_secs(5);
    while process.state() == 'T' && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_ne!(process.state(), 'T');
}

fn who_cannot_be_read_or_stopped_gets_a_sentence() {
    let own = Frozen::new(std::process::id(), &AtomicBool::new(false)).map(drop).unwrap_err();
    assert!(own.to_string().contains("pagescan itself"), "{own}");
    for pid in [0, u32::MAX, 4_194_305] {
        assert!(Frozen::new(pid, &AtomicBool::new(false)).is_err());
        let error = ProcessMemory::open(pid, Part::All).map(drop).unwrap_err();
        assert!(error.to_string().contains("there is no such process"), "{error}");
    }
    // kthreadd, if this is the first PID namespace.
    if fs::read("/proc/2/comm").is_ok_and(|comm| comm == b"kthreadd\n") {
        let error = ProcessMemory::open(2, Part::All).map(drop).unwrap_err();
        assert!(error.to_string().contains("process 2: "), "{error}");
    } else {
        not_run_in_part("no process of the kernel is seen from here");
    }
}

fn one_that_ends_meanwhile_is_told() {
    let mut process = Process::start(Command::new("sleep").arg("1000"));
    let mut source = ProcessMemory::open(process.0.id(), Part::All).expect("it is ours");
    process.0.kill().expect("it is ours");
    process.0.wait().expect("it is ours");
    let error = source.next(&mut vec![0; 64 * PAGE]).expect_err("it has ended");
    assert!(error.to_string().contains("it ended while it was read"), "{error}");
}
