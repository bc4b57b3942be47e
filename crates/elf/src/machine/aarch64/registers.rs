//! The registers of a traced process (ptrace(2), NT_PRSTATUS), by what they are for: in system calls (syscall(2)) and in calls
//! of functions (Procedure Call Standard for the Arm 64-bit Architecture, "Machine Registers").

use libc::user_regs_struct;

use super::cpu::Cpu;
use super::system_calls::INSTRUCTION;

/// The kind by which ptrace(2) knows the number of the system call about to be made, four bytes (NT_ARM_SYSTEM_CALL).
pub const CALL_NUMBER: Option<usize> = Some(0x404);
/// The kind by which ptrace(2) knows the register that leads to a thread's memory, eight bytes (NT_ARM_TLS).
pub const THREAD_POINTER: Option<usize> = Some(0x401);

/// Bytes below the stack pointer that are left alone. The standard has no red zone; what is left is what a frame may have.
const BELOW: u64 = 4096;
/// Where a system call's number is, and where a function's return address is.
const NUMBER: usize = 8;
const LINK: usize = 30;
/// The register that a resolver finds its second argument in.
const SECOND: usize = 1;

/// The general registers of a stopped thread.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    pub(super) general: user_regs_struct,
    /// The number of the system call that is made instead of the one about to be made (NT_ARM_SYSTEM_CALL): -1 is none.
    call: Option<i32>,
}

impl From<user_regs_struct> for Registers {
    fn from(general: user_regs_struct) -> Self {
        Self { general, call: None }
    }
}

impl From<Registers> for user_regs_struct {
    fn from(registers: Registers) -> Self {
        registers.general
    }
}

impl Registers {
    /// The number of the system call that is to be made instead, which is no register: NT_ARM_SYSTEM_CALL.
    pub fn other_call(&self) -> Option<i32> {
        self.call
    }

    /// The address of the instruction that is next.
    pub fn instruction_pointer(&self) -> u64 {
        self.general.pc
    }

    /// Whether the thread executes code of this machine, rather than of its forerunner of 32 bits (PSR_MODE32_BIT).
    pub fn is_native(&self) -> bool {
        self.general.pstate & 0x10 == 0
    }

    /// Continues at another instruction.
    pub fn go_to(&mut self, address: u64) {
        self.general.pc = address;
    }

    /// The address of the breakpoint, if that is what has just stopped the thread.
    pub fn breakpoint(&self) -> u64 {
        self.general.pc
    }

    /// The address of the lowest word of the stack.
    pub fn stack_pointer(&self) -> u64 {
        self.general.sp
    }

    /// Where the call returns to that was the last instruction, at `before`, and the stack pointer that it has then; `None`
    /// if that was none. A call (`bl`, `blr`) leaves the stack alone.
    pub fn called(
        &self,
        before: u64,
        stack: u64,
        _read: impl FnOnce(u64) -> Option<u64>,
    ) -> Option<(u64, u64)> {
        let behind = before.wrapping_add(4);
        let is_call = self.general.regs[LINK] == behind && self.general.pc != behind;
        (is_call && self.general.sp == stack).then_some((behind, stack))
    }

    /// At a system call's entry and exit: its number and its arguments.
    pub fn call(&self) -> (i64, [u64; 6]) {
        let regs = &self.general.regs;
        let number = self.call.unwrap_or(regs[NUMBER] as i32);
        (number.into(), [regs[0], regs[1], regs[2], regs[3], regs[4], regs[5]])
    }

    /// Changes the arguments of the system call about to be made.
    pub fn set_arguments(&mut self, args: [u64; 6]) {
        self.general.regs[..args.len()].copy_from_slice(&args);
    }

    /// Where the instruction is by which the system call was made that the thread is in, or has just left. `None` if the
    /// instruction before is none: what the thread is in, the registers do not say.
    pub fn call_site(&self) -> Option<u64> {
        Some(self.general.pc.wrapping_sub(INSTRUCTION.len() as u64))
    }

