//! The seccomp filter of the traced process: what a loader does is allowed, what the tracer must
//! see stops, and so does everything else, for the tracer to refuse.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use statify_elf::machine::{Machine, numbers};
use statify_room::filter;

/// What only reads what is open, or changes no more than the process's own memory at addresses that are
/// already dictated.
const ALLOWED: &[i64] = &[
    numbers::SYS_read,
    numbers::SYS_pread64,
    numbers::SYS_readv,
    numbers::SYS_lseek,
    numbers::SYS_close,
    numbers::SYS_fstat,
    numbers::SYS_uname,
    numbers::SYS_mprotect,
    numbers::SYS_munmap,
    numbers::SYS_sched_getaffinity,
    numbers::SYS_getuid,
    numbers::SYS_geteuid,
    numbers::SYS_getgid,
    numbers::SYS_getegid,
    numbers::SYS_exit,
    numbers::SYS_exit_group,
    numbers::SYS_rt_sigreturn,
    // The launch itself; after it the tracer sees PTRACE_EVENT_EXEC.
    numbers::SYS_execve,
];

/// Whether these flags of open(2) ask for more than to read.
pub fn writes(flags: u64) -> bool {
    flags & (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) as u64 != libc::O_RDONLY as u64
}

/// The filter of a process of this machine, as BPF. Whatever names a file stops.
pub fn program(machine: Machine) -> BpfProgram {
    let own = of_calls(Machine::HOST);
    match machine {
        Machine::HOST => own,
        // What executes the program is of this process's machine.
        other => filter::either(other.audit_number(), of_calls(other), own),
    }
}

/// The filter of the calls as this machine numbers them.
fn of_calls(machine: Machine) -> BpfProgram {
    let masked = |argument: u8, mask: i32, value: i32| {
        let operator = SeccompCmpOp::MaskedEq(u64::from(mask as u32));
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value as u64)
    };
    let rule = |conditions: Vec<_>| {
        let conditions: Result<Vec<_>, _> = conditions.into_iter().collect();
        conditions.and_then(SeccompRule::new).expect("the conditions are constant and valid")
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|&number| (number, Vec::new())).collect();
    // musl marks what it opens once more as to be closed by exec.
    rules.insert(numbers::SYS_fcntl, vec![rule(vec![masked(1, -1, libc::F_SETFD)])]);
    let advice =
        [libc::MADV_DONTNEED, libc::MADV_WILLNEED, libc::MADV_HUGEPAGE, libc::MADV_NOHUGEPAGE];
    rules.insert(
        numbers::SYS_madvise,
        advice.map(|advice| rule(vec![masked(2, -1, advice)])).to_vec(),
    );
    // The later segments of a file and its zero-initialised data go where the first segment's
    // address says: nothing to dictate. What lies elsewhere is found at the hand-off.
    let private = libc::MAP_FIXED | libc::MAP_PRIVATE;
    let fixed = || masked(3, private, private);
    let anonymous = masked(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS);
    let later = SeccompCondition::new(5, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0);
    rules.insert(
        numbers::SYS_mmap,
        vec![rule(vec![fixed(), later]), rule(vec![fixed(), anonymous])],
    );
    let own = |(number, rules): (i64, Vec<SeccompRule>)| {
        machine.call_numbers(number).into_iter().map(move |number| (number, rules.clone()))
    };
    // What this machine's kernels do not have is on no list.
    let rules = rules.into_iter().filter(|(number, _)| *number >= 0).flat_map(own).collect();
    let filter = TargetArch::try_from(Machine::HOST.kernel_name()).and_then(|host| {
        SeccompFilter::new(rules, SeccompAction::Trace(0), SeccompAction::Allow, host)
    });
    filter.and_then(BpfProgram::try_from).expect("the filter is constant and valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles() {
        for machine in Machine::ALL.into_iter().filter(|machine| machine.runs_here()) {
            assert!(super::program(machine).len() > 40, "{machine:?}");
        }
    }

    #[test]
    fn what_is_opened_for_writing() {
        assert!(!super::writes((libc::O_RDONLY | libc::O_CLOEXEC) as u64));
        assert!(super::writes(libc::O_RDWR as u64));
        assert!(super::writes((libc::O_RDONLY | libc::O_TRUNC) as u64));
    }
}
