//! How large a whole tree is.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;

use crate::error::Result;
use crate::journal::record::Size;
use crate::tree::{self, Tree};

/// Bytes of a block as stat(2) counts them.
pub const BLOCK: u64 = 512;

/// Everything in it, but for what is mounted there of the running system and this tool's own. What
/// cannot be read counts nothing.
pub fn tree(tree: &Tree) -> Result<Size> {
    let mut size = Size::default();
    let mut seen = HashSet::new();
    let top = tree.top()?.file().metadata().ok();
    let entries = tree::walk(tree)?.filter_map(std::result::Result::ok);
    for stat in top.into_iter().chain(entries.map(|entry| entry.stat)) {
        if !stat.is_dir() && stat.nlink() > 1 && !seen.insert(tree::id(&stat)) {
            continue;
        }
        size.files += u64::from(!stat.is_dir());
        let len = if stat.is_file() { stat.len() } else { 0 };
        size.apparent = size.apparent.saturating_add(len);
        size.allocated = size.allocated.saturating_add(stat.blocks().saturating_mul(BLOCK));
    }
    Ok(size)
}
