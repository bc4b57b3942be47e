//! AMD64.

use super::parts::Parts;

pub(super) const PARTS: Parts = Parts {
    emulator: "x86_64",
    console: "ttyS0",
    lines: 4,
    // On a busy machine, ticks of an emulated timer come too late for the test that some kernels make of it.
    parameters: "no_timer_check",
    board: |_| &[],
    emulated_cpu: str::to_owned,
};
