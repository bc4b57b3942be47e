//! What loaders say of libraries that they did not find.

/// A library that a loader did not find, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingLibrary {
    /// The name that was looked for.
    pub name: String,
    /// The file that needs it, if the loader says so.
    pub needed_by: Option<String>,
}
