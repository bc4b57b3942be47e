//! Pages, in which the kernel maps files.

/// Size of a page on x86-64, in bytes.
pub const PAGE: u64 = 4096;

/// Rounds down to a page boundary.
pub const fn page_down(address: u64) -> u64 {
    address & !(PAGE - 1)
}

/// Rounds up to a page boundary.
pub const fn page_up(address: u64) -> u64 {
    address.saturating_add(PAGE - 1) & !(PAGE - 1)
}
