//! A kernel that refuses what is newer than Linux 3.2, the oldest that glibc runs on: by a filter of
//! system calls (seccomp(2)) before the program starts.
//!
//! What a filter cannot show: what an older kernel does otherwise in calls that it has (flags of
//! mmap(2) that it ignores, where it maps a program), and what it shows in /proc and the auxv.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Result;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use statify_elf::machine::Machine;
use statify_room::filter;

/// Behind all calls that there are for years to come. (A filter has 4,096 instructions at most.)
const END: i64 = 600;

/// Numbers of calls of one kind of programs.
struct Numbers {
    /// kcmp(2), of Linux 3.5, and all that came later.
    newer: std::ops::Range<i64>,
    madvise: i64,
    prctl: i64,
    arch_prctl: i64,
}

/// arch/x86/entry/syscalls/syscall_64.tbl.
const WIDE: Numbers = Numbers {
    newer: libc::SYS_kcmp..END,
    madvise: libc::SYS_madvise,
    prctl: libc::SYS_prctl,
    arch_prctl: libc::SYS_arch_prctl,
};

/// syscall_32.tbl of the same directory: programs of 32 bits.
const NARROW: Numbers = Numbers { newer: 349..END, madvise: 219, prctl: 172, arch_prctl: 384 };

/// MADV_NOHUGEPAGE is 3.2's last advice; 100 and 101 are for tests of memory failures.
const NEWER_ADVICE: std::ops::Range<u64> = 16..100;
/// The option behind PR_SET_NO_NEW_PRIVS (Linux 3.5), which the next filter needs.
const NEWER_OPTIONS: u64 = 39;
/// The code behind ARCH_GET_GS.
const NEWER_CODES: u64 = 0x1005;

/// How calls are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// ENOSYS, as by the kernel itself.
    Unknown,
    /// EPERM, as by sandboxes whose list of calls is old.
    NotPermitted,
}

impl Refusal {
    fn errno(self) -> i32 {
        match self {
            Refusal::Unknown => libc::ENOSYS,
            Refusal::NotPermitted => libc::EPERM,
        }
    }
}

/// Lets `command` run where every call newer than Linux 3.2 is refused, and where calls of then
/// refuse operations that are newer. Programs of 32 bits likewise.
pub fn only_old_calls(command: &mut Command, refusal: Refusal) -> Result<()> {
    apply(command, both(newer_operations, libc::EINVAL)?);
    // The last, since it refuses seccomp(2) as well.
    apply(command, both(newer_calls, refusal.errno())?);
    Ok(())
}

type Calls = BTreeMap<i64, Vec<SeccompRule>>;

fn newer_calls(numbers: &Numbers) -> Result<Calls> {
    Ok(numbers.newer.clone().map(|call| (call, Vec::new())).collect())
}

fn newer_operations(numbers: &Numbers) -> Result<Calls> {
    let at_least = |argument, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ge, value)
    };
    let below = |argument, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Lt, value)
    };
    let advice = vec![at_least(2, NEWER_ADVICE.start)?, below(2, NEWER_ADVICE.end)?];
    let operations = [
        (numbers.madvise, vec![SeccompRule::new(advice)?]),
        (numbers.prctl, vec![SeccompRule::new(vec![at_least(0, NEWER_OPTIONS)?])?]),
        (numbers.arch_prctl, vec![SeccompRule::new(vec![at_least(0, NEWER_CODES)?])?]),
    ];
    Ok(operations.into())
}

/// A filter that refuses calls of both kinds of programs.
fn both(calls: fn(&Numbers) -> Result<Calls>, errno: i32) -> Result<BpfProgram> {
    let refusal = SeccompAction::Errno(errno as u32);
    let narrow = compiled(calls(&NARROW)?, refusal.clone())?;
    Ok(filter::either(Machine::I386.audit_number(), narrow, compiled(calls(&WIDE)?, refusal)?))
}

/// Lets `command` run where these calls fail with `errno`.
pub fn refuse_calls(command: &mut Command, calls: &[i64], errno: i32) -> Result<()> {
    restrict(command, calls.iter().map(|&call| (call, Vec::new())).collect(), errno)
}

/// Lets `command` run where each of these calls ends it, as filters do for what their authors did not know.
pub fn die_of_calls(command: &mut Command, calls: &[i64]) -> Result<()> {
    let calls = calls.iter().map(|&call| (call, Vec::new())).collect();
    act(command, calls, SeccompAction::KillProcess)
}

/// Lets `command` run as on a CPU whose CPUID cannot be made to trap.
pub fn without_cpuid_faulting(command: &mut Command) -> Result<()> {
    const ARCH_SET_CPUID: u64 = 0x1012;
    let code = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, ARCH_SET_CPUID)?;
    let calls = [(libc::SYS_arch_prctl, vec![SeccompRule::new(vec![code])?])];
    restrict(command, calls.into(), libc::ENODEV)
}

fn restrict(command: &mut Command, calls: Calls, errno: i32) -> Result<()> {
    act(command, calls, SeccompAction::Errno(errno as u32))
}

fn act(command: &mut Command, calls: Calls, refusal: SeccompAction) -> Result<()> {
    apply(command, compiled(calls, refusal)?);
    Ok(())
}

fn compiled(calls: Calls, refusal: SeccompAction) -> Result<BpfProgram> {
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refusal, TargetArch::x86_64)?;
    Ok(BpfProgram::try_from(filter)?)
}

fn apply(command: &mut Command, program: BpfProgram) {
    // SAFETY: prctl(2) only, on memory that was allocated before the fork.
    unsafe {
        command.pre_exec(move || {
            seccompiler::apply_filter(&program).map_err(|_| io::Error::last_os_error())
        });
    }
}
