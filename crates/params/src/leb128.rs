//! ULEB128 numbers (DWARF 5, 7.6): the starter's lists of words to patch. Signed ones have their sign in the lowest bit, so that
//! small ones of either sign are short.

/// Appends a number.
pub fn push(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// The number that `bytes` begin with, and what is behind it; `None` if it does not end, or has more bytes than one
/// of 64 bits. Bits behind the 64th count for nothing, as in the starter.
pub fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let digits = bytes[..end].iter().zip((0..).step_by(7));
    let number = digits.fold(0u64, |sum, (byte, shift)| sum | u64::from(byte & 0x7f) << shift);
    Some((number, &bytes[end..]))
}

/// Appends a number that may be below zero.
pub fn push_signed(bytes: &mut Vec<u8>, number: u64) {
    push(bytes, fold(number));
}

/// How many bytes [`push_signed`] appends.
pub fn signed_len(number: u64) -> usize {
    let bits = 64 - fold(number).leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

/// The same as [`read`], of a number that [`push_signed`] has appended.
pub fn read_signed(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = read(bytes)?;
    Some(((number >> 1) ^ (number & 1).wrapping_neg(), rest))
}

/// The sign in the lowest bit.
fn fold(number: u64) -> u64 {
    number << 1 ^ (number.cast_signed() >> 63).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size() {
        for number in [0, 1, 127, 128, 300, 1 << 31, (1 << 61) - 1, u64::MAX] {
            let mut bytes = Vec::new();
            push(&mut bytes, number);
            assert!(bytes.iter().rev().skip(1).all(|byte| byte & 0x80 != 0));
            bytes.push(9);
            assert_eq!(read(&bytes), Some((number, &[9][..])));
        }
    }

    #[test]
    fn signed_numbers_are_as_long_as_they_say() {
        for number in [0, 1, 63, 64, 1 << 40, 1 << 63, u64::MAX, u64::MAX - 63, u64::MAX - 64] {
            let mut bytes = Vec::new();
            push_signed(&mut bytes, number);
            assert_eq!(bytes.len(), signed_len(number), "{number:#x}");
            assert_eq!(read_signed(&bytes), Some((number, &[][..])));
        }
        assert_eq!([0, u64::MAX, 63, u64::MAX - 63, 64].map(signed_len), [1, 1, 1, 1, 2]);
    }

    #[test]
    fn numbers_end_where_the_bytes_do() {
        assert_eq!(read(&[0x80, 0x80]), None);
        assert_eq!(read(&[0x80; 20]), None);
    }
}
