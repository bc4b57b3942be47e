//! What crosses the border of the emulated machine: the plan goes in as a file, results come out
//! over a serial line, one JSON value a line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the plan lies in the machine.
pub const PLAN: &str = "/plan.json";
/// The serial line that results go to; the first is the console.
pub const RESULTS: &str = "/dev/ttyS1";

/// What process 1 is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The runs that there are.
    pub jobs: Vec<Job>,
    /// Which of them are made, and under what circumstances.
    pub rounds: Vec<Round>,
}

/// Jobs run under the same circumstances.
#[derive(Debug, Serialize, Deserialize)]
pub struct Round {
    /// Its name.
    pub name: String,
    /// Names below /proc/sys, and the values that they get.
    pub sysctls: Vec<(String, String)>,
    /// The stack limit in bytes, if not as it is.
    pub stack: Option<u64>,
    /// Places in [`Plan::jobs`].
    pub jobs: Vec<usize>,
}

/// One run of one program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Its path, and argv\[0\].
    pub program: PathBuf,
    /// What follows.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Its working directory. `tmp` in it is emptied before.
    pub directory: PathBuf,
    /// Standard input.
    pub stdin: String,
}

/// One line of the results.
#[derive(Debug, Serialize, Deserialize)]
pub enum Line {
    /// The first.
    Facts(Facts),
    /// A run has ended.
    Ran {
        /// The round, by its place.
        round: usize,
        /// The job, by its place.
        job: usize,
        /// `exit N`, `signal N` or `time`.
        end: String,
        /// Standard output, in hexadecimal digits.
        stdout: String,
        /// Standard error, likewise.
        stderr: String,
    },
    /// Something went wrong in process 1 itself.
    Trouble(String),
    /// The last.
    Done,
}

/// What process 1 found the machine to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// uname -r.
    pub release: String,
    /// AT_SYSINFO_EHDR is there.
    pub vdso: bool,
    /// The vsyscall page is there.
    pub vsyscall: bool,
    /// Addresses of more than 47 bits can be had.
    pub five_levels: bool,
    /// The processor's AVX2 can be used.
    pub avx2: bool,
}

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// And back; `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        assert_eq!(from_hex("0g"), None);
    }
}
