//! Pages, in which the kernel maps files, and what may be done with them.

/// mmap(2) and mprotect(2): it can be read. A bit of the mappings' protections everywhere here, as wide as
/// /proc/PID/maps, program headers and the starter's tables need it.
pub const PROT_READ: u32 = libc::PROT_READ as u32;
/// mmap(2) and mprotect(2): it can be written to.
pub const PROT_WRITE: u32 = libc::PROT_WRITE as u32;
/// mmap(2) and mprotect(2): it can be executed.
pub const PROT_EXEC: u32 = libc::PROT_EXEC as u32;

/// Size of a page, in bytes: the one in which the kernel maps files for every [`crate::machine::Machine`].
pub const PAGE: u64 = 4096;

/// Rounds down to a page boundary.
pub const fn page_down(address: u64) -> u64 {
    address & !(PAGE - 1)
}

/// Rounds up to a page boundary.
pub const fn page_up(address: u64) -> u64 {
    address.saturating_add(PAGE - 1) & !(PAGE - 1)
}
