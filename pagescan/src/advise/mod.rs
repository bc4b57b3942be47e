//! What KSM would win, before it is switched on: how much, how soon, for how much CPU, and why some memory does not merge.
//!
//! [`advice`] reads as its phases: which pages KSM may merge ([`candidates`]), which of them change too often ([`changed`]), how
//! many frames are left of the rest ([`forecast`]), and how long that takes ([`duration`]). What KSM does is told from what
//! mm/ksm.c of Linux 6.18 does.

mod advice;
pub mod candidates;
pub mod changed;
pub mod cost;
pub mod duration;
pub mod forecast;
pub mod obstacle;
mod pages;
pub mod settings;
pub mod smart_scan;
#[cfg(test)]
mod tests;
pub mod text;

pub use advice::{Advice, Choice, OfProcess, Question, Settled, advice};
