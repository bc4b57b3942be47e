//! What is varied between captures, on purpose, so that the words that depend on it show
//! themselves. All is constant: two conversions see the same values.

use statify_elf::machine::{Cpu, Machine};

use super::auxv::{AT_CLKTCK, AT_HWCAP2, AT_MINSIGSTKSZ};
use super::block::{Distances, Placement};

/// RLIMIT_STACK as the loader is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackLimit {
    /// This many bytes.
    Bytes(u64),
    /// RLIM_INFINITY.
    Unlimited,
}

impl StackLimit {
    /// As prlimit(2) writes it.
    pub fn value(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => libc::RLIM_INFINITY,
        }
    }
}

/// How one capture differs from the others.
#[derive(Clone, Debug)]
pub struct Variation {
    /// Where the block begins.
    pub placement: Placement,
    /// How modules form groups, and how far from one another.
    pub distances: Distances,
    /// Arguments after argv[0].
    pub arguments: usize,
    /// Bytes of an environment variable that nobody reads: moves the stack.
    pub padding: usize,
    /// AT_RANDOM.
    pub random: [u8; 16],
    /// What getrandom(2) answers, again and again.
    pub getrandom: [u8; 8],
    /// What the time-stamp counter reads, whenever it is asked.
    pub timestamp: u64,
    /// What brk(2) answers.
    pub program_break: u64,
    /// What set_tid_address(2) answers.
    pub thread_id: u32,
    /// What prlimit(2) answers.
    pub stack_limit: StackLimit,
    /// AT_SECURE: whether the loader is to believe that it has privileges that its caller lacks.
    pub secure: bool,
    /// Auxv entries of another value than the kernel's.
    pub auxv: &'static [(u64, u64)],
    /// AT_EXECFN points to argv\[0\], the same text elsewhere. The kernel's own copy ends the stack,
    /// and without address randomisation that is the same address in all captures.
    pub name_is_argument: bool,
    /// Auxv entries that are taken away.
    pub hidden: &'static [u64],
    /// Everything bound before the hand-off (LD_BIND_NOW), or as the program was linked.
    pub bind_now: bool,
    /// The vDSO is not hidden from the loader.
    pub vdso: bool,
    /// The CPU that it is told of.
    pub cpu: Cpu,
    /// Behind the loader is room for the agent.
    pub agent: bool,
}

/// What all captures of a conversion have in common.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// The machine whose process it is.
    pub machine: Machine,
    /// See [`Placement::Own`].
    pub fixed: bool,
    /// See [`Distances::apart`].
    pub apart: bool,
    /// See [`Variation::bind_now`].
    pub bind_now: bool,
    /// See [`Variation::cpu`].
    pub cpu: Cpu,
    /// See [`Variation::agent`].
    pub agent: bool,
}

/// The capture that the output is made of.
pub fn first(mode: Mode) -> Variation {
    let space = mode.machine.space();
    Variation {
        placement: if mode.fixed { Placement::Own } else { Placement::First },
        distances: Distances { apart: mode.apart, further: false },
        arguments: 0,
        padding: 16,
        random: *b"\x5a\x17\xc3\x88\x21\xf6\x09\x9d\x6b\xe4\x30\xd2\x7f\x15\xa8\x4c",
        getrandom: *b"\x93\x3e\x61\xfa\x07\xb5\xcc\x28",
        timestamp: 0x0007_31c5_88e2_f04b,
        program_break: space.program_breaks[0],
        thread_id: 0x0051_a7ed,
        stack_limit: StackLimit::Bytes(0x0080_0000),
        secure: false,
        auxv: &[(AT_CLKTCK, 100), (AT_HWCAP2, 2), (AT_MINSIGSTKSZ, 3632)],
        name_is_argument: false,
        hidden: &[],
        bind_now: mode.bind_now,
        vdso: false,
        cpu: mode.cpu,
        agent: mode.agent,
    }
}

/// Everything varied that must not change the loader's heap.
pub fn second(mode: Mode) -> Variation {
    let space = mode.machine.space();
    Variation {
        placement: if mode.fixed { Placement::Own } else { Placement::Higher },
        distances: Distances { apart: mode.apart, further: true },
        arguments: 3,
        padding: 0x3510,
        random: *b"\xe1\x4b\x02\x79\xd8\x36\xaf\x60\x1c\x95\x53\xfe\x8a\x27\xb4\x0f",
        getrandom: *b"\x4d\xd0\x1b\x86\xe9\x72\x35\xaf",
        timestamp: 0x0019_d64a_2b07_9c35,
        program_break: space.program_breaks[1],
        thread_id: 0x0036_c91b,
        stack_limit: StackLimit::Bytes(0x0155_0000),
        secure: false,
        auxv: &[(AT_CLKTCK, 1021), (AT_HWCAP2, 0x1002), (AT_MINSIGSTKSZ, 3952)],
        name_is_argument: true,
        hidden: &[],
        bind_now: mode.bind_now,
        vdso: false,
        cpu: mode.cpu.again(),
        agent: mode.agent,
    }
}

/// Entries that older kernels do not give: AT_MINSIGSTKSZ is of Linux 5.14, AT_HWCAP2 of 4.12.
pub const NEWER_AUXV: &[u64] = &[AT_HWCAP2, AT_MINSIGSTKSZ];

/// The vDSO visible: tells which words hold its functions, the size of thread stacks where there is
/// no limit, and what stands for auxv entries that are not there.
pub fn with_vdso(mode: Mode) -> Variation {
    let stack_limit = StackLimit::Unlimited;
    Variation { vdso: true, stack_limit, hidden: NEWER_AUXV, ..first(mode) }
}

/// As the program was linked: tells where the loader keeps whether it binds lazily, and the least
/// size of thread stacks.
pub fn lazy(mode: Mode) -> Variation {
    Variation { stack_limit: StackLimit::Bytes(1), bind_now: false, ..first(mode) }
}

/// On another CPU of the same level: which words depend on the CPU.
pub fn unlike(mode: Mode, cpu: Cpu) -> Variation {
    Variation { cpu, ..first(mode) }
}

/// Only AT_SECURE varied: for the loader's own data, before it has done what may depend on
/// variables of its environment.
pub fn secure(mode: Mode, secure: bool) -> Variation {
    // Under AT_SECURE newer loaders do not heed LD_BIND_NOW.
    Variation { secure, bind_now: false, ..first(mode) }
}

/// Only the CPU varied, for the loader's own data: one of [`Cpu::coded`].
pub fn coded(mode: Mode, cpu: Cpu) -> Variation {
    Variation { cpu, ..secure(mode, false) }
}
