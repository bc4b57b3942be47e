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

use statify_printable::amount::bytes as size;
