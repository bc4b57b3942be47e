//! Images in place of a directory (OCI image specification): the layers are put together, programs
//! converted, and these come as one more layer. All that was there stays, byte for byte.

mod convert;
mod digest;
mod docker;
mod image;
mod layers;
mod layout;
mod new_layer;
pub mod platform;
pub(crate) mod tarball;
pub mod whiteouts;

pub use convert::convert;
