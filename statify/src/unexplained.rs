//! Words that differ between two captures for no known reason.

use std::fmt;

/// So many are kept for a report; of more than that one knows how many there are.
pub const MOST_KEPT: usize = 64;

/// A word that is not explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The path of the module that it is in, or what else it is in.
    pub module: String,
    /// Its distance from the module's start, in bytes.
    pub offset: u64,
    /// The name of the section that it is in, if the module has section headers.
    pub section: Option<String>,
    /// The symbol that a relocation writes there, or that the word is a part of.
    pub symbol: Option<String>,
    /// Its value in the first capture.
    pub first: u64,
    /// Its value in the second.
    pub second: u64,
}

/// Words that are not explained: one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// How many there are.
    pub count: usize,
    /// The first of them, [`MOST_KEPT`] at most.
    pub kept: Vec<Word>,
}

impl fmt::Display for Word {
    /// What a sentence says of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module, offset, first, second, .. } = self;
        write!(f, "offset {offset:#x} of {module}: {first:#x} and {second:#x}")
    }
}

impl fmt::Display for Words {
    /// How many there are, and the first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} word(s) differ between two runs and are not explained", self.count)?;
        self.kept.first().map_or(Ok(()), |word| write!(f, ", the first at {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_the_first() {
        let word = Word {
            module: "/lib/a.so".into(),
            offset: 0x4010,
            section: Some(".data".into()),
            symbol: None,
            first: 1,
            second: 0x20,
        };
        let words = Words { count: 70, kept: vec![word; 2] };
        assert_eq!(
            words.to_string(),
            "70 word(s) differ between two runs and are not explained, the first at offset 0x4010 \
             of /lib/a.so: 0x1 and 0x20"
        );
    }
}
