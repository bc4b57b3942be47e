//! Texts in a module that look like names of libraries, or of directories that have some: what a
//! call may ask for whose name is computed.

use std::collections::BTreeSet;

use goblin::elf::dynamic::{DT_STRSZ, DT_STRTAB};
use statify_elf::{DynamicFacts, ElfFile};

/// More names of one module than this are not kept.
const MOST: usize = 1000;
/// Lengths of names, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=255;

/// The texts of a module but for those of its dynamic section (what it needs is loaded anyway).
pub fn possible(dynamic: &DynamicFacts<'_>) -> BTreeSet<String> {
    let file = dynamic.file();
    let strings = dynamic.value(DT_STRTAB).zip(dynamic.value(DT_STRSZ));
    let mut names = BTreeSet::new();
    for (load, bytes) in file.distinct_loads() {
        let skipped = strings.and_then(|(start, len)| {
            let start = usize::try_from(start.checked_sub(load.p_vaddr)?).ok()?;
            let end = start.checked_add(usize::try_from(len).ok()?)?;
            (end <= bytes.len()).then_some(start..end)
        });
        let (front, back) = match skipped {
            Some(skipped) => (&bytes[..skipped.start], &bytes[skipped.end..]),
            None => (bytes, &bytes[..0]),
        };
        for text in front.split(|&byte| byte == 0).chain(back.split(|&byte| byte == 0)) {
            if names.len() < MOST && LENGTHS.contains(&text.len()) && is_name(text) {
                names.insert(String::from_utf8_lossy(text).into_owned());
            }
        }
    }
    names
}

/// Whether a text looks like the name of a library or of a directory with libraries.
fn is_name(text: &[u8]) -> bool {
    is_library(text) || is_directory(text)
}

fn is_library(text: &[u8]) -> bool {
    let last = text.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let Some(at) = last.windows(3).rposition(|part| part == b".so") else { return false };
    let version = &last[at + 3..];
    let is_version = |byte: &u8| byte.is_ascii_digit() || b".%d".contains(byte);
    let ends_well = version.is_empty() || (version[0] == b'.' && version.iter().all(is_version));
    at > 0 && ends_well && text.iter().all(is_plain)
}

fn is_directory(text: &[u8]) -> bool {
    let mut components = text.split(|&byte| byte == b'/').skip(1);
    let last = text.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    text[0] == b'/'
        && text.iter().all(|byte| is_plain(byte) || *byte == b':')
        && components.next().is_some_and(|first| {
            first.starts_with(b"lib") || matches!(first, b"usr" | b"opt" | b"etc")
        })
        && text.windows(4).any(|part| part == b"/lib")
        && components.next().is_some()
        && !last.is_empty()
        && !last.contains(&b'.')
}

/// Whether a byte is usual in paths.
fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"./_-+%$@{}~".contains(byte)
}

/// Whether a module has this text somewhere.
pub fn mentions(file: &ElfFile<'_>, text: &[u8]) -> bool {
    let segments = file.distinct_loads();
    segments.iter().any(|(_, bytes)| bytes.windows(text.len()).any(|part| part == text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_library() {
        let names = [
            "libfoo.so",
            "libgcc_s.so.1",
            "/usr/lib/x86_64-linux-gnu/sasl2",
            "libnss_%s.so.%d",
            "/opt/app/lib/plugins",
            "pam_unix.so",
            "/usr/lib/sasl2:/usr/lib/x/sasl2",
        ];
        let others = [
            ".so",
            "/etc/ssl/cert.pem",
            "a file.so",
            "x.sock",
            "lib.sorted",
            "/usr/lib/a.conf",
            "/usr/share/x",
        ];
        for name in names {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        for other in others {
            assert!(!is_name(other.as_bytes()), "{other}");
        }
    }
}
