//! Parts of an address space whose pages may be read (/proc/PID/smaps, proc(5)).

use std::ops::Range;

use statify_process::procfs::parse_maps;

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its addresses.
    pub range: Range<u64>,
    /// Whether it can be written to.
    pub is_writable: bool,
    /// Of devices, whose reading may do something, or kept from everybody (VmFlags `io`, `pf`, `ss`): not memory that is read.
    pub is_special: bool,
    /// Given to KSM (`mg`).
    pub is_mergeable: bool,
}

/// Those of /proc/PID/smaps. Lines of another form are skipped.
pub fn regions(smaps: &[u8]) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    for line in smaps.split(|&byte| byte == b'\n') {
        if let Some(flags) = line.strip_prefix(b"VmFlags:") {
            let Some(region) = regions.last_mut() else { continue };
            for flag in flags.split(|&byte| byte == b' ') {
                region.is_special |= matches!(flag, b"io" | b"pf" | b"ss");
                region.is_mergeable |= flag == b"mg";
            }
        } else if let Some([mapping]) = parse_maps(line).as_deref() {
            regions.push(Region {
                range: mapping.range.clone(),
                is_writable: mapping.prot & libc::PROT_WRITE as u32 != 0,
                // Known without flags, too; vsyscall is at no address that a process can be read at.
                is_special: matches!(
                    &mapping.name[..],
                    b"[vvar]" | b"[vvar_vclock]" | b"[vsyscall]"
                ),
                is_mergeable: false,
            });
        }
    }
    regions
}

/// Those of a guest's memory in the process that emulates or runs it: all that was given to KSM, as QEMU does with it
/// (`mem-merge=on`, its default), or else the largest that can be written to.
pub fn of_guest(regions: Vec<Region>) -> Vec<Region> {
    let len = |region: &Region| region.range.end.saturating_sub(region.range.start);
    if regions.iter().any(|region| region.is_mergeable) {
        return regions.into_iter().filter(|region| region.is_mergeable).collect();
    }
    let writable = regions.into_iter().filter(|region| region.is_writable && !region.is_special);
    writable.max_by_key(len).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &[u8] = b"\
00400000-00401000 r-xp 00000000 fe:00 17 /usr/bin/a b-c
Size:                  4 kB
Private_Hugetlb:       0 kB
VmFlags: rd ex mr mw me
7f0000000000-7f0008000000 rw-p 00000000 00:00 0
Rss:               65536 kB
VmFlags: rd wr mr mw me ac mg
7f1000000000-7f1000001000 rw-s fd000000 00:06 99 /dev/mem
VmFlags: rd wr sh io pf
7ffc00000000-7ffc00004000 r--p 00000000 00:00 0 [vvar]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
VmFlags: ex
";

    #[test]
    fn devices_are_told_from_memory() {
        let regions = regions(SMAPS);
        let seen: Vec<_> =
            regions.iter().map(|r| (r.range.start, r.is_special, r.is_mergeable)).collect();
        assert_eq!(
            seen,
            [
                (0x400000, false, false),
                (0x7f00_0000_0000, false, true),
                (0x7f10_0000_0000, true, false),
                (0x7ffc_0000_0000, true, false),
                (0xffff_ffff_ff60_0000, true, false),
            ]
        );
        let guest = of_guest(regions.clone());
        assert_eq!(guest.len(), 1);
        assert_eq!(guest[0].range.start, 0x7f00_0000_0000);
        let unmergeable: Vec<_> =
            regions.into_iter().map(|r| Region { is_mergeable: false, ..r }).collect();
        assert_eq!(of_guest(unmergeable)[0].range.start, 0x7f00_0000_0000);
    }

    #[test]
    fn nonsense_is_no_region() {
        assert_eq!(regions(b"VmFlags: io\n\xff-\n\nx-y r-xp\n"), []);
    }
}
