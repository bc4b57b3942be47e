//! Parsers of /proc files (proc(5)): bytes in, values out. Paths in /proc/PID/maps need not be
//! UTF-8, which is why these are here.

use std::ops::Range;

use statify_elf::{PROT_EXEC, PROT_READ, PROT_WRITE};

/// A line of /proc/PID/maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The addresses.
    pub range: Range<u64>,
    /// PROT_READ | PROT_WRITE | PROT_EXEC as mmap(2) has them.
    pub prot: u32,
    /// MAP_SHARED ("s") rather than private.
    pub shared: bool,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// The file system's device, major and minor number.
    pub device: (u32, u32),
    /// Inode; 0 where no file is mapped.
    pub inode: u64,
    /// The path or the pseudo-path such as `[stack]`; empty for anonymous memory.
    pub name: Vec<u8>,
}

/// Parses /proc/PID/maps. `None` if a line has another form.
pub fn parse_maps(text: &[u8]) -> Option<Vec<Mapping>> {
    text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(parse_mapping).collect()
}

fn parse_mapping(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let start = rest.iter().position(|&b| b != b' ')?;
        let len = rest[start..].iter().position(|&b| b == b' ').unwrap_or(rest.len() - start);
        let word = &rest[start..start + len];
        rest = &rest[start + len..];
        Some(word)
    };
    let addresses = std::str::from_utf8(field()?).ok()?;
    let (start, end) = addresses.split_once('-')?;
    let flags = field()?;
    let offset = hex(field()?)?;
    let device = std::str::from_utf8(field()?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let inode = std::str::from_utf8(field()?).ok()?.parse().ok()?;
    let name = field().map(|first| {
        // The name is everything that is left, blanks included.
        let at = first.as_ptr() as usize - line.as_ptr() as usize;
        line[at..].to_vec()
    });
    let [r, w, x, s] = *flags else { return None };
    let bit = |byte: u8, letter: u8, value: u32| if byte == letter { value } else { 0 };
    Some(Mapping {
        range: u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?,
        prot: bit(r, b'r', PROT_READ) | bit(w, b'w', PROT_WRITE) | bit(x, b'x', PROT_EXEC),
        shared: s == b's',
        offset,
        device: (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?),
        inode,
        name: name.unwrap_or_default(),
    })
}

/// PROT_* bits as /proc/PID/maps shows them: `r-x`.
pub fn prot_name(prot: u32) -> String {
    let letter = |bit, letter| if prot & bit != 0 { letter } else { '-' };
    [letter(PROT_READ, 'r'), letter(PROT_WRITE, 'w'), letter(PROT_EXEC, 'x')].into_iter().collect()
}

fn hex(word: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()
}

/// What /proc/PID/pagemap says of a page (Documentation/admin-guide/mm/pagemap.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageState(pub u64);

impl PageState {
    /// In memory or in swap: there is something to read.
    pub fn is_there(self) -> bool {
        self.0 >> 62 != 0
    }

    /// Still the file's own page, as far as it is in memory.
    pub fn is_file_page(self) -> bool {
        self.0 >> 61 & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn maps_lines() {
        let text = b"7f0e3c5d2000-7f0e3c5d4000 r-xp 00001000 fe:01 1234   /a b/c\xff (deleted)\n\
                     7ffc1000-7ffc2000 rw-s 00000000 00:00 0 \n";
        let maps = parse_maps(text).unwrap();
        assert_eq!(maps[0].range, 0x7f0e3c5d2000..0x7f0e3c5d4000);
        assert_eq!((maps[0].prot, maps[0].offset, maps[0].inode), (5, 0x1000, 1234));
        assert_eq!(maps[0].device, (0xfe, 1));
        assert_eq!(maps[0].name, b"/a b/c\xff (deleted)");
        assert!(maps[1].shared && maps[1].name.is_empty());
        for bad in [
            &b"x"[..],
            b"1-2 rwx 0 0 0",
            b"1-2 r--p zz 00:00 0",
            b"1-2 r--p 0 0 0",
            b"12 r--p 0 0 0",
        ] {
            assert_eq!(parse_maps(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn maps_of_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_maps(&bytes);
        }

        #[test]
        fn maps_lines_come_back(start in 0u64..1 << 47, len in 0u64..1 << 30, offset: u64, inode: u64, name in "[ -~]{0,20}") {
            let line = format!("{start:x}-{:x} r-xp {offset:08x} fe:01 {inode} {name}\n", start + len);
            let maps = parse_maps(line.as_bytes()).unwrap();
            prop_assert_eq!(&maps[0].range, &(start..start + len));
            prop_assert_eq!((maps[0].prot, maps[0].offset, maps[0].inode), (5, offset, inode));
            prop_assert_eq!(&maps[0].name[..], name.trim_start_matches(' ').as_bytes());
        }
    }
}
