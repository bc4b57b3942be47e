//! The address space that captures of a machine's programs have.

/// Where a tracer puts what is captured. All numbers are in bytes.
#[derive(Debug)]
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
    /// How far from a block's base files lie that the loader only reads (ld.so.cache): behind all libraries.
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
    scratch: 0x7000_0000,
    most_mapped: 1 << 30,
    program_breaks: [0xd3d2_7000, 0xc6f8_b000],
};

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(highest.max(space.fixed_base + space.own_addresses) + space.scratch < blocks);
            assert!(space.program_breaks.iter().all(|at| *at < limit));
            let aligned = [space.base, space.slide, space.fixed_base];
            assert!(aligned.iter().all(|number| number.is_multiple_of(4 << 20)), "{space:x?}");
            assert!(space.further.is_multiple_of(4 << 20));
        }
    }
}
