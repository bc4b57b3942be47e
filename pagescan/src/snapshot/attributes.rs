//! What is known of a frame besides its contents.

use serde::{Deserialize, Serialize};

use super::flags::FrameFlags;

/// What many frames have alike.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Attributes {
    /// What is known of them.
    pub flags: FrameFlags,
    /// How many page tables have it (/proc/kpagecount); 0 for the page of zeros, and where nobody says.
    pub map_count: u32,
    /// How many uses of any kind it has (_refcount); 0 where nobody says.
    pub ref_count: u32,
    /// The control group that pays for it: inode of its directory (/proc/kpagecgroup); 0 for none.
    pub cgroup: u64,
}
