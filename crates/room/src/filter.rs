//! seccomp filters (Documentation/userspace-api/seccomp_filter.rst) for processes that make calls as several machines
//! number them: each call says which, whatever the code is that makes it.

use seccompiler::{BpfProgram, sock_filter};
use statify_elf::machine::Machine;

/// BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K; BPF_JMP | BPF_JA (linux/bpf_common.h).
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP: u16 = 0x05;
/// Where `struct seccomp_data` has the machine (linux/seccomp.h).
const MACHINE: u32 = 4;

/// The machines whose programs a kernel of this one may run, this one last: what each of their calls goes through is made
/// with its numbers.
pub fn machines() -> impl Iterator<Item = Machine> {
    let others = Machine::ALL.into_iter().filter(|machine| *machine != Machine::HOST);
    others.filter(|machine| machine.runs_here()).chain([Machine::HOST])
}

/// The calls of the machine of this number (AUDIT_ARCH_*) go through `narrow`, which was made for the host's, and all
/// others through `other`.
pub fn either(audit_number: u32, mut narrow: BpfProgram, other: BpfProgram) -> BpfProgram {
    let host = Machine::HOST.audit_number();
    // It asks for the machine once more, first of all.
    let asks = |one: &&mut sock_filter| one.code == JUMP_IF_EQUAL && one.k == host;
    if let Some(question) = narrow.iter_mut().find(asks) {
        question.k = audit_number;
    }
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let mut program = vec![
        instruction(LOAD, 0, 0, MACHINE),
        instruction(JUMP_IF_EQUAL, 1, 0, audit_number),
        instruction(JUMP, 0, 0, narrow.len() as u32),
    ];
    program.extend(narrow);
    program.extend(other);
    program
}
