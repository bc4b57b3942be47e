//! The size of a page.

/// Bytes of a page, on the one machine that is known.
pub const PAGE: usize = statify_elf::PAGE as usize;
