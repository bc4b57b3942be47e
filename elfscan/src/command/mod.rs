//! The verbs: what each takes, and how its answer is shown.

pub mod audit;
pub mod check;
pub mod deps;
pub mod extract;
pub mod host;
pub mod sbom;
pub mod scan;
pub mod show;
