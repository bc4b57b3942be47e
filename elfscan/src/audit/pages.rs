//! Pages as this kernel has them, which maps and protects whole ones. On AArch64 they may be larger than the pages of 4 KiB that
//! contents are compared by.

use statify_process::procfs::page_size;

/// Rounds down to the start of a page.
pub fn down(address: u64) -> u64 {
    address & !(page_size() - 1)
}

/// Rounds up to the end of a page.
pub fn up(address: u64) -> u64 {
    down(address.saturating_add(page_size() - 1))
}
