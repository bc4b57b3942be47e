//! What a check has found.

use super::problem::Problem;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What is not as it should be.
    pub problems: Vec<Problem>,
    /// What a user should know.
    pub notices: Vec<String>,
}
