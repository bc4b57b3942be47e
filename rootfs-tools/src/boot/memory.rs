//! What an emulated machine takes of this one's memory (proc_pid_smaps(5)).

use std::fs;
use std::io;

use serde::Serialize;

/// In bytes, but for pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Of the whole process, what is in memory.
    pub resident: u64,
    /// The same, each page divided among those who share it.
    pub proportional: u64,
    /// Of the guest's memory, what is in memory.
    pub guest_resident: u64,
    /// The same, each page divided among those who share it, merged ones as well: what it costs.
    pub guest_proportional: u64,
    /// Pages of the process that are merged, with itself or others.
    pub merged_pages: u64,
}

/// That of a process that emulates a machine with so many bytes of memory.
pub fn of(pid: u32, guest: u64) -> io::Result<Memory> {
    let text = fs::read(format!("/proc/{pid}/smaps"))?;
    let mut memory = parse(&String::from_utf8_lossy(&text), guest);
    memory.merged_pages = merged_pages(pid);
    Ok(memory)
}

/// Pages of a process that are merged; none where the kernel does not say.
pub fn merged_pages(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/ksm_merging_pages"));
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// A mapping, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Mapping {
    size: u64,
    resident: u64,
    proportional: u64,
}

/// The guest's memory is the mapping that is as large; where there is none, the largest.
fn parse(text: &str, guest: u64) -> Memory {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        if !name.ends_with(':') {
            mappings.push(Mapping::default());
            continue;
        }
        let (Some(mapping), Ok(kib)) = (mappings.last_mut(), value.parse::<u64>()) else {
            continue;
        };
        let bytes = kib.saturating_mul(1024);
        match name {
            "Size:" => mapping.size = bytes,
            "Rss:" => mapping.resident = bytes,
            "Pss:" => mapping.proportional = bytes,
            _ => {}
        }
    }
    let of_guest = mappings.iter().find(|mapping| mapping.size == guest);
    let of_guest = of_guest.or(mappings.iter().max_by_key(|mapping| mapping.size));
    let of_guest = of_guest.copied().unwrap_or_default();
    Memory {
        resident: mappings.iter().map(|mapping| mapping.resident).sum(),
        proportional: mappings.iter().map(|mapping| mapping.proportional).sum(),
        guest_resident: of_guest.resident,
        guest_proportional: of_guest.proportional,
        merged_pages: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
7f0000000000-7f0040000000 rw-p 00000000 00:00 0
Size:            1048576 kB
KernelPageSize:        4 kB
Rss:              300000 kB
Pss:              200000 kB
Pss_Dirty:        200000 kB
VmFlags: rd wr mr mw me ac mg
7f0050000000-7f00a0000000 rw-p 00000000 00:00 0          [anon: tcg]
Size:            1310720 kB
Rss:               50000 kB
Pss:               50000 kB
";

    #[test]
    fn the_guests_memory_is_found() {
        let memory = parse(SMAPS, 1 << 30);
        assert_eq!((memory.resident, memory.proportional), (350_000 << 10, 250_000 << 10));
        assert_eq!(
            (memory.guest_resident, memory.guest_proportional),
            (300_000 << 10, 200_000 << 10)
        );
        assert_eq!(parse(SMAPS, 1).guest_resident, 50_000 << 10);
        assert_eq!(parse("nonsense\nRss: 5 kB\n", 1), Memory::default());
    }

    #[test]
    fn of_this_process() {
        let memory = of(std::process::id(), 1).unwrap();
        assert!(memory.resident > 100_000 && memory.proportional <= memory.resident, "{memory:?}");
    }
}
