//! Words of memory, whose size is the machine's ([`crate::machine::Machine::word`]).

/// The number that these bytes are, the least significant one first; those behind the eighth count for nothing.
pub fn little_endian(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// The bits of a word of so many bytes: addresses are counted modulo the number behind it.
pub const fn word_mask(size: u64) -> u64 {
    u64::MAX >> (64 - 8 * size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_size() {
        for (bytes, number) in [(&[][..], 0), (&[1, 2], 0x201), (&[0, 0, 0, 0x80], 0x8000_0000)] {
            assert_eq!(little_endian(bytes), number);
        }
        assert_eq!(little_endian(&[0xff; 9]), u64::MAX);
        assert_eq!([4, 8].map(word_mask), [0xffff_ffff, u64::MAX]);
    }
}
