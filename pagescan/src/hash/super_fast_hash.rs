//! Paul Hsieh's SuperFastHash (http://www.azillionmonkeys.com/qed/hash.html), which the paper had from there. It begins with
//! the length. Each four bytes, taken as two numbers of 16 bits, are mixed in; then one to three that are left, of which the
//! last has a sign; at last the bits are spread.

/// The hash; 0 of nothing. Lengths count modulo 2^32.
pub fn super_fast_hash(bytes: &[u8]) -> u32 {
    if bytes.is_empty() {
        return 0;
    }
    let half = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]));
    let signed = |byte: u8| i32::from(byte as i8) as u32;
    let mut hash = bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for &[a, b, c, d] in words {
        hash = hash.wrapping_add(half(a, b));
        hash = (hash << 16) ^ ((half(c, d) << 11) ^ hash);
        hash = hash.wrapping_add(hash >> 11);
    }
    match *rest {
        [a, b, c] => {
            hash = hash.wrapping_add(half(a, b));
            hash ^= hash << 16;
            hash ^= signed(c) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        [a, b] => {
            hash = hash.wrapping_add(half(a, b));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        [a] => {
            hash = hash.wrapping_add(signed(a));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the bytes 0, 1, 2 and so on: the values that Yandex' library has in its test (library/cpp/digest/sfh).
    #[test]
    fn known_values() {
        let bytes: Vec<u8> = (0..=255).collect();
        let known = [(256, 3840866583), (255, 325350515), (254, 2920741773), (253, 3586628615)];
        for (len, hash) in known {
            assert_eq!(super_fast_hash(&bytes[..len]), hash, "{len} bytes");
        }
        assert_eq!(super_fast_hash(b""), 0);
    }
}
