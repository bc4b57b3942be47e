//! Which mapping of a process is a machine's memory.

use statify_process::procfs::MappingDetails;

/// Less than any machine has as memory, in bytes.
const LEAST: u64 = 4 << 20;

/// The mappings that are a machine's memory: those that are as large as it is, if that is known; otherwise the largest that
/// KSM may merge, since those who run machines allow that for their memory; otherwise the largest that can be written to. None is
/// a device's.
pub fn memory(mappings: Vec<MappingDetails>, size: Option<u64>) -> Option<Vec<MappingDetails>> {
    let len = |details: &MappingDetails| details.mapping.range.end - details.mapping.range.start;
    let is_writable = |details: &MappingDetails| {
        details.mapping.prot & statify_elf::PROT_WRITE != 0
            && len(details) >= LEAST
            && !details.is_device()
    };
    let is_mergeable = |details: &MappingDetails| details.has("mg");
    let largest = |is_it: &dyn Fn(&MappingDetails) -> bool| {
        let all = mappings.iter().filter(|details| is_writable(details) && is_it(details));
        all.map(len).max()
    };
    let (size, only_mergeable) = match size {
        Some(size) => (size, false),
        None => match largest(&is_mergeable) {
            Some(size) => (size, true),
            None => (largest(&|_| true)?, false),
        },
    };
    let is_it = |details: &MappingDetails| {
        is_writable(details) && len(details) == size && (!only_mergeable || is_mergeable(details))
    };
    let found: Vec<_> = mappings.into_iter().filter(is_it).collect();
    if found.is_empty() { None } else { Some(found) }
}

#[cfg(test)]
mod tests {
    use statify_process::procfs;

    use super::*;

    fn found(size: Option<u64>) -> Vec<u64> {
        let smaps = b"10000000-20000000 rw-p 0 00:00 0 \nVmFlags: rd wr mg\n\
            20000000-28000000 rw-p 0 00:00 0 \nVmFlags: rd wr mg\n\
            30000000-50000000 rwxp 0 00:00 0 \nVmFlags: rd wr ex\n\
            60000000-80000000 rw-s 0 00:06 9 /dev/mem\nVmFlags: rd wr sh io pf\n\
            50000000-90000000 r--p 0 00:00 0 \nVmFlags: rd\n";
        let mappings = memory(procfs::parse_smaps(smaps).unwrap(), size).unwrap_or_default();
        mappings.iter().map(|details| details.mapping.range.start).collect()
    }

    #[test]
    fn a_machines_memory_is_found() {
        assert_eq!(found(None), [0x1000_0000]);
        assert_eq!(found(Some(0x800_0000)), [0x2000_0000]);
        assert_eq!(found(Some(0x2000_0000)), [0x3000_0000]);
        assert_eq!(found(Some(0x1000)), [0u64; 0]);
    }
}
