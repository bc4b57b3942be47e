//! Words that get an address: by the module that they point into, or by the resolver that fills them, each group
//! coded as distances from word to word.

use statify_params::leb128;

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
    /// Groups and codes them.
    pub fn new(slides: &[Slide], resolvers: &[Resolver], addresses: &Addresses) -> Self {
        let mut stream = Vec::new();
        let words = slides.iter().map(|slide| (slide.target, slide.at));
        let slides = group(words, addresses, &mut stream);
        let slots = resolvers
            .iter()
            .enumerate()
            .flat_map(|(index, resolver)| resolver.slots.iter().map(move |&slot| (index, slot)));
        let resolvers = group(slots, addresses, &mut stream);
        Self { slides, resolvers, stream }
    }
}

/// Words that follow one another and have the same target, as groups.
fn group(
    words: impl Iterator<Item = (usize, Place)>,
    addresses: &Addresses,
    stream: &mut Vec<u8>,
) -> Vec<SlideGroup> {
    let mut groups: Vec<SlideGroup> = Vec::new();
    let mut last = Place::default();
    for (target, at) in words {
        let start = stream.len();
        // What slides otherwise cannot be reached by a distance.
        let same = |group: &&mut SlideGroup| {
            group.target == target && addresses.slide_alike(group.first, at)
        };
        match groups.last_mut().filter(same) {
            Some(group) => {
                leb128::push(stream, (at - last) / 8);
                group.count += 1;
            }
            None => {
                leb128::push(stream, 0);
                groups.push(SlideGroup { target, first: at, stream: start, count: 1 });
            }
        }
        last = at;
    }
    groups
}
