//! Rules for system calls, which are said by the numbers of the machine that this is compiled for, in the numbers of
//! every machine whose programs the kernel may run: a process may make calls as any of them does, whatever code it has.

use std::collections::BTreeMap;

use nix::libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use statify_elf::machine::Machine;

use crate::filter;

/// By a call's number, what it is asked for: one of these rules must hold, or there is none.
pub type Rules = BTreeMap<c_long, Vec<SeccompRule>>;
pub type Result<T> = std::result::Result<T, seccompiler::BackendError>;

/// What becomes of a call that no filter can look into, since its arguments are in another form
/// ([`Machine::other_forms`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// Rules apply to it if they do not depend on arguments.
    IfUnconditional,
    /// Rules apply to it, whatever it is asked for.
    Always,
}

/// The filter by which calls to which `rules` apply have the result `these`, and all others `others`.
pub fn filter(
    rules: &Rules,
    unseen: Unseen,
    others: SeccompAction,
    these: SeccompAction,
) -> Result<BpfProgram> {
    let host = TargetArch::try_from(Machine::HOST.kernel_name())?;
    let mut whole: Option<BpfProgram> = None;
    // The host's is the last, and so the first that there is.
    for machine in filter::machines().collect::<Vec<_>>().into_iter().rev() {
        let rules = numbered(machine, rules, unseen)?;
        let own = SeccompFilter::new(rules, others.clone(), these.clone(), host)?.try_into()?;
        whole = Some(match whole {
            None => own,
            Some(rest) => filter::either(machine.audit_number(), own, rest),
        });
    }
    Ok(whole.unwrap_or_default())
}

/// The rules with a machine's numbers.
fn numbered(machine: Machine, rules: &Rules, unseen: Unseen) -> Result<Rules> {
    let mut own = Rules::new();
    for (&call, chain) in rules {
        own.extend(machine.call_numbers(call).into_iter().map(|number| (number, chain.clone())));
        if !chain.is_empty() && unseen == Unseen::IfUnconditional {
            continue;
        }
        for (number, first) in machine.other_forms(call) {
            let chosen = first.map(|first| {
                let length = SeccompCmpArgLen::Dword;
                let chooses = SeccompCondition::new(0, length, SeccompCmpOp::Eq, u64::from(first))?;
                SeccompRule::new(vec![chooses])
            });
            own.entry(number).or_default().extend(chosen.transpose()?);
        }
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc;

    /// Of calls with and without conditions.
    fn rules() -> Rules {
        let stream = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 1);
        let stream = SeccompRule::new(vec![stream.unwrap()]).unwrap();
        [(libc::SYS_socket, vec![stream]), (libc::SYS_bind, vec![]), (libc::SYS_mmap, vec![])]
            .into()
    }

    #[test]
    fn what_no_filter_sees_is_not_permitted_by_what_it_is_asked_for() {
        assert_eq!(numbered(Machine::HOST, &rules(), Unseen::Always).unwrap(), rules());
        for machine in filter::machines() {
            let permitted = numbered(machine, &rules(), Unseen::IfUnconditional).unwrap();
            let refused = numbered(machine, &rules(), Unseen::Always).unwrap();
            let forms = machine.other_forms(libc::SYS_socket).len();
            let chains = |rules: &Rules| rules.values().map(Vec::len).sum::<usize>();
            assert_eq!(chains(&refused) - chains(&permitted), forms, "{machine:?}");
            for (number, _) in machine.other_forms(libc::SYS_mmap) {
                assert_eq!(permitted[&number], []);
            }
        }
    }

    #[test]
    fn every_machine_of_this_kernel_has_its_part() {
        let program = filter(
            &rules(),
            Unseen::Always,
            SeccompAction::Allow,
            SeccompAction::Errno(libc::EPERM as u32),
        );
        let program = program.unwrap();
        for machine in filter::machines() {
            let number = machine.audit_number();
            assert!(program.iter().any(|one| one.k == number), "{machine:?}");
        }
    }
}
