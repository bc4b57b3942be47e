//! What the benchmarks have in common: programs started alike and measured, statify found and its conversions
//! measured, the machine named, tables.

pub mod binary;
pub mod convert;
pub mod loadable;
pub mod machine;
pub mod measure;
pub mod spawn;
pub mod style;
