//! Words that get an address: by the module that they point into, or by the resolver that fills them, each group
//! coded as distances from word to word.

use super::distances;
use crate::classify::{Resolver, Slide};
use crate::layout::placement::Addresses;
use crate::place::Place;

/// Words with the same target that slide alike; ascending.
pub struct SlideGroup {
    /// The module or resolver, by index.
    pub target: usize,
    /// The first word.
    pub first: Place,
    /// Where its distances begin in the stream.
    pub stream: usize,
    /// How many words.
    pub count: usize,
}

/// Slides by the module they point into, and slots by the resolver that fills them; each group's
/// words ascending.
pub struct SlideGroups {
    /// By module.
    pub slides: Vec<SlideGroup>,
    /// By resolver.
    pub resolvers: Vec<SlideGroup>,
    /// The distances of all.
    pub stream: Vec<u8>,
}

impl SlideGroups {
    /// Groups and codes them; a word has `word` bytes.
    pub fn new(slides: &[Slide], resolvers: &[Resolver], addresses: &Addresses, word: u64) -> Self {
        let mut stream = Vec::new();
        let words = slides.iter().map(|slide| (slide.target, slide.at));
        let slides = group(words, addresses, word, &mut stream);
        let slots = resolvers
            .iter()
            .enumerate()
            .flat_map(|(index, resolver)| resolver.slots.iter().map(move |&slot| (index, slot)));
        let resolvers = group(slots, addresses, word, &mut stream);
        Self { slides, resolvers, stream }
    }
}

/// Words that follow one another and have the same target, as groups.
fn group(
    words: impl Iterator<Item = (usize, Place)>,
    addresses: &Addresses,
    word: u64,
    stream: &mut Vec<u8>,
) -> Vec<SlideGroup> {
    let words: Vec<(usize, Place)> = words.collect();
    // What slides otherwise cannot be reached by a distance.
    let same =
        |a: &(usize, Place), b: &(usize, Place)| a.0 == b.0 && addresses.slide_alike(a.1, b.1);
    let groups = words.chunk_by(same).map(|group| {
        let (target, first) = group[0];
        let starts = [(target, first)].into_iter().chain(group.iter().copied());
        let distances: Vec<u64> =
            starts.zip(group).map(|((_, before), (_, at))| (*at - before) / word).collect();
        let start = stream.len();
        distances::push(stream, &distances, |_, _| ());
        SlideGroup { target, first, stream: start, count: group.len() }
    });
    groups.collect()
}
