//! What has to be told of a kind of machine.

/// What QEMU and the kernel call the parts of a kind of machine.
pub(super) struct Parts {
    /// What QEMU's emulator of it is called behind `qemu-system-`.
    pub emulator: &'static str,
    /// The kernel's name of the first serial line.
    pub console: &'static str,
    /// How many serial lines a board has.
    pub lines: usize,
    /// Kernel parameters that only it has, or needs.
    pub parameters: &'static str,
    /// The board, with what it has only beside this CPU (`-machine`).
    pub board: fn(cpu: &str) -> &'static [&'static str],
    /// The CPU with what is to be said of it in software emulation (`-cpu`).
    pub emulated_cpu: fn(cpu: &str) -> String,
}
