//! When a test is run: which are of the slow tier stands here, and nowhere else.

/// When a test is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// By `cargo test`: all of them together take minutes.
    Quick,
    /// By `cargo slow`, and always in CI.
    Slow,
}

/// What begins the names of tests of the slow tier, and why it is one.
pub const SLOW: &[(&str, &str)] = &[
    ("bad_input/corrupted/anywhere/", "hundreds of conversions; truncated and headers/0 are quick"),
    ("bad_input/corrupted/headers/1", "hundreds of conversions"),
    ("bad_input/corrupted/headers/2", "hundreds of conversions"),
    ("bad_input/corrupted/headers/3", "hundreds of conversions"),
    ("bad_input/corrupted/headers/4", "hundreds of conversions"),
    ("bad_input/corrupted/headers/5", "hundreds of conversions"),
    ("bad_input/corrupted/headers/6", "hundreds of conversions"),
    ("bad_input/corrupted/headers/7", "hundreds of conversions"),
    ("cpus/", "every fixture on seven emulated CPUs"),
    ("elfscan/scan/agrees/", "every ELF file of /usr, by several other tools"),
    ("old_kernels/", "every fixture once more, twice"),
    ("plugins/with/hundred-plugins/", "a hundred libraries are compiled"),
    ("properties/shape/program-headers/100-libraries", "a hundred libraries are compiled"),
    ("real_work/", "compilers, interpreters and databases do whole jobs, original and converted"),
    ("rootfs/killed/", "a run is ended at each of its steps"),
    ("rootfs/power/", "file systems are cut off from their power at each step"),
    ("rootfs/object-store/", "a server that fails in many ways, and waits"),
];

impl Tier {
    /// That of the test `name`, `SUITE/NAME`.
    pub fn of(name: &str) -> Self {
        match SLOW.iter().any(|(start, _)| name.starts_with(start)) {
            true => Self::Slow,
            false => Self::Quick,
        }
    }
}
