//! Contents that several frames hold: what could be saved of them, and between whom.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::class::Class;
use super::kind::Kind;
use super::options::Options;
use super::users::Sets;

/// Of a large duplicate, so many frames are kept.
const FRAMES: usize = 4;

/// A frame that holds a content.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Which of all.
    pub frame: u32,
    /// What it is.
    pub kind: Kind,
    /// Who uses it.
    pub set: u32,
}

/// A content that many frames hold. Ordered by what it would save.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Large {
    /// How many frames.
    pub frames: u64,
    /// Its hash; of equally large ones the smallest are kept.
    pub hash: Reverse<u128>,
    /// How many uses.
    pub pages: u64,
    /// Of which kinds.
    pub class: Class,
    /// Its first frames.
    pub first: Vec<u32>,
}

/// What was found.
pub struct Groups {
    /// How many contents.
    pub contents: u64,
    /// Frames that are more than contents.
    pub at_most: u64,
    /// Frames that KSM could save.
    pub attainable: u64,
    /// Of each domain, frames saved within it, and those that KSM could save.
    pub within: Vec<(u64, u64)>,
    /// How often contents are held by frames of just these sets, which are ascending.
    pub signatures: HashMap<Box<[u32]>, u64>,
    /// Of each set, frames that hold what others do.
    pub frames: Vec<u64>,
    largest: BinaryHeap<Reverse<Large>>,
    keep: usize,
    max_page_sharing: u64,
    /// Of the content that is looked at, domains of frames that only one uses, each with anonymous uses of the frame.
    owned: Vec<(u32, Option<u64>)>,
    sets: Vec<u32>,
}

impl Groups {
    /// None yet.
    pub fn new(domains: usize, sets: usize, options: &Options) -> Self {
        Self {
            contents: 0,
            at_most: 0,
            attainable: 0,
            within: vec![(0, 0); domains],
            signatures: HashMap::new(),
            frames: vec![0; sets],
            largest: BinaryHeap::new(),
            keep: options.largest,
            max_page_sharing: options.max_page_sharing.max(1),
            owned: Vec::new(),
            sets: Vec::new(),
        }
    }

    /// Adds a content with its frames, which are several. The class of those that are used once, and whether it is external.
    pub fn add(&mut self, hash: u128, held: &[Held], sets: &Sets) -> (Class, bool) {
        self.at_most += held.len() as u64 - 1;
        let class = class(held);
        let uses = |held: &Held| sets.uses(held.set).max(1);
        let mergeable = held.iter().filter(|held| held.kind.is_mergeable());
        let (frames, pages) =
            mergeable.fold((0, 0), |(frames, pages), held| (frames + 1, pages + uses(held)));
        self.attainable += attainable(frames, pages, self.max_page_sharing);

        self.owned.clear();
        self.sets.clear();
        for held in held {
            self.sets.push(held.set);
            if let Some(domain) = sets.only(held.set) {
                self.owned.push((domain, held.kind.is_mergeable().then(|| uses(held))));
            }
        }
        self.owned.sort_unstable();
        for of_domain in self.owned.chunk_by(|a, b| a.0 == b.0) {
            let mergeable = of_domain.iter().filter_map(|(_, uses)| *uses);
            let (frames, pages) = mergeable.fold((0, 0), |sum, uses| (sum.0 + 1, sum.1 + uses));
            let within = &mut self.within[of_domain[0].0 as usize];
            within.0 += of_domain.len() as u64 - 1;
            within.1 += attainable(frames, pages, self.max_page_sharing);
        }
        self.sets.sort_unstable();
        for alike in self.sets.chunk_by(|a, b| a == b) {
            self.frames[alike[0] as usize] += alike.len() as u64;
        }
        self.sets.dedup();
        match self.signatures.get_mut(&self.sets[..]) {
            Some(count) => *count += 1,
            None => {
                self.signatures.insert(self.sets[..].into(), 1);
            }
        }
        self.note_if_large(hash, held, class, sets);
        (class, self.is_external(sets))
    }

    /// Whether the sets of the content that is looked at are of several domains.
    fn is_external(&self, sets: &Sets) -> bool {
        let mut domains = self.sets.iter().flat_map(|&set| sets.get(set)).map(|(domain, _)| domain);
        let first = domains.next();
        domains.any(|domain| Some(domain) != first)
    }

    fn note_if_large(&mut self, hash: u128, held: &[Held], class: Class, sets: &Sets) {
        let frames = held.len() as u64;
        let is_full = self.largest.len() >= self.keep;
        let least = self.largest.peek().map_or(0, |least| least.0.frames);
        if self.keep == 0 || is_full && least >= frames {
            // Hashes ascend, so that of equally large ones the first stay.
            return;
        }
        if is_full {
            self.largest.pop();
        }
        let pages = held.iter().map(|held| sets.uses(held.set)).sum();
        let first = held.iter().take(FRAMES).map(|held| held.frame).collect();
        self.largest.push(Reverse(Large { frames, hash: Reverse(hash), pages, class, first }));
    }

    /// The contents that most frames hold, the largest first.
    pub fn largest(&mut self) -> Vec<Large> {
        let heap = std::mem::take(&mut self.largest);
        heap.into_sorted_vec().into_iter().map(|Reverse(large)| large).collect()
    }
}

/// Of what kinds frames are that hold the same.
fn class(held: &[Held]) -> Class {
    if held.iter().all(|held| held.kind.is_anonymous()) {
        Class::Anonymous
    } else if held.iter().all(|held| held.kind.is_named()) {
        Class::Named
    } else {
        Class::Mixed
    }
}

/// What is saved of so many frames if so many pages are in as few as may be.
fn attainable(frames: u64, pages: u64, max_page_sharing: u64) -> u64 {
    frames.saturating_sub(pages.div_ceil(max_page_sharing))
}
