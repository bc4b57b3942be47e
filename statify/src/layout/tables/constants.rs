//! Words that are written, coded as distances from word to word and values.

use statify_params as params;
use statify_params::leb128;

use super::distances;
use super::pile::{Pile, Placed};
use crate::layout::placement::Addresses;
use crate::place::{OutPlace, Place};

/// Words that slide alike.
struct Run {
    /// The first word.
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
    /// Groups and codes words of `word` bytes, which are ascending. What says how far the stream lies below `Params` says nothing yet.
    pub fn add<'a>(
        words: impl IntoIterator<Item = &'a (Place, u64)>,
        addresses: &Addresses,
        word: u64,
        pile: &mut Pile,
    ) -> Self {
        let words: Vec<(Place, u64)> = words.into_iter().copied().collect();
        let mut stream = Vec::new();
        let alike = |a: &(Place, u64), b: &(Place, u64)| addresses.slide_alike(a.0, b.0);
        let runs = words.chunk_by(alike).map(|run| {
            let (first, _) = run[0];
            let starts = [first].into_iter().chain(run.iter().map(|word| word.0));
            let distances: Vec<u64> =
                starts.zip(run).map(|(before, (at, _))| (*at - before) / word).collect();
            let start = stream.len();
            distances::push(&mut stream, &distances, |stream, number| {
                leb128::push_signed(stream, run[number].1);
            });
            Run { start: addresses.at(first), stream: start, count: run.len() }
        });
        let runs = runs.collect();
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
