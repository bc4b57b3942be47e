//! What was asked of a device, in order: a line of JSON for each read. [`statistics`] says what that comes to.

mod covered;
pub mod statistics;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Read {
    /// Since the server began, in microseconds.
    pub time: u64,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

/// Where reads are written to.
#[derive(Debug)]
pub struct Trace {
    since: Instant,
    out: Mutex<BufWriter<File>>,
}

impl Trace {
    /// A new file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let out = Mutex::new(BufWriter::new(File::create(path)?));
        Ok(Self { since: Instant::now(), out })
    }

    /// Writes down a read. A trace that cannot be written is no reason to stop.
    pub fn note(&self, range: &Range<u64>) {
        let time = self.since.elapsed().as_micros() as u64;
        let read = Read { time, offset: range.start, length: range.end - range.start };
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = serde_json::to_writer(&mut *out, &read);
        let _ = out.write_all(b"\n");
    }

    /// All that was written down is in the file now.
    pub fn flush(&self) {
        let _ = self.out.lock().unwrap_or_else(PoisonError::into_inner).flush();
    }
}

/// The reads of a trace; lines that are none are left out: whoever was killed may not have written the last one to its end.
pub fn reads(path: &Path) -> io::Result<Vec<Read>> {
    reads_of(BufReader::new(File::open(path)?))
}

/// The same of its bytes.
pub fn reads_of(mut input: impl BufRead) -> io::Result<Vec<Read>> {
    /// No line is longer.
    const LONGEST: u64 = 1 << 10;
    /// No trace has more reads.
    const MOST: usize = 1 << 24;
    let mut reads = Vec::new();
    let mut line = Vec::new();
    while reads.len() < MOST {
        line.clear();
        if io::Read::take(&mut input, LONGEST).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        reads.extend(serde_json::from_slice::<Read>(&line).ok());
    }
    Ok(reads)
}
