//! What assemblers put in front of functions that shall lie at even addresses: older CPUs have no long instructions for
//! nothing, so that it is also a register that gets its own value.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, Register};

/// Whether it consists of whole instructions that do nothing.
pub fn is_padding(code: &[u8]) -> bool {
    Decoder::new(32, code, DecoderOptions::NONE)
        .into_iter()
        .all(|instruction| does_nothing(&instruction))
}

fn does_nothing(instruction: &Instruction) -> bool {
    let to = instruction.op0_register();
    match instruction.mnemonic() {
        Mnemonic::Nop => true,
        Mnemonic::Lea => {
            instruction.memory_base() == to
                && instruction.memory_index() == Register::None
                && instruction.memory_displacement64() == 0
        }
        // With memory on either side there is no second register.
        Mnemonic::Mov | Mnemonic::Xchg => to != Register::None && instruction.op1_register() == to,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_instructions() {
        // lea 0x0(%esi,%eiz,1),%esi; lea 0x0(%esi),%esi; mov %esi,%esi; xchg %ax,%ax; nop
        let forms: [&[u8]; 5] = [
            &[0x8d, 0xb4, 0x26, 0, 0, 0, 0],
            &[0x8d, 0x76, 0],
            &[0x89, 0xf6],
            &[0x66, 0x90],
            &[0x90],
        ];
        assert!(is_padding(&forms.concat()) && is_padding(&[]));
        assert!(!is_padding(&forms[0][..6]));
        // lea 0x1(%esi),%esi; lea 0x0(%edi),%esi; mov %edi,%esi; mov %esi,(%esi); ret
        for code in [&[0x8d, 0x76, 1][..], &[0x8d, 0x77, 0], &[0x89, 0xfe], &[0x89, 0x36], &[0xc3]]
        {
            assert!(!is_padding(code), "{code:x?}");
        }
    }
}
