//! Folders that say what is in them, as Hive has them and engines after it: those that a question is not about are not read.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::snapshot::Header;

/// All that could mean something to a file system, an object store or Hive.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
/// What Hive calls a value that is not there.
const NOTHING: &str = "__HIVE_DEFAULT_PARTITION__";

/// The folder of a snapshot in that of each table: its host, and in that the day (of UTC) on which it was taken.
pub fn folder(header: &Header) -> PathBuf {
    let host = match &header.host[..] {
        "" => NOTHING.to_owned(),
        host => utf8_percent_encode(host, ESCAPED).to_string(),
    };
    // Nanoseconds since 1970 in 64 bits end in 2554: the year has four digits.
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(header.taken));
    let time = time.to_string();
    let day = time.split('T').next().unwrap_or_default();
    [format!("host={host}"), format!("day={day}")].iter().collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use super::*;
    use crate::hash::Algorithm;
    use crate::snapshot::{Means, Scope};

    fn of(host: &str, taken: u64) -> PathBuf {
        folder(&Header {
            taken,
            host: host.into(),
            boot: String::new(),
            kernel: String::new(),
            page_size: 4096,
            memory: 0,
            algorithm: Algorithm::Xxh3_128,
            key_id: None,
            scope: Scope::All,
            means: Means::Frame,
            lacks: Vec::new(),
        })
    }

    #[test]
    fn hosts_and_days_are_folders() {
        assert_eq!(of("web-1.example", 0), Path::new("host=web-1.example/day=1970-01-01"));
        let last_second = 1_764_547_199_999_999_999;
        assert_eq!(of("a", last_second), Path::new("host=a/day=2025-11-30"));
        assert_eq!(of("a", last_second + 1), Path::new("host=a/day=2025-12-01"));
        assert_eq!(of("a", u64::MAX), Path::new("host=a/day=2554-07-21"));
        assert_eq!(of("", 0), Path::new("host=__HIVE_DEFAULT_PARTITION__/day=1970-01-01"));
    }

    #[test]
    fn no_host_leads_elsewhere() {
        for host in ["../../etc", "/etc", "..", ".", "a/b", "a\0b", "a=b", "\u{e9}%2f"] {
            let folder = of(host, 0);
            let plain = folder.components().all(|part| matches!(part, Component::Normal(_)));
            assert!(plain && folder.components().count() == 2, "{folder:?}");
        }
    }
}
