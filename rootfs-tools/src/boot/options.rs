//! What is to be booted, and how.

use std::path::PathBuf;
use std::time::Duration;

use chunkstore::ChunkSize;
use regex::bytes::Regex;
use serde::Serialize;
use statify_process::ksm;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The guest as it was: a tree or an image.
    pub normal: PathBuf,
    /// The same guest with converted programs.
    pub converted: PathBuf,
    /// Where its root comes from.
    pub via: Vec<Via>,
    /// Whether equal pages of its memory are merged.
    pub ksm: Vec<bool>,
    /// How often each is booted.
    pub runs: u32,
    /// What stays: what the guests said, and the traces.
    pub report: PathBuf,
    /// For images, and what nobody need keep.
    pub scratch: PathBuf,
    /// The guests' kernel, if it is not to be taken from the tree.
    pub kernel: Option<PathBuf>,
    /// The initial file system, if none is to be made.
    pub initial_files: Option<PathBuf>,
    /// A static busybox for the initial file system that is made.
    pub busybox: Option<PathBuf>,
    /// More parameters of the kernel.
    pub append: String,
    /// Memory of the machine in MiB.
    pub memory: u64,
    /// Its CPUs.
    pub cpus: u32,
    /// What runs its instructions.
    pub accelerator: Accelerate,
    /// A guest is up when it says this.
    pub until: Regex,
    /// The size of the store's chunks.
    pub chunk: ChunkSize,
    /// How long a guest may take.
    pub patience: Duration,
    /// How long it is waited for that no more pages are merged.
    pub settle: Duration,
    /// Where KSM is switched.
    pub ksm_places: ksm::Places,
}

/// Where a guest's root comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// An ext4 image in a file.
    File,
    /// An EROFS image in a file.
    Erofs,
    /// An image in a chunk store, over NBD.
    Store,
}

/// What runs a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerate {
    /// The processor where it can, which is tried, else QEMU itself.
    Auto,
    /// The processor.
    Kvm,
    /// QEMU itself.
    Software,
}

/// One of the two guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// As it was.
    Normal,
    /// With converted programs.
    Converted,
}

impl Variant {
    /// Both, in the order of their places in pairs.
    pub const BOTH: [Self; 2] = [Self::Normal, Self::Converted];

    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Converted => "converted",
        }
    }
}

/// What is on an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// ext4.
    Ext4,
    /// EROFS.
    Erofs,
}

impl System {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Erofs => "erofs",
        }
    }
}

/// A way that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// An ext4 image in a file.
    File,
    /// An EROFS image in a file.
    Erofs,
    /// The store, of which nothing is here yet.
    StoreCold,
    /// The store, of which all is in the server's cache on the disk that was read the last time.
    StoreWarm,
    /// The store, of which nothing is here yet, and what was read the last time is fetched beforehand.
    StorePrefetch,
}

impl Way {
    /// The ways that these stand for.
    pub fn of(via: &[Via]) -> Vec<Self> {
        let ways = |via: &Via| match via {
            Via::File => vec![Self::File],
            Via::Erofs => vec![Self::Erofs],
            Via::Store => vec![Self::StoreCold, Self::StoreWarm, Self::StorePrefetch],
        };
        let mut all: Vec<Self> = Vec::new();
        for way in via.iter().flat_map(ways) {
            if !all.contains(&way) {
                all.push(way);
            }
        }
        all
    }

    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Erofs => "erofs",
            Self::StoreCold => "store-cold",
            Self::StoreWarm => "store-warm",
            Self::StorePrefetch => "store-prefetch",
        }
    }

    /// Whether it goes through the store.
    pub fn is_store(self) -> bool {
        !matches!(self, Self::File | Self::Erofs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_once() {
        assert_eq!(Way::of(&[Via::File, Via::File]), [Way::File]);
        assert_eq!(
            Way::of(&[Via::Store, Via::Erofs]),
            [Way::StoreCold, Way::StoreWarm, Way::StorePrefetch, Way::Erofs]
        );
    }
}
