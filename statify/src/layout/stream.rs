//! ULEB128 numbers: the starter's list of words to patch.

/// Appends a number.
pub fn push(stream: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            stream.push(low);
            return;
        }
        stream.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::push;

    #[test]
    fn numbers_of_any_size() {
        let read = |bytes: &[u8]| {
            bytes.iter().enumerate().fold(0u64, |n, (i, &b)| n | u64::from(b & 0x7f) << (7 * i))
        };
        for number in [0, 1, 127, 128, 300, 1 << 31, (1 << 61) - 1] {
            let mut stream = Vec::new();
            push(&mut stream, number);
            assert_eq!(read(&stream), number);
            assert!(stream.iter().rev().skip(1).all(|byte| byte & 0x80 != 0));
        }
    }
}
