//! Makers of CPUs.

/// Whose CPU: C libraries ask them for the sizes of their caches in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// GenuineIntel.
    Intel,
    /// AuthenticAMD.
    Amd,
    /// AuthenticAMD with ERMS, as from Zen 3 on.
    NewAmd,
}
