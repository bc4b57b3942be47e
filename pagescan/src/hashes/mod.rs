//! How fast hashes of pages are, and how often they take different pages for the same: the paper's figures 5.1 and 5.2 and table
//! 5.4, on pages of any process, guest or image of memory.

mod comparison;
mod contents;
mod freeze;
mod image;
mod made_up;
mod memory;
mod pages;
mod paper;
mod speed;
mod text;

pub use comparison::{Comparison, Plan, Row, compare};
pub use contents::{Contents, Mistakes};
pub use freeze::Frozen;
pub use image::Image;
pub use made_up::MadeUp;
pub use memory::{Part, ProcessMemory};
pub use pages::{PAGE, Pages};
pub use paper::paper_false_positives;
pub use speed::Speed;
pub use text::text;
