//! What files take up: a whole tree's sizes, the blocks that its files share, and the unique chunks of files
//! and of an image; of the tree as it is, and as it was with the originals in the programs' place.

pub(crate) mod chunks;
pub(crate) mod ext4_image;
pub(crate) mod originals;
pub(crate) mod physical;
pub(crate) mod size;
