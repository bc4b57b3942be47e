//! The address space that captures of a machine's programs have.

use std::ops::Range;

/// Where a tracer puts what is captured. All numbers are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Where the block of the first capture begins.
    pub base: u64,
    /// By how much that of the second lies higher. Neither is a number that data has for other reasons, and both are
    /// multiples of every alignment that files have.
    pub slide: u64,
    /// In a capture whose groups of modules lie further apart than the first's: how much further, each from the one before
    /// it. A multiple of every alignment, too.
    pub further: u64,
    /// Where addresses begin that are the same in all captures, which the kernel gives to nobody by itself...
    pub fixed_base: u64,
    /// ...for so many bytes of addresses that objects have of their own...
    pub own_addresses: u64,
    /// ...in steps of this.
    pub own_alignment: u64,
    /// Where begins what has no addresses of its own in such a capture: the loader's memory. Behind all that has.
    pub rest: u64,
    /// How far from a block's base, or from that of the rest, files lie that the loader only reads (ld.so.cache): behind all
    /// libraries.
    pub scratch: u64,
    /// No mapping of a loader's is larger.
    pub most_mapped: u64,
    /// What brk(2) answers in the first capture and in the second: above all modules.
    pub program_breaks: [u64; 2],
}

/// Of 47 bits: programs and libraries of any size and number fit. Multiples of 1 GiB.
pub const WIDE: Space = Space {
    base: 0x1353_4000_0000,
    slide: 2711 << 30,
    further: 1 << 30,
    fixed_base: 0x1000_0000_0000,
    own_addresses: 1 << 40,
    own_alignment: 2 << 20,
    rest: 0x1100_0000_0000,
    scratch: 8 << 40,
    most_mapped: 1 << 44,
    program_breaks: [0x5c41_93d2_7000, 0x56ea_0f8b_5000],
};

/// Of 39 bits, as kernels for small boards have them (arch/arm64/Kconfig, ARM64_VA_BITS_39): below what such a kernel maps
/// from its lowest place on, a third of them. Multiples of 64 MiB.
pub const MIDDLE: Space = Space {
    base: 0x11_4c00_0000,
    slide: 0xc_d400_0000,
    further: 64 << 20,
    fixed_base: 0x8_0000_0000,
    own_addresses: 16 << 30,
    own_alignment: 2 << 20,
    rest: 0xc_0000_0000,
    scratch: 48 << 30,
    most_mapped: 1 << 35,
    program_breaks: [0x5c_93d2_7000, 0x56_0f8b_5000],
};

/// Of 32 bits, on a kernel of 64, which has them all but for a page or two. Below are programs that are not
/// position-independent, above what the kernel maps. Multiples of 4 MiB.
pub const NARROW: Space = Space {
    base: 0x1840_0000,
    slide: 0x2940_0000,
    further: 4 << 20,
    fixed_base: 0x1800_0000,
    own_addresses: 1 << 30,
    own_alignment: 1 << 20,
    rest: 0x5800_0000,
    scratch: 0x7000_0000,
    most_mapped: 1 << 30,
    program_breaks: [0xd3d2_7000, 0xc6f8_b000],
};

/// Room for the files that a loader only reads.
const READ: u64 = 64 << 20;
/// Numbers of every space are multiples of this.
const STEP: u64 = 4 << 20;
/// Less is no room for a loader, a C library and some more.
const LEAST: u64 = 64 << 20;

impl Space {
    /// The same in a process whose program lies at these addresses and cannot be moved: what captures take lies on the side of
    /// it that has more room, all of it, so that the distances between modules are the same wherever it is. `None` if there is no
    /// room on either.
    pub fn beside(&self, program: &Range<u64>) -> Option<Self> {
        let mut space = *self;
        let meets = |range: &Range<u64>| program.start < range.end && range.start < program.end;
        let moving = self.base..self.base + self.slide + self.scratch + READ;
        if meets(&moving) {
            let (start, len) = larger_part(&moving, program)?;
            space.base = start;
            space.slide = (len / 4).next_multiple_of(STEP);
            space.scratch = len - space.slide;
        }
        let rest = self.rest..self.rest + self.scratch + READ;
        if meets(&rest) {
            let (start, len) = larger_part(&rest, program)?;
            space.rest = start;
            space.scratch = space.scratch.min(len);
        }
        Some(space)
    }
}

/// Where the larger part of a range without the program begins, and how much room it has but for what is read.
fn larger_part(range: &Range<u64>, program: &Range<u64>) -> Option<(u64, u64)> {
    let before = range.start..program.start;
    let behind = program.end.next_multiple_of(STEP)..range.end;
    let len = |part: &Range<u64>| part.end.saturating_sub(part.start);
    let part = if len(&before) > len(&behind) { before } else { behind };
    let room = len(&part).checked_sub(READ)? / STEP * STEP;
    (room >= LEAST).then_some((part.start, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_not_in_the_way() {
        for space in [&WIDE, &MIDDLE, &NARROW] {
            assert_eq!(space.beside(&(0x40_0000..0x60_0000)).as_ref(), Some(space));
            let all = [space.base, space.base + space.slide, space.rest];
            let ends = all.map(|start| start + space.scratch);
            for start in all.into_iter().chain(ends).flat_map(|at| [at - 0x1000, at, at + STEP]) {
                let program = start..start + (20 << 20);
                let beside = space.beside(&program).expect("there is room");
                for start in [beside.base, beside.base + beside.slide, beside.rest] {
                    let end = start + beside.scratch + READ;
                    assert!(
                        end <= program.start || program.end <= start,
                        "{beside:x?} {program:x?}"
                    );
                    assert!(start.is_multiple_of(STEP) && beside.scratch >= 4 * LEAST);
                }
                assert!(beside.slide >= LEAST && beside.slide.is_multiple_of(STEP));
            }
        }
        // With holes between its segments a program may reach over most of the addresses.
        let beside = NARROW.beside(&(0x20_0000..0xa800_0000)).expect("there is room");
        assert!(beside.base == 0xa800_0000 && beside.scratch > LEAST / 2);
        assert_eq!(NARROW.beside(&(0x20_0000..0xb000_0000)), None);
    }

    #[test]
    fn blocks_fit() {
        // From a third of its addresses on, a kernel maps libraries where stacks are not limited.
        let middle = (1u64 << 39) / 3;
        for (space, limit, blocks) in [
            (&WIDE, 1u64 << 47, 1 << 47),
            (&MIDDLE, 1 << 39, middle),
            (&NARROW, 0xe000_0000, 0xe000_0000),
        ] {
            let highest = space.base + space.slide;
            assert_eq!(space.rest, space.fixed_base + space.own_addresses);
            assert!(highest.max(space.rest) + space.scratch < blocks);
            assert!(space.program_breaks.iter().all(|at| *at < limit));
            let aligned = [space.base, space.slide, space.fixed_base, space.rest];
            assert!(aligned.iter().all(|number| number.is_multiple_of(4 << 20)), "{space:x?}");
            assert!(space.further.is_multiple_of(4 << 20));
        }
    }
}
