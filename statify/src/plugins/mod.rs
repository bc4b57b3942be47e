//! Libraries that the program opens at run time: found by the loader itself or in a run of the
//! program ([`find`]), named ([`names`]), and put into the image with the agent that serves them
//! ([`embed`], [`index`]), to which the loader's system calls go ([`redirect`], [`patch`]).

mod check;
mod embed;
mod find;
mod index;
mod names;
mod patch;
mod plugin;
mod redirect;

pub use check::check;
pub use embed::{embed, locate};
pub use find::find;
pub use plugin::{Plugin, Plugins, Request};