    /// In a system call: the address behind the instruction that made it.
    pub fn behind_call(&self, _read: impl FnMut(u64, &mut [u8]) -> bool) -> u64 {
        self.general.pc
    }

    /// At a system call's exit: what it answers instead.
    pub fn set_result(&mut self, result: i64) {
        self.general.regs[0] = result as u64;
    }

    /// Keeps the system call about to be made from being made; it answers `result`.
    pub fn skip_call(&mut self, result: i64) {
        self.call = Some(-1);
        self.general.regs[0] = result as u64;
    }

    /// Makes a system call the next thing that happens, by the instruction for it at `at`.
    pub fn prepare_call(&mut self, at: u64, number: i64, args: [u64; 6]) {
        self.general.pc = at;
        self.general.regs[NUMBER] = number as u64;
        self.set_arguments(args);
    }

    /// Makes a call of the function at `function` on the CPU `cpu`, which takes one argument at most, or is a resolver
    /// (`None`), and returns to `back`, the next thing that happens. Returns what is to be written to the stack, and where.
    pub fn prepare_function(
        &mut self,
        function: u64,
        argument: Option<u64>,
        back: u64,
        cpu: Cpu,
    ) -> (u64, Vec<u8>) {
        let regs = &mut self.general;
        regs.pc = function;
        // The code may be marked as reached by branches that are tracked: this is as if it were by a call (PSR_BTYPE_MASK).
        regs.pstate &= !0xc00;
        regs.regs[LINK] = back;
        let structure = cpu.resolver_argument();
        let room = structure.len() as u64;
        regs.sp = (regs.sp.wrapping_sub(BELOW + room)) & !15;
        match argument {
            Some(argument) => regs.regs[0] = argument,
            None => {
                regs.regs[0] = cpu.resolver_word();
                regs.regs[SECOND] = regs.sp;
            }
        }
        (regs.sp, structure)
    }

    /// At a function's first instruction: its first argument.
    pub fn first_argument(&self, _word: impl FnOnce(u64) -> Option<u64>) -> Option<u64> {
        Some(self.general.regs[0])
    }

    /// What a system call answered (a negative error number from -4095 on, if it failed), or a function.
    pub fn result(&self) -> u64 {
        self.general.regs[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers() -> Registers {
        // SAFETY: numbers, for which all zeros are values.
        Registers::from(unsafe { std::mem::zeroed::<user_regs_struct>() })
    }

    #[test]
    fn a_system_call_is_prepared_and_skipped() {
        let mut regs = registers();
        regs.prepare_call(0x1000, 9, [1, 2, 3, 4, 5, 6]);
        assert_eq!((regs.instruction_pointer(), regs.call()), (0x1000, (9, [1, 2, 3, 4, 5, 6])));
        regs.skip_call(-2);
        assert_eq!((regs.result() as i64, regs.call().0, regs.other_call()), (-2, -1, Some(-1)));
    }

    #[test]
    fn a_resolver_finds_its_arguments() {
        let mut regs = registers();
        regs.general.sp = 0x7fff_0000_1238;
        let (at, written) = regs.prepare_function(0x2000, None, 0x3000, Cpu::Least);
        assert_eq!((at % 16, at), (0, regs.general.regs[SECOND]));
        assert_eq!(written[..8], (written.len() as u64).to_le_bytes());
        assert_eq!(regs.general.regs[LINK], 0x3000);
        regs.prepare_function(0x2000, Some(7), 0x3000, Cpu::Least);
        assert_eq!(regs.first_argument(|_| None), Some(7));
    }

    #[test]
    fn a_call_is_told_by_its_link() {
        let mut regs = registers();
        (regs.general.pc, regs.general.regs[LINK], regs.general.sp) = (0x5000, 0x1004, 0x8000);
        assert_eq!(regs.called(0x1000, 0x8000, |_| None), Some((0x1004, 0x8000)));
        regs.general.pc = 0x1004;
        assert_eq!(regs.called(0x1000, 0x8000, |_| None), None);
    }
}
