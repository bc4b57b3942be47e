//! How far a scan has come.

/// How far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames that were looked at.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}
