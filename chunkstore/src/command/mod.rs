//! The verbs.

pub mod cat;
pub mod cut;
pub mod diff;
pub mod export;
pub mod gc;
pub mod import;
pub mod ls;
pub mod rm;
pub mod serve;
pub mod sign;
pub mod stats;
pub mod trace;
pub mod verify;

/// A number of bytes for people: `12.3 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") }
}
