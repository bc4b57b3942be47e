//! What is answered. As JSON it is what `--json` prints: names are those of the fields, numbers of pages and frames are whole.

use serde::Serialize;

use super::class::{Classes, Count};
use super::options::By;

/// Who shares what, and who could.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// What was classified.
    pub snapshots: Vec<Taken>,
    /// Bytes of a page.
    pub page_size: u32,
    /// What domains are.
    pub by: By,
    /// Every page that is used, by its class.
    pub classes: Classes,
    /// Frames that are free: of no class.
    pub free_frames: u64,
    /// Different contents of frames that were read and are not zero.
    pub contents: u64,
    /// What could be saved.
    pub savable: Savable,
    /// What KSM has merged.
    pub ksm: Merged,
    /// The domains, the one with the most pages first.
    pub domains: Vec<Domain>,
    /// Who shares with whom.
    pub matrix: Matrix,
    /// The contents that most could be saved of.
    pub largest: Vec<Duplicate>,
    /// The files that processes map, the one with the most pages first.
    pub files: Vec<MappedFile>,
    /// What sharing of files saves.
    pub effect: Effect,
}

/// A snapshot that was classified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The file that it is in.
    pub file: String,
    /// The machine.
    pub host: String,
    /// When, in nanoseconds since 1970.
    pub taken: u64,
    /// What it lacks, in sentences.
    pub lacks: Vec<String>,
}

/// Frames that could be saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Savable {
    /// If each content that is not zero were in one frame.
    pub at_most: u64,
    /// Of these, within domains: if each domain's own frames were merged with one another.
    pub internal: u64,
    /// The rest.
    pub external: u64,
    /// What KSM can save of them: anonymous frames only, with `max_page_sharing` pages in each at most.
    pub attainable: u64,
    /// What it can save if it merges within domains only.
    pub attainable_internal: u64,
    /// At most so many pages are in one frame of KSM's.
    pub max_page_sharing: u64,
    /// Frames of zeros, but for the kernel's own page.
    pub zero: u64,
    /// Those of them that are anonymous.
    pub zero_attainable: u64,
}

/// What KSM has merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// Its pages and frames.
    #[serde(flatten)]
    pub count: Count,
    /// Frames that there would be more without it.
    pub saved: u64,
}

/// A domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// How it is called.
    pub name: String,
    /// Its pages, and the frames that they are in.
    #[serde(flatten)]
    pub count: Count,
    /// The frames that nobody else uses.
    pub own_frames: u64,
    /// Its pages in frames that are used more than once, by whomever.
    pub shared: u64,
    /// Its pages that are like others.
    pub opportunity: u64,
    /// Its pages that are like no other.
    pub private: u64,
    /// Its pages of zeros.
    pub zero: u64,
    /// Its pages that were not read.
    pub unread: u64,
    /// Frames saved if its own frames were merged with one another.
    pub savable: u64,
    /// The same by KSM.
    pub attainable: u64,
}

/// Who shares with whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The domains that are held against one another: the first of `domains`, so many.
    pub domains: usize,
    /// Pairs of them that share something or could, by their places in `domains`; also each with itself.
    pub pairs: Vec<Pair>,
}

/// Two domains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Pair {
    /// One.
    pub a: usize,
    /// The other, or the same.
    pub b: usize,
    /// Frames that both use; of one domain, that it uses more than once. Those of zeros are left out.
    pub shared: u64,
    /// Contents that both have, in no frame that both use: so many frames would be saved between the two. Of one domain, frames
    /// saved if all that it uses were merged with one another.
    pub could: u64,
}

/// A content that several frames hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// Its hash.
    pub hash: String,
    /// Its pages and frames.
    #[serde(flatten)]
    pub count: Count,
    /// `anonymous`, `named` or `mixed`.
    pub kind: &'static str,
    /// Some places where it is.
    pub places: Vec<String>,
}

/// A file that is mapped, or cached.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MappedFile {
    /// The machine, if there are several.
    pub machine: Option<String>,
    /// Its path.
    pub path: String,
    /// The file system's device.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// A process that executes another file maps it to be executed.
    pub is_library: bool,
    /// How many processes map it.
    pub processes: u64,
    /// Pages of address space that are mapped of it, in memory or not.
    pub address_pages: u64,
    /// Pages of address spaces that are in frames of its own, and those frames.
    #[serde(flatten)]
    pub count: Count,
    /// Pages per frame.
    pub sharing: f64,
    /// Pages of address spaces that were its own before they were written to.
    pub copies: u64,
}

/// The effect of shared libraries, as the first paper (section 5.1) has it from exmap: `(V - U) / (R - U)` of virtual, real and
/// unique memory. It does not say whether virtual memory is what is mapped or what of it is in memory, so here are both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Effect {
    /// V: pages of address spaces that are in memory (the sum of Rss), but for zeros.
    pub resident_pages: u64,
    /// R: the frames that they are in.
    pub real_frames: u64,
    /// U: frames that are used once.
    pub unique_frames: u64,
    /// (V - U) / (R - U): how often a frame that is used more than once is used.
    pub resident_effect: Option<f64>,
    /// V - U: pages of address space that are mapped of libraries, in memory or not.
    pub library_address_pages: u64,
    /// R - U: frames of libraries.
    pub library_frames: u64,
    /// The quotient of both.
    pub address_effect: Option<f64>,
}
