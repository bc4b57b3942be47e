//! How far it is: a bar on a terminal, and nothing elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that counts bytes.
pub fn bytes(total: u64, quiet: bool) -> ProgressBar {
    bar(total, quiet, "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
}

/// A bar that counts packs.
pub fn packs(total: u64, quiet: bool) -> ProgressBar {
    bar(total, quiet, "{wide_bar} {pos}/{len} packs, {eta} left")
}

/// A bar that counts chunks.
pub fn chunks(total: u64, quiet: bool) -> ProgressBar {
    bar(total, quiet, "{wide_bar} {pos}/{len} chunks, {eta} left")
}

fn bar(total: u64, quiet: bool, style: &str) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
