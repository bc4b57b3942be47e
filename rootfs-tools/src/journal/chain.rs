//! The text of a journal.
//!
//! A text file. The first line says the version; every other one is 32 hexadecimal digits, a blank
//! and a record in JSON. The digits are the first half of the SHA-256 of the previous line's hash
//! (the first line's own is the SHA-256 of the line) and the JSON, so that a line that is changed,
//! missing or in another place is found. What a crash leaves half-written at the end is left out.

use sha2::{Digest, Sha256};
use statify_format::manifest::hex;

use super::record::Record;

/// Of the format. The first one had no numbers of runs, and nothing outside of the tree that vouched for it.
pub(crate) const VERSION: u64 = 2;
/// What the first line begins with.
const TITLE: &str = "rootfs-tools journal ";
/// A journal has fewer lines: those of a tree of half a million programs.
const MOST_LINES: usize = 1 << 20;
/// Of a line's checksum, in digits.
const DIGITS: usize = 32;

/// What a journal's bytes say.
#[derive(Debug)]
pub struct Parsed {
    /// In order.
    pub records: Vec<Record>,
    /// How many bytes hold them; behind is what a crash left.
    pub len: usize,
    /// The hash that the next line goes on from.
    pub(crate) chain: [u8; 32],
}

/// Why bytes are no journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// This line, from 1 on, is not as it was written.
    Line(usize),
    /// Another version.
    Version(u64),
}

pub(crate) fn first_line() -> String {
    format!("{TITLE}{VERSION}\n")
}

fn link(chain: &[u8; 32], json: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(chain).chain_update(json).finalize().into()
}

/// Reads a journal.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Damage> {
    let first = first_line();
    let chain: [u8; 32] = Sha256::digest(first.as_bytes()).into();
    if !bytes.starts_with(first.as_bytes()) {
        let zeros = bytes.iter().all(|&byte| byte == 0);
        if zeros || first.as_bytes().starts_with(bytes) {
            return Ok(Parsed { records: Vec::new(), len: 0, chain });
        }
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let version = line.strip_prefix(TITLE.as_bytes());
        let version = version.and_then(|version| std::str::from_utf8(version).ok()?.parse().ok());
        return Err(version.map_or(Damage::Line(1), Damage::Version));
    }
    let mut parsed = Parsed { records: Vec::new(), len: first.len(), chain };
    let mut rest = &bytes[first.len()..];
    while !rest.is_empty() && !is_torn(rest) {
        let damage = Damage::Line(parsed.records.len() + 2);
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or(damage)?;
        let (sum, json) = rest[..end].split_at_checked(DIGITS + 1).ok_or(damage)?;
        let chain = link(&parsed.chain, json);
        if sum[DIGITS] != b' ' || sum[..DIGITS] != *hex(&chain[..DIGITS / 2]).as_bytes() {
            return Err(damage);
        }
        let record: Record = serde_json::from_slice(json).map_err(|_| damage)?;
        if !record.makes_sense() || parsed.records.len() == MOST_LINES {
            return Err(damage);
        }
        parsed.records.push(record);
        parsed.chain = chain;
        parsed.len += end + 1;
        rest = &rest[end + 1..];
    }
    Ok(parsed)
}

/// Whether a crash can have left this behind the last line: a beginning, or blocks not yet written.
fn is_torn(rest: &[u8]) -> bool {
    !rest.contains(&b'\n') || rest.iter().all(|&byte| byte == 0)
}

