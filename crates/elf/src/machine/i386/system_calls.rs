//! The instruction of system calls, and the calls that only this machine has
//! (arch/x86/entry/syscalls/syscall_32.tbl). A program that finds the vDSO calls `__kernel_vsyscall` there,
//! which makes calls as the CPU does it fastest.

/// `int $0x80`.
pub const INSTRUCTION: &[u8] = &[0xcd, 0x80];

/// Where the word of the thread's memory is that holds the address of `__kernel_vsyscall`, from %gs on (glibc,
/// sysdeps/i386/nptl/tls.h, SYSINFO_OFFSET).
pub const SYSINFO: u64 = 0x10;
/// `call *%gs:0x10`.
pub const VSYSCALL: [u8; 7] = [0x65, 0xff, 0x15, SYSINFO as u8, 0, 0, 0];

/// modify_ldt(2).
const MODIFY_LDT: i64 = 123;
/// set_thread_area(2): a descriptor of the GDT, by which the thread finds its memory.
const SET_THREAD_AREA: i64 = 243;
/// get_thread_area(2).
const GET_THREAD_AREA: i64 = 244;
/// arch_prctl(2), as it is for 32-bit programs.
const ARCH_PRCTL: i64 = 384;

/// See [`crate::machine::Machine::own_call_name`].
pub fn own_name(number: i64) -> Option<&'static str> {
    Some(match number {
        MODIFY_LDT => "modify_ldt",
        SET_THREAD_AREA => "set_thread_area",
        GET_THREAD_AREA => "get_thread_area",
        ARCH_PRCTL => "arch_prctl",
        _ => return None,
    })
}

/// See [`crate::machine::Machine::sets_thread_pointer`].
pub fn sets_thread_pointer(number: i64, _args: &[u64]) -> bool {
    number == SET_THREAD_AREA
}

/// See [`crate::machine::Machine::thread_pointer_call`]: the fields of `struct user_desc`
/// (arch/x86/include/uapi/asm/ldt.h), which are the number of an entry, a base, a limit and flags.
pub fn thread_pointer_call(
    args: [u64; 6],
    read: impl FnOnce(u64) -> Option<[u8; 16]>,
) -> Option<[u64; 4]> {
    let bytes = read(args[0])?;
    let fields: &[[u8; 4]; 4] = bytes.as_chunks::<4>().0.first_chunk()?;
    Some(fields.map(|field| u32::from_le_bytes(field).into()))
}

/// See [`crate::machine::Machine::thread_pointer`].
pub fn thread_pointer(args: &[u64; 4]) -> u64 {
    args[1]
}

/// Where the call returns to by which a thread that is in the kernel, to continue at `next`, came to `__kernel_vsyscall`:
/// what follows takes some registers back from the stack and returns. `None` if it came another way. `read` fills with
/// what is at an address.
pub fn caller(next: u64, stack: u64, mut read: impl FnMut(u64, &mut [u8]) -> bool) -> Option<u64> {
    const POP: std::ops::RangeInclusive<u8> = 0x58..=0x5f;
    const RET: u8 = 0xc3;
    let mut code = [0; 4];
    read(next, &mut code).then_some(())?;
    let popped = code.iter().take_while(|&byte| POP.contains(byte)).count();
    code.get(popped).filter(|&&byte| byte == RET)?;
    let mut back = [0; super::WORD as usize];
    read(stack + super::WORD * popped as u64, &mut back).then_some(())?;
    let back = u64::from(u32::from_le_bytes(back));
    let mut call = [0; VSYSCALL.len()];
    (read(back.checked_sub(call.len() as u64)?, &mut call) && call == VSYSCALL).then_some(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_pointer_is_the_base_of_a_descriptor() {
        let fields = [u32::MAX, 0x1840_2f80, 0xf_ffff, 0x51];
        let mut bytes = [0; 16];
        for (to, field) in bytes.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        let call = |args| thread_pointer_call(args, |at| (at == 0xffff_1000).then_some(bytes));
        let told = call([0xffff_1000, 0, 0, 0, 0, 0]);
        assert_eq!(told, Some([0xffff_ffff, 0x1840_2f80, 0xf_ffff, 0x51]));
        assert_eq!(told.map(|args| thread_pointer(&args)), Some(0x1840_2f80));
        assert_eq!(call([0; 6]), None);
    }

    #[test]
    fn the_caller_of_the_vdso_is_found_on_the_stack() {
        let stack = [1u32, 2, 3, 0x1007].map(u32::to_le_bytes);
        let memory = [
            (0xffff_0000, stack.as_flattened()),
            (0xf7f0_0000, &[0x5d, 0x5a, 0x59, 0xc3]),
            (0xf7f1_0000, &[0x5b, 0xc3, 0x90, 0x90]),
            (0x1000, &VSYSCALL),
        ];
        let read = |at: u64, to: &mut [u8]| {
            let holds =
                |(start, bytes): &&(u64, &[u8])| (*start..start + bytes.len() as u64).contains(&at);
            let Some((start, bytes)) = memory.iter().find(holds) else { return false };
            let rest = &bytes[(at - start) as usize..];
            let filled = rest.len() >= to.len();
            to.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            filled
        };
        assert_eq!(caller(0xf7f0_0000, 0xffff_0000, read), Some(0x1007));
        assert_eq!(caller(0xf7f1_0000, 0xffff_0000, read), None);
        assert_eq!(caller(0xf7f1_0000, 0xffff_0008, read), Some(0x1007));
        assert_eq!(caller(0x1000, 0xffff_0000, read), None);
    }
}
