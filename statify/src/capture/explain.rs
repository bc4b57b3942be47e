//! From what happened in the traced process to a sentence for people.

use std::io;

use nix::sys::signal::Signal;
use statify_elf::ElfFile;
use statify_elf::c_library::MissingLibrary;
use statify_elf::machine::Level;
use statify_program::Refusal;

use super::block::Object;
use super::rearrange::RearrangeError;
use super::run_error::RunError;
use super::{Cause, Failure, Stage, Subject};
use crate::error::Error;

/// Says why there is no capture; `messages` is what the loader printed.
pub fn explain(subject: &Subject, stage: Stage, messages: String, objects: &[Object]) -> Failure {
    let program = subject.program.clone();
    let error = match stage {
        Stage::Run(RunError::Exited(status)) => {
            let cause = cause(&messages);
            let error = match subject.c_library.missing_library(&messages) {
                Some(MissingLibrary { name, needed_by }) => {
                    let needed_by =
                        needed_by.unwrap_or_else(|| who_needs(name.as_bytes(), objects));
                    let needed_by = match subject.reader {
                        Some(reader) => {
                            format!("{needed_by} and looked for with the rights of {reader}")
                        }
                        None => needed_by,
                    };
                    Refusal::LibraryMissing(program, name, needed_by)
                }
                None if messages.is_empty() => {
                    Refusal::LoaderDied(program, format!("its own exit with status {status}"))
                }
                None => Refusal::Loading(program, joined(&messages)),
            };
            return Failure { error: error.into(), cause };
        }
        Stage::Run(RunError::Killed(signal)) => {
            let error = Refusal::LoaderDied(program, format!("signal {}", signal.as_str())).into();
            // A resolver that has read what the program's start would have written, it may be.
            let cause = match signal {
                Signal::SIGSEGV | Signal::SIGBUS => Cause::EarlyBinding,
                _ => cause(&messages),
            };
            return Failure { error, cause };
        }
        Stage::Run(RunError::Behaviour(what)) => Error::Behaviour(program, what),
        Stage::Run(RunError::Loader) => {
            Refusal::Loader(program, subject.interpreter.clone()).into()
        }
        Stage::Rearrange(RearrangeError::System(nix::Error::EPERM | nix::Error::EACCES)) => {
            let source = io::Error::from_raw_os_error(libc::EPERM);
            Error::Trace(program, source, cause_of_refusal())
        }
        Stage::Rearrange(RearrangeError::System(nix::Error::ESRCH))
        | Stage::Run(RunError::System(nix::Error::ESRCH)) => {
            Refusal::LoaderDied(program, "a signal".into()).into()
        }
        Stage::Rearrange(error) | Stage::Snapshot(error) => {
            Error::Unexpected(program, error.to_string())
        }
        Stage::Run(RunError::System(errno)) => Error::Unexpected(program, errno.to_string()),
        Stage::Run(RunError::Io(error)) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            Refusal::Program(program, error).into()
        }
        Stage::Run(RunError::Io(error)) => Error::Unexpected(program, error.to_string()),
    };
    error.into()
}

/// Says why a run with libraries preloaded did not come to its end.
pub fn explain_run(subject: &Subject, error: RunError, messages: String) -> Error {
    explain(subject, Stage::Run(error), messages, &[]).error
}

/// Why ptrace(2) or seccomp(2) says no.
pub fn cause_of_refusal() -> &'static str {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let scope = scope.unwrap_or_default();
    if scope.trim() == "3" {
        "Yama forbids it (kernel.yama.ptrace_scope is 3); convert on another machine"
    } else if scope.trim() == "2" && !nix::unistd::geteuid().is_root() {
        "Yama allows it to root only (kernel.yama.ptrace_scope is 2); run it as root"
    } else if field("TracerPid:").is_some_and(|pid| pid != "0") {
        "this process is being traced itself; run it without strace or a debugger"
    } else if field("Seccomp:").is_some_and(|mode| mode != "0") {
        "a seccomp filter forbids it, as containers do; allow ptrace (in containers CAP_SYS_PTRACE)"
    } else {
        "the kernel or a security module forbids it; run as the owner of the program or as root"
    }
}

/// The lines of a message in one.
pub fn joined(messages: &str) -> String {
    messages.lines().collect::<Vec<_>>().join("; ")
}

/// What ld.so's words mean (elf/dl-lookup.c; the machine's dl-machine.h and dl-prop.h).
pub fn cause(messages: &str) -> Cause {
    // "IFUNC symbol 'F' referenced in 'L' is defined in the executable and creates an unsatisfiable
    // circular dependency" ends it; after "Relink `L' with `M' for IFUNC symbol `F'" it goes on, or
    // dies in the resolver.
    // "relocation error: ... with link time reference" is the former where the library that should have the function is there and
    // has it not.
    let early = ["symbol lookup error", "with link time reference", "IFUNC symbol"];
    if early.iter().any(|words| messages.contains(words)) {
        Cause::EarlyBinding
    } else if Level::REFUSALS.iter().any(|refusal| messages.contains(refusal)) {
        Cause::Level
    } else {
        Cause::Other
    }
}

fn who_needs(library: &[u8], objects: &[Object]) -> String {
    let needs = |object: &&Object| {
        let elf = ElfFile::parse(&object.bytes).ok();
        let dynamic = elf.and_then(|elf| elf.dynamic().ok().flatten());
        dynamic.is_some_and(|dynamic| dynamic.needed().contains(&library))
    };
    match objects.iter().find(needs) {
        Some(object) => object.path.display().to_string(),
        None => "one of its libraries".into(),
    }
}
