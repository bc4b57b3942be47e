//! Arm's 64-bit architecture.

use super::parts::Parts;

/// QEMU's CPU that has all that it can emulate.
const EVERYTHING: &str = "max";

pub(super) const PARTS: Parts = Parts {
    emulator: "aarch64",
    console: "ttyAMA0",
    lines: 1,
    parameters: "",
    board,
    emulated_cpu,
};

/// Memory has tags only beside a CPU that knows them (QEMU's docs/system/arm/virt.rst).
fn board(cpu: &str) -> &'static [&'static str] {
    if cpu == EVERYTHING { &["virt", "mte=on"] } else { &["virt"] }
}

/// Pointers are signed by an algorithm of QEMU's own: the architecture's takes most of the time in emulation
/// (QEMU's docs/system/arm/cpu-features.rst).
fn emulated_cpu(cpu: &str) -> String {
    if cpu == EVERYTHING { format!("{cpu},pauth-impdef=on") } else { cpu.to_owned() }
}
