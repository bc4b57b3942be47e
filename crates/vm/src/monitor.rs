//! What is asked over a machine's monitor (QEMU's docs/interop/qmp-spec.txt).

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// What a machine has read from its first disk so far, as QEMU counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// Bytes.
    pub bytes: u64,
    /// In so many requests.
    pub requests: u64,
}

/// Asks the machine whose monitor this is for its reads.
pub fn reads(monitor: &Path) -> Result<Reads> {
    ask(monitor).map_err(Error::Monitor)
}

fn ask(monitor: &Path) -> io::Result<Reads> {
    let stream = UnixStream::connect(monitor)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut to = stream;
    let mut answer = || -> io::Result<Value> {
        loop {
            let line = lines.next().ok_or_else(|| io::Error::other("it says nothing"))??;
            let value: Value = serde_json::from_str(&line)?;
            // Events come at any time.
            if value.get("event").is_none() {
                return Ok(value);
            }
        }
    };
    answer()?;
    to.write_all(b"{\"execute\":\"qmp_capabilities\"}\n")?;
    answer()?;
    to.write_all(b"{\"execute\":\"query-blockstats\"}\n")?;
    read(&answer()?).ok_or_else(|| io::Error::other("it knows no disk"))
}

fn read(answer: &Value) -> Option<Reads> {
    let of = |disk: &Value| {
        let stats = disk.get("stats")?;
        Some(Reads {
            bytes: stats.get("rd_bytes")?.as_u64()?,
            requests: stats.get("rd_operations")?.as_u64()?,
        })
    };
    answer.get("return")?.as_array()?.iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_numbers() {
        let answer =
            serde_json::json!({"return": [{"stats": {"rd_bytes": 7, "rd_operations": 2}}]});
        assert_eq!(read(&answer), Some(Reads { bytes: 7, requests: 2 }));
        assert_eq!(read(&serde_json::json!({"error": {}})), None);
    }
}
