//! How much faster two threads are than one at what a scan by frame does, and at its parts, on this machine:
//! `cargo run --release -p pagescan --example two_threads [ROUNDS]`. What is done within a core's own cache tells whether two CPUs
//! are two cores; what goes through memory, what memory lets two of them have. Rounds in which others used a tenth of a CPU or more do
//! not count, since one thread is to be alone with its core; of the others the best is told.

use std::fs;
use std::hint::black_box;
use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use pagescan::hash::Hasher;
use rustix::time::{ClockId, clock_gettime};

const PAGE: usize = 4096;
/// What each thread goes through, so many times in a round: tenths of a second.
const MEMORY: usize = 512 << 20;
const TIMES: usize = 8;
/// So much is copied at a time into the core's own cache, as by a scan.
const PIECE: usize = 64 * PAGE;

/// What a thread does with its memory.
type Work = fn(&[u8], &mut [u8]);

const WORKS: [(&str, Work); 4] = [
    ("a page in the first cache, hashed again and again", |memory, _| {
        for _ in 0..MEMORY / PAGE {
            black_box(Hasher::Xxh3_128.hash(black_box(&memory[..PAGE])));
        }
    }),
    ("memory, hashed", |memory, _| {
        for page in memory.chunks_exact(PAGE) {
            black_box(Hasher::Xxh3_128.hash(page));
        }
    }),
    ("memory, copied by memcpy", |memory, buffer| {
        for piece in memory.chunks_exact(PIECE) {
            buffer.copy_from_slice(piece);
            black_box(&mut *buffer);
        }
    }),
    ("memory, copied by memcpy and hashed", |memory, buffer| {
        for piece in memory.chunks_exact(PIECE) {
            buffer.copy_from_slice(piece);
            for page in buffer.chunks_exact(PAGE) {
                black_box(Hasher::Xxh3_128.hash(page));
            }
        }
    }),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(20), |rounds| rounds.parse())?;
    // Different pages, so that nothing can merge them.
    let mut memory: Vec<Vec<u8>> = (0..2).map(|_| vec![0; MEMORY]).collect();
    for (nth, page) in memory.iter_mut().flat_map(|all| all.chunks_exact_mut(PAGE)).enumerate() {
        page[..8].copy_from_slice(&(nth as u64 + 1).to_le_bytes());
    }
    for (name, work) in WORKS {
        let mut best = [None, None];
        for _ in 0..rounds {
            for (threads, best) in (1..).zip(&mut best) {
                let (speed, others) = round(&memory[..threads], work)?;
                if others < 0.1 {
                    *best = Some(best.map_or(speed, |best: f64| best.max(speed)));
                }
            }
        }
        match best {
            [Some(one), Some(two)] => {
                println!("{name}: {one:.1} GB/s, two threads {two:.1} GB/s: {:.2}x", two / one);
            }
            _ => println!("{name}: others used the machine in each of {rounds} rounds"),
        }
    }
    Ok(())
}

/// Gigabytes a second of as many threads as there are pieces of memory, from when all of them began until the last has ended; and how
/// many CPUs others used meanwhile.
fn round(memory: &[Vec<u8>], work: Work) -> io::Result<(f64, f64)> {
    let begin = Barrier::new(memory.len() + 1);
    let (busy, own) = (busy()?, own());
    let seconds = thread::scope(|scope| {
        let threads = memory.iter().map(|memory| {
            let begin = &begin;
            scope.spawn(move || {
                let mut buffer = vec![0; PIECE];
                begin.wait();
                (0..TIMES).for_each(|_| work(memory, &mut buffer));
            })
        });
        let threads: Vec<_> = threads.collect();
        begin.wait();
        let since = Instant::now();
        // A thread that panics ends the scope with it.
        threads.into_iter().for_each(|thread| drop(thread.join()));
        since.elapsed().as_secs_f64()
    });
    let others = (self::busy()? - busy) - (self::own() - own);
    Ok(((memory.len() * MEMORY * TIMES) as f64 / 1e9 / seconds, others / seconds))
}

/// Seconds that all CPUs together have worked, or that the hypervisor gave to others (proc_stat(5): the first line, in hundredths, less
/// idle and iowait).
fn busy() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let times = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let times: Vec<f64> = times.filter_map(|time| time.parse().ok()).collect();
    Ok((times.iter().sum::<f64>() - times.iter().skip(3).take(2).sum::<f64>()) / 100.0)
}

/// Seconds of CPU that this process has used.
fn own() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
