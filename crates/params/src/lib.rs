//! What a conversion tells the code that runs in its output. The types are written by `statify`, read by the images
//! of the crate `starter`, which are compiled with the same source, and read back by whoever looks into an output.

pub mod agent;
mod starter;

pub use starter::*;

/// The source of the starter's parameters, for the image that is compiled with it.
pub const STARTER: &str = include_str!("starter.rs");
/// The source of [`agent`], for the image that is compiled with it.
pub const AGENT: &str = include_str!("agent.rs");
