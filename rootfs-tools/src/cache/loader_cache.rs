//! What the loader's cache, /etc/ld.so.cache, says of a library (glibc's dl-cache.h: the format that
//! begins with `glibc-ld.so.cache1.1`, alone or behind the older one).

/// What the newer format begins with.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// What the older one begins with.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
/// Of the newer header, in bytes.
const HEADER: usize = 48;
/// Of the newer format's entries: flags, key, value, version of the system, CPU features.
const ENTRY: usize = 24;
/// Of the older format's entries.
const OLD_ENTRY: usize = 12;

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The library's SONAME.
    pub name: &'a [u8],
    /// Its path.
    pub path: &'a [u8],
    /// The kind of library.
    pub flags: u32,
    /// CPU features that it is for.
    pub features: u64,
}

/// All lines in order; `None` if the bytes are no such cache.
pub fn parse(bytes: &[u8]) -> Option<Vec<Line<'_>>> {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
    };
    let bytes = if bytes.starts_with(OLD_MAGIC) {
        let count = word(bytes, OLD_MAGIC.len())? as usize;
        let end = count.checked_mul(OLD_ENTRY)?.checked_add(OLD_MAGIC.len() + 4)?;
        bytes.get(end.checked_next_multiple_of(8)?..)?
    } else {
        bytes
    };
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let count = word(bytes, MAGIC.len())? as usize;
    let entries = bytes.get(HEADER..)?.get(..count.checked_mul(ENTRY)?)?;
    let text = |at: u32| {
        let rest = bytes.get(at as usize..)?;
        Some(&rest[..rest.iter().position(|&byte| byte == 0)?])
    };
    let line = |entry: &'_ [u8]| {
        let features = entry[16..].first_chunk().map(|word| u64::from_le_bytes(*word))?;
        Some(Line {
            name: text(word(entry, 4)?)?,
            path: text(word(entry, 8)?)?,
            flags: word(entry, 0)?,
            features,
        })
    };
    entries.chunks_exact(ENTRY).map(line).collect()
}

/// For fuzzing: any bytes.
pub fn fuzz(bytes: &[u8]) {
    let _ = parse(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let strings = b"libx.so.1\0/lib/libx.so.1\0";
        let mut bytes = MAGIC.to_vec();
        bytes.extend(1u32.to_le_bytes());
        bytes.extend((strings.len() as u32).to_le_bytes());
        bytes.resize(HEADER, 0);
        for word in [0x303u32, 72, 82, 0, 0, 7] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn a_line() {
        let line =
            Line { name: b"libx.so.1", path: b"/lib/libx.so.1", flags: 0x303, features: 7 << 32 };
        assert_eq!(parse(&sample()), Some(vec![line.clone()]));
        let mut old = OLD_MAGIC.to_vec();
        old.extend(1u32.to_le_bytes());
        old.resize(32, 0);
        old.extend(sample());
        assert_eq!(parse(&old), Some(vec![line]));
    }

    #[test]
    fn this_machine_s_own() {
        let Ok(bytes) = std::fs::read("/etc/ld.so.cache") else {
            return;
        };
        let lines = parse(&bytes).unwrap();
        assert!(lines.iter().any(|line| line.name == b"libc.so.6" && line.path.starts_with(b"/")));
    }

    proptest! {
        #[test]
        fn any_change_is_read_or_refused(at in 0usize..97, byte: u8, len in 0usize..=97) {
            let mut bytes = sample();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(len);
            fuzz(&bytes);
        }
    }
}
