//! What a swept program may consume and which system calls it is refused.

use anyhow::{Context, Result};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

const MIB: u64 = 1 << 20;

/// Sets the resource limits that every process of the sandbox inherits.
pub fn consume_little(time_limit: f64) -> Result<()> {
    let cpu = time_limit.ceil() as u64 + 1;
    let limits = [
        (Resource::RLIMIT_CPU, cpu),
        (Resource::RLIMIT_FSIZE, 32 * MIB),
        // Bounds memory that can be written; address space is only reserved by some (node, java).
        (Resource::RLIMIT_DATA, 8192 * MIB),
        (Resource::RLIMIT_STACK, 8 * MIB),
        (Resource::RLIMIT_NOFILE, 1024),
        (Resource::RLIMIT_NPROC, 1024),
        (Resource::RLIMIT_MEMLOCK, 8 * MIB),
        // 1, not 0: a core_pattern that is a pipe ignores 0, and reads 1 as "do not start it".
        (Resource::RLIMIT_CORE, 1),
    ];
    for (resource, limit) in limits {
        let (_, most) = getrlimit(resource)?;
        // Root in a container may not raise a limit.
        setrlimit(resource, limit, limit)
            .or_else(|_| setrlimit(resource, limit.min(most), limit.min(most)))
            .with_context(|| format!("set {resource:?}"))?;
    }
    std::fs::write("/proc/self/oom_score_adj", "1000").context("set the OOM score")
}

/// Refuses what no namespace confines: keyrings, BPF, and all but the plain socket families
/// (vsock reaches the hypervisor; rare families load kernel modules).
pub fn refuse_calls() -> Result<()> {
    install(
        SeccompAction::Errno(libc::ENOSYS as u32),
        [libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key, libc::SYS_bpf]
            .map(|call| (call, vec![]))
            .into(),
    )?;
    let allowed = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let unusual = allowed
        .into_iter()
        .map(|family| {
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64)
        })
        .collect::<Result<Vec<_>, _>>()?;
    install(
        SeccompAction::Errno(libc::EAFNOSUPPORT as u32),
        [(libc::SYS_socket, vec![SeccompRule::new(unusual)?])].into(),
    )
}

fn install(
    refusal: SeccompAction,
    rules: std::collections::BTreeMap<i64, Vec<SeccompRule>>,
) -> Result<()> {
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, TargetArch::x86_64)?;
    let program = BpfProgram::try_from(filter)?;
    seccompiler::apply_filter(&program).context("install the system call filter")
}
