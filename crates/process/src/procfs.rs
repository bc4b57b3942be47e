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

/// A mapping, and what /proc/PID/smaps says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingDetails {
    /// What /proc/PID/maps says, too.
    pub mapping: Mapping,
    /// Its pages in memory, in bytes (Rss).
    pub resident: u64,
    /// The same, each page divided among those who map it (Pss), in bytes.
    pub proportional: u64,
    /// Its pages in swap, in bytes.
    pub swapped: u64,
    /// VmFlags, two letters each, separated by blanks; empty where only /proc/PID/maps was there.
    pub flags: String,
}

impl MappingDetails {
    /// Whether VmFlags have this one (proc_pid_smaps(5)).
    pub fn has(&self, flag: &str) -> bool {
        self.flags.split(' ').any(|other| other == flag)
    }

    /// Whether it is a device's (VmFlags `io`, `pf`): to read it may do something, and it is no memory of the process's own.
    pub fn is_device(&self) -> bool {
        self.has("io") || self.has("pf")
    }
}

/// Parses /proc/PID/smaps, or /proc/PID/maps. `None` if it has another form.
pub fn parse_smaps(text: &[u8]) -> Option<Vec<MappingDetails>> {
    let mut mappings: Vec<MappingDetails> = Vec::new();
    for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        // Names of values begin with capitals, addresses are written small.
        if !line[0].is_ascii_uppercase() {
            let mapping = parse_mapping(line)?;
            let flags = String::new();
            mappings.push(MappingDetails {
                mapping,
                resident: 0,
                proportional: 0,
                swapped: 0,
                flags,
            });
            continue;
        }
        let details = mappings.last_mut()?;
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        let value = value.trim();
        let bytes = || {
            let kib: u64 = value.strip_suffix(" kB")?.parse().ok()?;
            kib.checked_mul(1024)
        };
        match name {
            "Rss" => details.resident = bytes()?,
            "Pss" => details.proportional = bytes()?,
            "Swap" => details.swapped = bytes()?,
            "VmFlags" => details.flags = value.to_owned(),
            _ => {}
        }
    }
    Some(mappings)
}

/// PROT_* bits as /proc/PID/maps shows them: `r-x`.
pub fn prot_name(prot: u32) -> String {
    let letter = |bit, letter| if prot & bit != 0 { letter } else { '-' };
    [letter(PROT_READ, 'r'), letter(PROT_WRITE, 'w'), letter(PROT_EXEC, 'x')].into_iter().collect()
}

fn hex(word: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()
}

/// The size of this kernel's pages, in bytes.
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// What /proc/PID/pagemap says of a page (Documentation/admin-guide/mm/pagemap.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageState(pub u64);

impl PageState {
    /// In memory or in swap: there is something to read.
    pub fn is_there(self) -> bool {
        self.0 >> 62 != 0
    }

    /// In memory.
    pub fn is_present(self) -> bool {
        self.0 >> 63 != 0
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

    #[test]
    fn smaps_lines() {
        let text = b"1000-3000 rw-p 00000000 00:00 0   [heap]\nSize:   8 kB\nRss:   8 kB\nPss:  4 kB\n\
                     Swap:   12 kB\nTHPeligible:    0\nVmFlags: rd wr mg \n4000-5000 r--s 0 00:00 0\n";
        let smaps = parse_smaps(text).unwrap();
        assert_eq!(smaps.len(), 2);
        assert_eq!(
            (smaps[0].resident, smaps[0].proportional, smaps[0].swapped),
            (8192, 4096, 12288)
        );
        assert_eq!(
            (smaps[0].flags.as_str(), &smaps[0].mapping.name[..]),
            ("rd wr mg", &b"[heap]"[..])
        );
        assert!(smaps[0].has("mg") && !smaps[0].has("m") && !smaps[0].is_device());
        assert!(smaps[1].mapping.shared && smaps[1].flags.is_empty());
        let device = parse_smaps(b"1000-2000 rw-s 0 00:06 9 /dev/mem\nVmFlags: rd wr sh io pf\n");
        assert!(device.unwrap()[0].is_device());
        assert_eq!(parse_smaps(b"Rss: 8 kB\n"), None);
    }

    proptest! {
        #[test]
        fn maps_of_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_maps(&bytes);
            let _ = parse_smaps(&bytes);
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
