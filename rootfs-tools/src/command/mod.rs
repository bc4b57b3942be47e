//! The verbs: what each takes, and how its answer is shown.

pub mod check;
pub mod convert;
pub mod generate;
pub mod report;
pub mod restore;
