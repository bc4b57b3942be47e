//! Where memory is (/proc/iomem).

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use super::lack::Lack;

/// Frame numbers of what is memory, ascending: "System RAM" of /proc/iomem. What else has frames, such as devices, is not to
/// be read.
pub fn of_machine() -> Result<Vec<Range<u64>>, Lack> {
    const FILE: &str = "/proc/iomem";
    let text = fs::read_to_string(FILE).map_err(|error| Lack::File(PathBuf::from(FILE), error))?;
    let ranges = parse(&text, rustix::param::page_size() as u64);
    // Who may not know sees zeros.
    if ranges.is_empty() { Err(Lack::Ranges) } else { Ok(ranges) }
}

/// Whether a frame number is in one of ranges that ascend.
pub fn contain(ranges: &[Range<u64>], number: u64) -> bool {
    let behind = ranges.partition_point(|range| range.start <= number);
    behind.checked_sub(1).is_some_and(|last| ranges[last].contains(&number))
}

fn parse(text: &str, page_size: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<_> = text.lines().filter_map(|line| line_of(line, page_size)).collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// `100000-bfffffff : System RAM`, with leading blanks for a part of what is above.
fn line_of(line: &str, page_size: u64) -> Option<Range<u64>> {
    let (range, name) = line.trim().split_once(" : ")?;
    // Memory that is added by drivers is "System RAM (kmem)" and the like.
    if !name.starts_with("System RAM") {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    let first = u64::from_str_radix(first, 16).ok()?;
    let end = u64::from_str_radix(last, 16).ok()?.checked_add(1)?;
    // Whole frames only.
    let range = first.div_ceil(page_size)..end / page_size;
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_from_devices() {
        let text = "\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-000fffff : Reserved
100000000-63fffffff : System RAM
  100000000-100ffffff : Kernel code
00100000-bfffffff : System RAM
4000000000-7fffffffff : PCI Bus 0000:00
a00000000-bffffffff : Persistent Memory
  a00000000-bffffffff : System RAM (kmem)
ffffffffffffffff-ffffffffffffffff : System RAM
nonsense : System RAM
";
        assert_eq!(
            parse(text, 4096),
            [1..0x9f, 0x100..0xc0000, 0x100000..0x640000, 0xa00000..0xc00000]
        );
    }

    #[test]
    fn who_may_not_know_sees_nothing() {
        assert!(parse("00000000-00000000 : System RAM\n", 4096).is_empty());
    }

    #[test]
    fn only_what_is_within_is_contained() {
        let ranges = [1..0x9f, 0x100..0x200, 0x1000..0x1001];
        let inside = [1, 0x9e, 0x100, 0x1ff, 0x1000];
        let outside = [0, 0x9f, 0xff, 0x200, 0xfff, 0x1001, u64::MAX];
        assert!(inside.iter().all(|&number| contain(&ranges, number)));
        assert!(!outside.iter().any(|&number| contain(&ranges, number)));
        assert!(!contain(&[], 0));
    }
}
