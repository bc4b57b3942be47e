//! What a program may consume that is run to its end, and which system calls it is refused.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

const MIB: u64 = 1 << 20;

/// It. Made before the process that it is for: that one may make system calls only.
#[derive(Debug)]
pub struct Limits {
    /// From the start on, after which nothing of it is left.
    pub time: Duration,
    resources: Vec<(Resource, u64)>,
    filters: Vec<BpfProgram>,
}

impl Limits {
    /// These, of each process: so much processor time and address space. Bytes that can be written
    /// are few in any case; address space is only reserved by some (node, java). Sockets may be of
    /// these families (address_families(7)).
    pub fn new(time: Duration, address_space: Option<u64>, families: &[i32]) -> io::Result<Self> {
        let mut resources = vec![
            (Resource::RLIMIT_CPU, time.as_secs() + 2),
            (Resource::RLIMIT_FSIZE, 32 * MIB),
            (Resource::RLIMIT_DATA, 8192 * MIB),
            (Resource::RLIMIT_STACK, 8 * MIB),
            (Resource::RLIMIT_NOFILE, 1024),
            (Resource::RLIMIT_NPROC, 1024),
            (Resource::RLIMIT_MEMLOCK, 8 * MIB),
            // 1, not 0: a core_pattern that is a pipe ignores 0, and reads 1 as "do not start it".
            (Resource::RLIMIT_CORE, 1),
        ];
        resources.extend(address_space.map(|most| (Resource::RLIMIT_AS, most)));
        let filters = [refused_calls(), unusual_sockets(families)];
        let filters = filters.into_iter().collect::<Result<_, _>>().map_err(io::Error::other)?;
        Ok(Self { time, resources, filters })
    }

    /// Sets them for this process and those that come out of it.
    pub fn apply(&self) -> Result<(), Errno> {
        for &(resource, limit) in &self.resources {
            let (_, most) = getrlimit(resource)?;
            // Root in a container may not raise a limit.
            setrlimit(resource, limit, limit)
                .or_else(|_| setrlimit(resource, limit.min(most), limit.min(most)))?;
        }
        for filter in &self.filters {
            seccompiler::apply_filter(filter).map_err(|_| Errno::last())?;
        }
        Ok(())
    }
}

/// What no namespace confines: keyrings, BPF.
fn refused_calls() -> Result<BpfProgram, seccompiler::BackendError> {
    let calls = [libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key, libc::SYS_bpf];
    filter(libc::ENOSYS, calls.map(|call| (call, vec![])).into())
}

/// Sockets of other families: vsock reaches the hypervisor, rare ones load kernel modules.
fn unusual_sockets(families: &[i32]) -> Result<BpfProgram, seccompiler::BackendError> {
    let (length, other) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Ne);
    let conditions = families
        .iter()
        .map(|&family| SeccompCondition::new(0, length.clone(), other.clone(), family as u64))
        .collect::<Result<Vec<_>, _>>()?;
    let rules = if conditions.is_empty() { vec![] } else { vec![SeccompRule::new(conditions)?] };
    filter(libc::EAFNOSUPPORT, [(libc::SYS_socket, rules)].into())
}

fn filter(
    refusal: i32,
    rules: std::collections::BTreeMap<i64, Vec<SeccompRule>>,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let refusal = SeccompAction::Errno(refusal as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, TargetArch::x86_64)?.try_into()
}
