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
    for entry in tree::walk(tree)?.filter_map(std::result::Result::ok) {
        let Ok(stat) = entry.metadata() else {
            continue;
        };
        if !stat.is_dir() && stat.nlink() > 1 && !seen.insert(tree::id(&stat)) {
            continue;
        }
        size.files += u64::from(!stat.is_dir());
        size.apparent += if stat.is_file() { stat.len() } else { 0 };
        size.allocated += stat.blocks() * BLOCK;
    }
    Ok(size)
}
