//! The registers of a traced process (ptrace(2), PTRACE_GETREGS), by what they are for: in system calls
//! (syscall(2)) and in calls of functions (x86-64 psABI, 3.2). The kernel gives those of a thread that executes code of
//! 32 bits by the same names; what they are for is then as i386 has it (its psABI, 2.2), and the numbers of system calls
//! are those of the calls of 64 bits that do the same.

use libc::user_regs_struct;

use super::cpu::Cpu;
use crate::machine::i386::{numbers, system_calls};

/// The kind by which ptrace(2) knows the number of the system call about to be made: it is a general register.
pub const CALL_NUMBER: Option<usize> = None;
/// The kind by which ptrace(2) knows the register that leads to a thread's memory: a system call tells it.
pub const THREAD_POINTER: Option<usize> = None;

/// Bytes below the stack pointer that a leaf function may use (psABI, 3.2.2), and more.
const RED_ZONE: u64 = 4096;
/// The segments of code of 64 bits and of 32 (Linux, asm/segment.h: __USER_CS, __USER32_CS).
const USER_CODE: u64 = 0x33;
const USER_CODE_32: u64 = 0x23;

/// The general registers of a stopped thread.
#[derive(Clone, Copy, Debug)]
pub struct Registers(pub(super) user_regs_struct);

impl From<user_regs_struct> for Registers {
    fn from(registers: user_regs_struct) -> Self {
        Self(registers)
    }
}

impl From<Registers> for user_regs_struct {
    fn from(registers: Registers) -> Self {
        registers.0
    }
}

impl Registers {
    /// The address of the instruction that is next.
    pub fn instruction_pointer(&self) -> u64 {
        self.0.rip
    }

    /// Whether the thread executes code of this machine, rather than of its forerunner of 32 bits.
    pub fn is_native(&self) -> bool {
        self.0.cs == USER_CODE
    }

    /// Whether it executes code of 32 bits.
    fn is_narrow(&self) -> bool {
        self.0.cs == USER_CODE_32
    }

    /// Continues at another instruction.
    pub fn go_to(&mut self, address: u64) {
        self.0.rip = address;
    }

    /// The address of the breakpoint, if that is what has just stopped the thread.
    pub fn breakpoint(&self) -> u64 {
        self.0.rip.wrapping_sub(1)
    }

    /// The address of the word that was pushed last.
    pub fn stack_pointer(&self) -> u64 {
        self.0.rsp
    }

    /// Where the call returns to that was the last instruction, at `before`, and the stack pointer that it has then; `None`
    /// if that was none. `stack` was the stack pointer before it, `read` reads a word of memory.
    pub fn called(
        &self,
        before: u64,
        stack: u64,
        read: impl FnOnce(u64) -> Option<u64>,
    ) -> Option<(u64, u64)> {
        if self.0.rsp != stack.wrapping_sub(self.word()) {
            return None;
        }
        // `call` has two to seven bytes, prefixes apart.
        let back = read(self.0.rsp)?;
        let is_call = (before.saturating_add(2)..=before.saturating_add(7)).contains(&back);
        is_call.then_some((back, stack))
    }

    /// The number of the system call that is to be made instead: it is a register here.
    pub fn other_call(&self) -> Option<i32> {
        None
    }

    /// The size of an address, in bytes.
    fn word(&self) -> u64 {
        if self.is_narrow() { crate::machine::i386::WORD } else { super::WORD }
    }

    /// At a system call's entry and exit: its number and its arguments.
    pub fn call(&self) -> (i64, [u64; 6]) {
        let regs = &self.0;
        if !self.is_narrow() {
            let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
            return (regs.orig_rax as i64, args);
        }
        let number = regs.orig_rax as i32;
        let mut args = [regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp];
        args = args.map(|register| register & 0xffff_ffff);
        if i64::from(number) == numbers::MMAP2 {
            args[5] *= super::PAGE;
        }
        (if number < 0 { number.into() } else { numbers::of_kernel(number.into()) }, args)
    }

