//! What a store is for.

/// The words in which errors speak of a store, and the folders that it has.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// What the store is to the user, without its article, which is `a`: `cache`.
    pub noun: &'static str,
    /// Why nobody else may write to a directory, as the end of a sentence: `what is in it becomes programs`.
    pub stake: &'static str,
    /// How the owner of the store names itself in requests (the header User-Agent).
    pub agent: &'static str,
    /// It only saves time: an object store that fails several times in a row is not asked any more, and one that fails at first is
    /// as good as empty.
    pub saves_time: bool,
    /// The folders at the top, each a plain name.
    pub folders: &'static [&'static str],
}
