//! A run over a tree ([`convert`]), as its phases: opened, what ended runs left recovered, programs found, each
//! converted, and originals replaced, many at a time. Besides: what is undone ([`restore`]), and what would be
//! done ([`estimate`]).

pub mod convert;
pub mod donor;
pub mod estimate;
mod give_names;
mod open;
pub mod options;
pub mod outcome;
mod recover;
pub mod reflink;
mod replace;
pub mod restore;
mod stop;
mod times;
mod unit;
mod work;
