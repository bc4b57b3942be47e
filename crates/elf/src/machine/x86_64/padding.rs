//! What assemblers put in front of functions that shall lie at even addresses. Where it stands behind a function's label
//! for debuggers (`.cfi_startproc`), the function seems to begin with it.

use iced_x86::{Decoder, DecoderOptions, Mnemonic};

/// Whether it consists of whole instructions that do nothing.
pub fn is_padding(code: &[u8]) -> bool {
    let mut instructions = Decoder::new(64, code, DecoderOptions::NONE).into_iter();
    instructions.all(|instruction| instruction.mnemonic() == Mnemonic::Nop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_instructions() {
        // cs nopw 0x0(%rax,%rax,1), once whole and once not; nop; ret
        let long = [0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];
        assert!(is_padding(&long) && is_padding(&[0x90]) && is_padding(&[]));
        assert!(!is_padding(&long[..9]) && !is_padding(&[0x90, 0xc3]));
    }
}
