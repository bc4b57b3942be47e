//! The registers of a traced process (ptrace(2), PTRACE_GETREGS), by what they are for: in system calls
//! (syscall(2)) and in calls of functions (x86-64 psABI, 3.2).

use libc::user_regs_struct;

/// Bytes below the stack pointer that a leaf function may use (psABI, 3.2.2), and more.
const RED_ZONE: u64 = 4096;
/// The segment of code of 64 bits (Linux, asm/segment.h: __USER_CS).
const USER_CODE: u64 = 0x33;

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

    /// Where the return address is, if the last instruction was a call, with the stack pointer at `before`
    /// when it began.
    pub fn return_address(&self, before: u64) -> Option<u64> {
        (self.0.rsp == before - 8).then_some(self.0.rsp)
    }

    /// At a system call's entry and exit: its number and its arguments.
    pub fn call(&self) -> (i64, [u64; 6]) {
        let regs = &self.0;
        (regs.orig_rax as i64, [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9])
    }

    /// Changes the arguments of the system call about to be made.
    pub fn set_arguments(&mut self, args: [u64; 6]) {
        let regs = &mut self.0;
        [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
    }

    /// Where the instruction is by which the system call was made that the thread is in, or has just left; `None` if it is in
    /// none.
    pub fn call_site(&self) -> Option<u64> {
        let is_in_call = self.0.orig_rax as i64 >= 0;
        is_in_call.then(|| self.0.rip.wrapping_sub(super::system_calls::INSTRUCTION.len() as u64))
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
        self.0.rip = at;
        self.0.rax = number as u64;
        // Not in a system call, so nothing is restarted.
        self.0.orig_rax = u64::MAX;
        self.set_arguments(args);
    }

    /// Makes a call of the function at `function`, which takes one argument at most, the next thing that
    /// happens. Returns where its return address is to be written.
    pub fn prepare_function(&mut self, function: u64, argument: u64) -> u64 {
        self.0.rip = function;
        self.0.rdi = argument;
        // Not in a system call, so nothing is restarted.
        self.0.orig_rax = u64::MAX;
        // A multiple of 16 before the call pushes the address.
        self.0.rsp = ((self.0.rsp - RED_ZONE) & !15) - 8;
        self.0.rsp
    }

    /// At a function's first instruction: its first argument.
    pub fn first_argument(&self) -> u64 {
        self.0.rdi
    }

    /// What a system call answered (a negative error number from -4095 on, if it failed), or a function.
    pub fn result(&self) -> u64 {
        self.0.rax
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers() -> Registers {
        // SAFETY: numbers, for which all zeros are values.
        Registers(unsafe { std::mem::zeroed() })
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
        let at = regs.prepare_function(0x2000, 7);
        assert_eq!((regs.instruction_pointer(), regs.first_argument()), (0x2000, 7));
        assert_eq!((at % 16, at), (8, regs.stack_pointer()));
        assert_eq!(regs.return_address(at + 8), Some(at));
        assert_eq!(regs.return_address(at), None);
    }
}