    /// Changes the arguments of the system call about to be made.
    pub fn set_arguments(&mut self, args: [u64; 6]) {
        let number = self.0.orig_rax as i32;
        self.put_arguments(number.into(), args);
    }

    /// Those of the call with this number, which is the thread's own.
    fn put_arguments(&mut self, number: i64, mut args: [u64; 6]) {
        let is_narrow = self.is_narrow();
        let regs = &mut self.0;
        if !is_narrow {
            [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
            return;
        }
        if number == numbers::MMAP2 {
            args[5] /= super::PAGE;
        }
        let args = args.map(|argument| argument & 0xffff_ffff);
        [regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp] = args;
    }

    /// Where the instruction is by which the system call was made that the thread is in, or has just left; `None` if it is in
    /// none.
    pub fn call_site(&self) -> Option<u64> {
        let is_in_call = match self.is_narrow() {
            true => self.0.orig_rax as i32 >= 0,
            false => self.0.orig_rax as i64 >= 0,
        };
        // Both machines' have as many bytes.
        is_in_call.then(|| self.0.rip.wrapping_sub(super::system_calls::INSTRUCTION.len() as u64))
    }

    /// In a system call: the address behind the program's instruction that made it, or that called the kernel's code which
    /// did. `read` fills with what is at an address.
    pub fn behind_call(&self, read: impl FnMut(u64, &mut [u8]) -> bool) -> u64 {
        match self.is_narrow() {
            true => system_calls::caller(self.0.rip, self.0.rsp, read).unwrap_or(self.0.rip),
            false => self.0.rip,
        }
    }

    /// At a system call's exit: what it answers instead.
    pub fn set_result(&mut self, result: i64) {
        self.0.rax = result as u64;
    }

    /// Keeps the system call about to be made from being made; it answers `result`.
    pub fn skip_call(&mut self, result: i64) {
        self.0.orig_rax = u64::MAX;
        self.0.rax = result as u64;
    }

    /// Makes a system call the next thing that happens, by the instruction for it at `at`.
    pub fn prepare_call(&mut self, at: u64, number: i64, args: [u64; 6]) {
        let number = match self.is_narrow() {
            // Or a number that no call has.
            true => numbers::own(number).unwrap_or(i64::from(i32::MAX)),
            false => number,
        };
        self.0.rip = at;
        self.0.rax = number as u64;
        // Not in a system call, so nothing is restarted.
        self.0.orig_rax = u64::MAX;
        self.put_arguments(number, args);
    }

    /// Makes a call of the function at `function` on the CPU `cpu`, which takes one argument at most, or is a resolver
    /// (`None`), and returns to `back`, the next thing that happens. Returns what is to be written to the stack, and where.
    pub fn prepare_function(
        &mut self,
        function: u64,
        argument: Option<u64>,
        back: u64,
        _cpu: Cpu,
    ) -> (u64, Vec<u8>) {
        // Resolvers have none here (glibc, dl-irel.h).
        let argument = argument.unwrap_or(0);
        self.0.rip = function;
        // Not in a system call, so nothing is restarted.
        self.0.orig_rax = u64::MAX;
        // A multiple of 16 before the call pushes the address.
        let before = self.0.rsp.wrapping_sub(RED_ZONE) & !15;
        self.0.rsp = before.wrapping_sub(self.word());
        let written = match self.is_narrow() {
            // Arguments are on the stack, above the return address.
            true => back & 0xffff_ffff | argument << 32,
            false => {
                self.0.rdi = argument;
                back
            }
        };
        (self.0.rsp, written.to_le_bytes().to_vec())
    }

    /// At a function's first instruction: its first argument. `word` reads one of memory.
    pub fn first_argument(&self, word: impl FnOnce(u64) -> Option<u64>) -> Option<u64> {
        match self.is_narrow() {
            true => word(self.0.rsp.wrapping_add(self.word())),
            false => Some(self.0.rdi),
        }
    }

    /// What a system call answered (a negative error number from -4095 on, if it failed), or a function.
    pub fn result(&self) -> u64 {
        let low = self.0.rax as u32;
        match self.is_narrow() {
            true if low > 0xffff_f000 => low as i32 as u64,
            true => low.into(),
            false => self.0.rax,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers() -> Registers {
        // SAFETY: numbers, for which all zeros are values.
        Registers(unsafe { std::mem::zeroed() })
    }

    /// Of code of 32 bits.
    fn narrow() -> Registers {
        let mut registers = registers();
        registers.0.cs = USER_CODE_32;
        registers
    }

    #[test]
    fn a_system_call_is_prepared_and_skipped() {
        let mut regs = registers();
        regs.prepare_call(0x1000, 9, [1, 2, 3, 4, 5, 6]);
        assert_eq!((regs.instruction_pointer(), regs.result()), (0x1000, 9));
        assert_eq!(regs.call(), (-1, [1, 2, 3, 4, 5, 6]));
        assert_eq!(regs.call_site(), None, "it is not made yet");
        regs.skip_call(-2);
        assert_eq!(regs.result() as i64, -2);
    }

    #[test]
    fn a_function_finds_its_stack_aligned() {
        let mut regs = registers();
        regs.0.rsp = 0x7fff_0000_1238;
        let (at, written) = regs.prepare_function(0x2000, Some(7), 0x3000, Cpu::This);
        assert_eq!((regs.instruction_pointer(), regs.first_argument(|_| None)), (0x2000, Some(7)));
        assert_eq!((at % 16, at), (8, regs.stack_pointer()));
        assert_eq!(written, 0x3000u64.to_le_bytes());
        let called =
            |before, stack| regs.called(before, stack, |from| (from == at).then_some(0x3000));
        assert_eq!(called(0x2ffb, at + 8), Some((0x3000, at + 8)));
        assert_eq!((called(0x2ffb, at), called(0x3000, at + 8)), (None, None));
    }

    #[test]
    fn calls_of_32_bits_have_the_numbers_of_those_of_64() {
        let mut regs = narrow();
        regs.prepare_call(0x1000, libc::SYS_mmap, [1, 2, 3, 4, u64::MAX, 0x5000]);
        assert_eq!(regs.0.rax as i64, numbers::MMAP2);
        assert_eq!((regs.0.rbx, regs.0.rdi, regs.0.rbp), (1, 0xffff_ffff, 5));
        // As the kernel has it at the call's entry.
        regs.0.orig_rax = regs.0.rax;
        assert_eq!(regs.call(), (libc::SYS_mmap, [1, 2, 3, 4, 0xffff_ffff, 0x5000]));
        regs.set_arguments([6, 2, 3, 4, 5, 0x7000]);
        assert_eq!(regs.call(), (libc::SYS_mmap, [6, 2, 3, 4, 5, 0x7000]));
        assert_eq!(regs.call_site(), Some(0xffe));
        regs.skip_call(-38);
        assert_eq!((regs.call().0, regs.result() as i64, regs.call_site()), (-1, -38, None));
        regs.0.rax = 0xf7ff_0000;
        assert_eq!(regs.result(), 0xf7ff_0000);
    }

    #[test]
    fn a_function_of_32_bits_finds_its_argument_on_the_stack() {
        let mut regs = narrow();
        regs.0.rsp = 0xffff_1238;
        let (at, written) = regs.prepare_function(0x2000, Some(7), 0x3000, Cpu::This);
        assert_eq!((at % 16, written), (12, vec![0, 0x30, 0, 0, 7, 0, 0, 0]));
        assert_eq!(regs.first_argument(|address| Some(address - at)), Some(4));
        assert_eq!(regs.called(0x2ffe, at + 4, |_| Some(0x3000)), Some((0x3000, at + 4)));
    }
}
