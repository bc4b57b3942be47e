//! How code enters the kernel: by `int $0x80`, as the loader and code of old do, or by a call of `__kernel_vsyscall`, whose
//! address is a word of the thread's memory (glibc, sysdeps/unix/sysv/linux/i386/sysdep.h, ENTER_KERNEL).

use iced_x86::{Instruction, Mnemonic, Register};

use crate::ElfFile;
use crate::machine::redirect::{self, Branches};
use crate::machine::x86_64::{CALL, Code, Entry, GO, near};

use super::system_calls::SYSINFO;
use super::{BREAKPOINT, numbers};

/// See [`Entry`]. The kind is pushed: the kernel changes no register but the accumulator.
pub const ENTRY: &Entry = &Entry {
    bits: 32,
    enters,
    look_back: 24,
    numbers: |number| numbers::all(number).collect(),
    is_shared: true,
    branches: Branches {
        jump: |at, to| Some(near(GO, at, to, 32)?.to_vec()),
        call: |at, callee, kind| {
            let mut bytes = vec![0x68]; // push kind
            bytes.extend(kind.to_le_bytes());
            bytes.extend(near(CALL, at.wrapping_add(bytes.len() as u64), callee, 32)?);
            bytes.extend([0x8d, 0x64, 0x24, 0x04]); // lea esp, [esp + 4]
            Some(bytes)
        },
        filler: BREAKPOINT[0],
    },
};

/// See [`crate::machine::Machine::code`].
pub fn code<'a>(_: &ElfFile<'_>, bytes: &'a [u8], base: u64) -> Box<dyn redirect::Code + 'a> {
    Box::new(Code::new(ENTRY, bytes, base))
}

fn enters(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Int => instruction.immediate8() == 0x80,
        Mnemonic::Call => {
            instruction.memory_segment() == Register::GS
                && instruction.memory_base() == Register::None
                && instruction.memory_index() == Register::None
                && instruction.memory_displacement64() == SYSINFO
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::i386::system_calls::VSYSCALL;
    use crate::machine::redirect::Code as _;

    use super::*;

    /// As objdump shows it in glibc's loader: the number, where the constants are, six registers, the call.
    const PREAD: &[u8] = &[
        0xb8, 0xb4, 0, 0, 0, // mov $0xb4,%eax
        0xe8, 0x17, 0, 0, 0, // call, to the last line
        0x81, 0xc5, 0x59, 0x1b, 1, 0, // add $0x11b59,%ebp
        0x8b, 0x5c, 0x24, 0x14, // mov 0x14(%esp),%ebx
        0xcd, 0x80, // int $0x80
        0x3d, 0, 0xf0, 0xff, 0xff, // cmp $0xfffff000,%eax
        0x77, 0xfe, 0xc3, 0x90, 0x90, 0x90, // ja; ret
        0x8b, 0x2c, 0x24, 0xc3, // mov (%esp),%ebp; ret
    ];

    #[test]
    fn a_number_is_found_before_the_call_that_tells_where_the_code_is() {
        let mut bytes = PREAD.to_vec();
        let code = Code::new(ENTRY, &bytes, 0x1000);
        assert_eq!(code.calls(&[libc::SYS_pread64]), [0x1016]);
        assert!(code.calls_of_any_number().is_empty());
        let found = code.redirection(0x1016).unwrap();
        assert_eq!((found.start, found.end), (0x1014, 0x101b));
        // Into eax, which is the number.
        bytes[34] = 0x04;
        let code = Code::new(ENTRY, &bytes, 0x1000);
        assert!(code.calls(&[libc::SYS_pread64]).is_empty());
        assert_eq!(code.calls_of_any_number(), [0x1016]);
    }

    #[test]
    fn what_callers_of_any_number_share_is_told_from_what_is_entered_by_its_address() {
        // As glibc's __libc_do_syscall and _dl_sysinfo_int80.
        let shared = [0x8b, 0x7f, 4, 0xcd, 0x80, 0x5d, 0x5f, 0x5b, 0xc3, 0xcd, 0x80, 0xc3];
        let code = Code::new(ENTRY, &shared, 0);
        assert_eq!(code.calls_of_any_number(), [5]);
        assert!(code.calls(&[libc::SYS_mmap]).is_empty());
        let found = code.redirection(5).unwrap();
        assert_eq!((found.start, found.end), (0, 5));
        let trampoline = found.trampoline(0, 0xffff_f000, 0x40, 1).unwrap();
        let expected = [
            &[0x8b, 0x7f, 4, 0x68, 1, 0, 0, 0, 0xe8, 0x33, 0x10, 0, 0, 0x8d, 0x64, 0x24, 4][..],
            &[0xe9, 0xef, 0x0f, 0, 0],
        ];
        assert_eq!(trampoline, expected.concat());
    }

    #[test]
    fn a_number_that_may_be_another_is_not_taken() {
        // mov $5,%eax; jmp behind the next; mov $6,%eax; int $0x80; nop * 5
        let code =
            [0xb8, 5, 0, 0, 0, 0xeb, 5, 0xb8, 6, 0, 0, 0, 0xcd, 0x80, 0x90, 0x90, 0x90, 0x90, 0x90];
        let code = Code::new(ENTRY, &code, 0);
        assert!(code.calls(&[libc::SYS_close]).is_empty());
        assert_eq!(code.calls_of_any_number(), [14]);
    }

    #[test]
    fn a_call_of_the_vdso_gives_way_by_itself() {
        let code = [&[0xb8, 0x27, 1, 0, 0], &VSYSCALL[..], &[0xc3]].concat();
        let code = Code::new(ENTRY, &code, 0);
        assert_eq!(code.calls(&[libc::SYS_openat]), [12]);
        let found = code.redirection(12).unwrap();
        assert_eq!((found.start, found.end), (5, 12));
    }
}
