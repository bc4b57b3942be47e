//! For which machines programs can be converted where this runs, and what to do with those of others. A program is
//! converted by running it, traced, up to its hand-off: that takes a CPU and a kernel that run it, and a statify
//! that knows how to trace it.

use super::Machine;

/// Why programs for a machine cannot be converted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotHere {
    /// It does not run here.
    #[error(
        "it is for {0} machines, and a program can only be converted where it runs: on such a machine, or in one that is emulated as a whole (qemu-system, as qemu-user has no ptrace)"
    )]
    Elsewhere(&'static str),
}

impl Machine {
    /// Whether its programs run where this runs, on the kernels that can.
    pub fn runs_here(self) -> bool {
        self == Self::HOST || (self == Self::I386 && Self::HOST == Self::X86_64)
    }

    /// What its programs need of a kernel of the machine that this runs on, in a sentence: `None` if that is nothing special.
    pub fn kernel_needs(self) -> Option<&'static str> {
        (self == Self::I386 && Self::HOST == Self::X86_64).then_some(
            "a 64-bit kernel runs it only if it runs programs of 32 bits at all (CONFIG_IA32_EMULATION, not switched off by ia32_emulation=0)",
        )
    }

    /// Whether its programs can be converted by what this is compiled into; if not, why, and what to do. The one
    /// place that decides it.
    pub fn converts_here(self) -> Result<(), NotHere> {
        match self {
            machine if machine.runs_here() => Ok(()),
            other => Err(NotHere::Elsewhere(other.kernel_name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_run_here_is_converted_elsewhere() {
        assert_eq!(Machine::HOST.converts_here(), Ok(()));
        for other in Machine::ALL.into_iter().filter(|machine| *machine != Machine::HOST) {
            if let Err(reason) = other.converts_here() {
                let sentence = reason.to_string();
                assert!(sentence.contains(other.kernel_name()), "{sentence}");
            }
        }
    }
}
