//! The verbs: what each takes, and how its answer is shown.

pub mod boot;
pub mod check;
pub mod convert;
pub mod report;
pub mod restore;
