//! What a conversion tells the code that runs in its output. The types are written by `statify`, read by the images
//! of the crate `starter`, which are compiled with the same source, and read back by whoever looks into an output: as bytes by
//! zerocopy, which knows of each type that it has no padding. (The images do without.)

pub mod agent;
pub mod leb128;
mod starter;

pub use starter::*;

impl Range {
    /// PROT_* bits of mmap(2), [`PROT_BTI`] among them.
    pub fn permissions(&self) -> u32 {
        (self.prot & !(WHOLE_FIRST | WHOLE_LAST)) as u32
    }
}

/// The source of the starter's parameters, for the image that is compiled with it.
pub const STARTER: &str = include_str!("starter.rs");
/// The source of [`agent`], for the image that is compiled with it.
pub const AGENT: &str = include_str!("agent.rs");

// The images are little-endian, and so is who writes and reads their parameters.
const _: () = assert!(cfg!(target_endian = "little"));
