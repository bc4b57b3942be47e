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

/// kcmp(2), of Linux 3.5, and all that came later (arch/x86/entry/syscalls/syscall_64.tbl).
const NEWER_CALLS: std::ops::Range<i64> = libc::SYS_kcmp..1024;

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
/// refuse operations that are newer.
pub fn only_old_calls(command: &mut Command, refusal: Refusal) -> Result<()> {
    let newer = NEWER_CALLS.map(|call| (call, Vec::new())).collect();
    let at_least = |argument, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ge, value)
    };
    let below = |argument, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Lt, value)
    };
    let advice = vec![at_least(2, NEWER_ADVICE.start)?, below(2, NEWER_ADVICE.end)?];
    let operations = [
        (libc::SYS_madvise, vec![SeccompRule::new(advice)?]),
        (libc::SYS_prctl, vec![SeccompRule::new(vec![at_least(0, NEWER_OPTIONS)?])?]),
        (libc::SYS_arch_prctl, vec![SeccompRule::new(vec![at_least(0, NEWER_CODES)?])?]),
    ];
    restrict(command, operations.into(), libc::EINVAL)?;
    // The last, since it refuses seccomp(2) as well.
    restrict(command, newer, refusal.errno())
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

fn restrict(
    command: &mut Command,
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    errno: i32,
) -> Result<()> {
    act(command, calls, SeccompAction::Errno(errno as u32))
}

fn act(
    command: &mut Command,
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    refusal: SeccompAction,
) -> Result<()> {
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refusal, TargetArch::x86_64)?;
    let program = BpfProgram::try_from(filter)?;
    // SAFETY: prctl(2) only, on memory that was allocated before the fork.
    unsafe {
        command.pre_exec(move || {
            seccompiler::apply_filter(&program).map_err(|_| io::Error::last_os_error())
        });
    }
    Ok(())
}