/// The line of a record, and the hash that the next one goes on from. `chain` is the hash that this one goes
/// on from.
pub(crate) fn line(chain: &[u8; 32], record: &Record) -> (Vec<u8>, [u8; 32]) {
    let json = serde_json::to_vec(record).expect("strings and numbers only");
    let chain = link(chain, &json);
    let mut line = hex(&chain[..DIGITS / 2]).into_bytes();
    line.push(b' ');
    line.extend(json);
    line.push(b'\n');
    (line, chain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(count: u64) -> (Vec<Record>, Vec<u8>) {
        let records: Vec<_> = (0..count).map(|id| Record::Replaced { id }).collect();
        let mut bytes = first_line().into_bytes();
        let mut chain: [u8; 32] = Sha256::digest(&bytes).into();
        for record in &records {
            let (line, next) = line(&chain, record);
            bytes.extend(line);
            chain = next;
        }
        (records, bytes)
    }

    #[test]
    fn what_was_written_is_read() {
        let (records, bytes) = sample(5);
        let parsed = parse(&bytes).unwrap();
        assert_eq!((parsed.records, parsed.len), (records, bytes.len()));
    }

    #[test]
    fn a_crash_takes_the_last_records_at_most() {
        let (records, bytes) = sample(5);
        for len in 0..bytes.len() {
            let parsed = parse(&bytes[..len]).unwrap();
            assert_eq!(parsed.records, records[..parsed.records.len()]);
            assert!(parsed.len <= len);
            let mut zeros = bytes[..parsed.len].to_vec();
            zeros.resize(bytes.len(), 0);
            assert_eq!(parse(&zeros).unwrap().records.len(), parsed.records.len());
        }
    }

    #[test]
    fn what_makes_no_sense_is_damage() {
        let (_, good) = sample(0);
        let begin = r#"{"record":"begin","id":"ID","version":"","fixed":false,"align":1,"preserve_privileges":false,"tree":"/t","source":null,"backup":"/b","image":{"files":0,"apparent":0,"allocated":0}}"#;
        let begin = begin.replace("ID", &"0a".repeat(16));
        let replace = r#"{"record":"replace","id":1,"names":["/a"],"original":{"size":1,"allocated":1,"sha256":"00"},"converted":{"size":1,"allocated":1,"build_id":"00","shared":0,"cached":false,"files":[]},"kept":"a"}"#;
        let with = |json: &str| {
            let chain: [u8; 32] = Sha256::digest(first_line()).into();
            let sum = hex(&link(&chain, json.as_bytes())[..DIGITS / 2]);
            [&good[..], format!("{sum} {json}\n").as_bytes()].concat()
        };
        assert!(parse(&with(&begin)).is_ok() && parse(&with(replace)).is_ok());
        for (old, new) in [
            ("\"0a0a", "\"../a"),
            ("\"/t\"", "\"t\""),
            ("\"/b\"", "\"/../b\""),
            ("\"align\":1", "\"align\":-1"),
        ] {
            assert!(begin.contains(old), "{old}");
            let bad = with(&begin.replace(old, new));
            assert_eq!(parse(&bad).unwrap_err(), Damage::Line(2), "{new}");
        }
        for (old, new) in [
            ("[\"/a\"]", "[]"),
            ("[\"/a\"]", "[\"\"]"),
            ("[\"/a\"]", "[\"/\"]"),
            ("[\"/a\"]", "[\"a\"]"),
            ("[\"/a\"]", "[\"/a/../../b\"]"),
            ("[\"/a\"]", r#"["/a\\x00b"]"#),
            ("\"id\":1", "\"id\":18446744073709551615"),
            ("\"kept\":\"a\"", "\"kept\":\"../a\""),
            ("\"kept\":\"a\"", "\"kept\":\"\""),
        ] {
            assert!(replace.contains(old), "{old}");
            let bad = with(&replace.replace(old, new));
            assert_eq!(parse(&bad).unwrap_err(), Damage::Line(2), "{new}");
        }
        let hash = "0a".repeat(32);
        for (record, good) in [
            (r#"{"record":"pool","path":"/a","made":["/a"]}"#.to_owned(), true),
            (r#"{"record":"pool","path":"/a","made":["/../a"]}"#.to_owned(), false),
            (r#"{"record":"pool","path":"/","made":[]}"#.to_owned(), false),
            (format!(r#"{{"record":"pooled","path":"/a/{hash}","size":1}}"#), true),
            (format!(r#"{{"record":"pooled","path":"/../{hash}","size":1}}"#), false),
            (r#"{"record":"pooled","path":"/etc/passwd","size":1}"#.to_owned(), false),
        ] {
            assert_eq!(parse(&with(&record)).is_ok(), good, "{record}");
        }
    }

    #[test]
    fn another_version_is_said_to_be_one() {
        assert_eq!(parse(b"rootfs-tools journal 7\nxyz\n").unwrap_err(), Damage::Version(7));
        assert_eq!(parse(b"something\nelse\n").unwrap_err(), Damage::Line(1));
    }

    proptest! {
        #[test]
        fn a_change_within_is_found(at in 0usize..1000, flip in 1u8..=255) {
            let (_, mut bytes) = sample(4);
            // The last newline alone may be missing.
            let at = at % (bytes.len() - 1);
            bytes[at] ^= flip;
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), whole in any::<bool>()) {
            let mut input = if whole { sample(1).1 } else { Vec::new() };
            input.extend(bytes);
            let _ = parse(&input);
        }
    }
}
