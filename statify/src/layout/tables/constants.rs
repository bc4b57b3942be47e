//! Words that are written, coded as distances from word to word and values.

use statify_params as params;
use statify_params::leb128;

use super::pile::{Pile, Placed};
use crate::layout::placement::Addresses;
use crate::place::{OutPlace, Place};

/// Words that slide alike.
struct Run {
    /// The first word.
    first: Place,
    /// The same in the output.
    start: OutPlace,
    /// Where it begins in the stream.
    stream: usize,
    /// How many words.
    count: usize,
}

/// Words that are written together, in a pile: a stream and a table of the runs in it.
pub struct Constants {
    runs: Vec<Run>,
    stream: Placed,
    /// Of [`params::ConstantRun`].
    pub table: Placed,
}

impl Constants {
    /// Groups and codes words, which are ascending. What says how far the stream lies below `Params` says nothing yet.
    pub fn add<'a>(
        words: impl IntoIterator<Item = &'a (Place, u64)>,
        addresses: &Addresses,
        pile: &mut Pile,
    ) -> Self {
        let (mut runs, mut stream): (Vec<Run>, _) = (Vec::new(), Vec::new());
        let mut last = Place::default();
        for &(at, value) in words {
            match runs.last_mut().filter(|run| addresses.slide_alike(run.first, at)) {
                Some(run) => {
                    leb128::push(&mut stream, (at - last) / 8);
                    run.count += 1;
                }
                None => {
                    let start = addresses.at(at);
                    runs.push(Run { first: at, start, stream: stream.len(), count: 1 });
                    leb128::push(&mut stream, 0);
                }
            }
            leb128::push_signed(&mut stream, value);
            last = at;
        }
        let stream = pile.bytes([&stream[..]]);
        let mut constants = Self { runs, stream, table: Placed::default() };
        constants.table = pile.table(constants.records(usize::MAX));
        constants
    }

    /// Says how far the stream lies below `Params`, which is to be at the pile's end.
    pub fn complete(&self, pile: &mut Pile) {
        let end = pile.len();
        pile.again(self.table, self.records(end));
    }

    fn records(&self, end: usize) -> impl Iterator<Item = params::ConstantRun> {
        self.runs.iter().map(move |run| params::ConstantRun {
            start: run.start.value(),
            stream: self.stream.below(end).offset.wrapping_sub(run.stream as u32),
            count: run.count as u32,
        })
    }
}
