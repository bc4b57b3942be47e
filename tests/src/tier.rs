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
    ("arm64/", "a machine is emulated, with compilers in it"),
    ("bad_input/corrupted/anywhere/", "hundreds of conversions; truncated is quick"),
    ("bad_input/corrupted/headers/", "hundreds of conversions"),
    ("chunkstore/clients/half-a-handshake", "it is waited for a time-out"),
    ("chunkstore/diff/damaged", "80 file systems are damaged, cut and compared"),
    ("chunkstore/faults/", "a store that fails in many ways, and waits"),
    ("chunkstore/faulty-store/a-byte-a-second", "stands-still-halfway is quick"),
    ("chunkstore/faulty-store/status-404", "403 and 500 are quick"),
    ("chunkstore/faulty-store/status-503", "403 and 500 are quick"),
    ("chunkstore/faulty-store/too-short", "cut-off is quick"),
    ("chunkstore/faulty-store/zeros", "flipped-bit is quick"),
    ("chunkstore/object-store/long-lists", "more than a thousand objects"),
    ("chunkstore/tls/half-a-handshake", "it is waited for a time-out"),
    ("cpus/", "every fixture on seven emulated CPUs"),
    ("elfscan/audit/tampering-by-mprotect", "as with full RELRO, which is quick"),
    ("elfscan/audit/tampering-with-full-relro-fixed", "converted is quick"),
    ("elfscan/audit/tampering-with-partial-relro-converted", "full RELRO, converted is quick"),
    ("elfscan/audit/tampering-with-partial-relro-fixed", "full RELRO, converted is quick"),
    ("elfscan/audit/tampering-with-absolute-relro", "partial and full RELRO are quick"),
    ("elfscan/audit/tampering-with-no-relro", "partial and full RELRO are quick"),
    ("elfscan/check/every-bit-of-headers-and-tables", "thousands of checks"),
    ("elfscan/deps/as-ld.so-lists-it-on-the-whole-machine", "every program of the machine"),
    ("elfscan/deps/by-the-rule-that-ld.so-says", "hundreds of programs"),
    ("elfscan/extract/gdb", "gdb reads what it can of a large program; backtraces are quick"),
    ("elfscan/scan/agrees/", "every ELF file of /usr, by several other tools"),
    ("old_kernels/", "every fixture once more, twice"),
    ("plugins/fixture/", "those fixtures once more"),
    ("plugins/with/hundred-plugins/", "a hundred libraries are compiled"),
    ("pool/fixture/", "every fixture once more"),
    ("pool/verity/", "a guest is booted"),
    ("properties/images/", "what builds the images is built once more"),
    ("properties/shape/program-headers/100-libraries", "a hundred libraries are compiled"),
    ("real_work/", "compilers, interpreters and databases do whole jobs, original and converted"),
    ("rootfs/archives/every-format", "one format is quick"),
    ("rootfs/bad-input/100000-files", "that many files are made"),
    ("rootfs/boot/every-way", "dozens of boots; from-a-file is quick"),
    ("rootfs/dry-run/estimate-aligned", "estimate is quick"),
    ("rootfs/killed/", "a run is ended at each of its steps"),
    ("rootfs/malicious/loops", "it is waited for time-outs"),
    ("rootfs/power/", "file systems are cut off from their power at each step"),
    ("rootfs/object-store/", "a server that fails in many ways, and waits"),
    ("rootfs/pool/shared-blocks", "a file system is made and mounted"),
    ("rootfs/reflink/btrfs", "a file system is made and mounted"),
    ("rootfs/reflink/xfs", "a file system is made and mounted"),
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
