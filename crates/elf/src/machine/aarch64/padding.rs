//! What assemblers put in front of functions that shall lie at even addresses.

use super::plt::NOP;

/// Whether it consists of whole instructions that do nothing.
pub fn is_padding(code: &[u8]) -> bool {
    let words = code.chunks_exact(4);
    let is_whole = words.remainder().is_empty();
    is_whole
        && words
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .all(|word| word == NOP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_instructions() {
        let nop = NOP.to_le_bytes();
        assert!(is_padding(&[nop, nop].concat()) && is_padding(&[]));
        // ret
        assert!(!is_padding(&nop[..3]) && !is_padding(&[0xc0, 0x03, 0x5f, 0xd6]));
    }
}
