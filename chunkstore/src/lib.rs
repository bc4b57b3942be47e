//! Disk images as chunks: an image is cut into pieces that are named by their contents (SHA-256) and kept once, however
//! many images have them; whoever has the image's index can have the image back, or any part of it.
//!
//! [`cut::cut`] cuts an image into a [`Store`], [`Image`] reads from it, [`serve`] serves it as a block device. A store has
//! chunks in [`pack`]s and an [`index::Index`] for each image. Nothing that comes out of a store is believed: a chunk is what its
//! name says, or an error.

mod chunking;
pub mod cut;
pub mod diff;
mod error;
pub mod exchange;
mod fetch;
mod frame;
pub mod gc;
pub mod image;
pub mod index;
mod known;
mod name;
pub mod pack;
pub mod repack;
pub mod serve;
#[cfg(feature = "sign")]
mod sign;
mod signature;
mod size;
pub mod stats;
mod store;
pub mod verify;

pub use chunking::{Bounds, Chunking};
pub use error::{Error, Result};
pub use image::Image;
pub use name::ChunkName;
#[cfg(feature = "sign")]
pub use sign::Signer;
pub use signature::{Comment, Sign, Trust};
pub use size::ChunkSize;
pub use store::Store;
