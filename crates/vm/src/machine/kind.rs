//! The kinds of machines that can be emulated.

use super::parts::Parts;
use super::{aarch64, x86_64};

/// A kind of machine, by its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// AMD64, on the board that QEMU takes by itself.
    X86_64,
    /// Arm's 64-bit architecture, on QEMU's `virt`, which stands for no real board.
    Aarch64,
}

impl Kind {
    /// That of this machine.
    #[cfg(target_arch = "x86_64")]
    pub const HERE: Self = Self::X86_64;
    /// That of this machine.
    #[cfg(target_arch = "aarch64")]
    pub const HERE: Self = Self::Aarch64;

    pub(super) fn parts(self) -> &'static Parts {
        match self {
            Self::X86_64 => &x86_64::PARTS,
            Self::Aarch64 => &aarch64::PARTS,
        }
    }

    /// The emulator's command.
    pub(super) fn emulator(self) -> String {
        format!("qemu-system-{}", self.parts().emulator)
    }
}
