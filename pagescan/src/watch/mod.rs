//! Memory over time: which pages are shared and which could be, how long that lasts, what changes, and what KSM does about it.
//!
//! [`run`] takes snapshots by whatever means it is given, makes a [`Sample`] of each, and gives it to [`Output`]s.

mod changes;
#[cfg(feature = "command-line")]
mod charts;
mod classes;
mod counters;
mod course;
mod csv;
#[cfg(feature = "command-line")]
mod html;
mod lifetimes;
#[cfg(test)]
mod made;
mod observer;
mod output;
#[cfg(feature = "command-line")]
mod plot;
mod run;
mod sample;
#[cfg(feature = "command-line")]
mod screen;
mod table;
#[cfg(feature = "command-line")]
mod view;

pub use changes::Changes;
#[cfg(feature = "command-line")]
pub use charts::{Chart, svg};
pub use classes::Classes;
pub use counters::{Kernel, Ksm, ProcessKsm};
pub use course::Course;
pub use csv::{csv_head, csv_line};
#[cfg(feature = "command-line")]
pub use html::html;
pub use lifetimes::{Lifetimes, Survival, Turnover};
pub use observer::Observer;
pub use output::{Form, Lines, Output};
pub use run::{Pace, run};
pub use sample::Sample;
#[cfg(feature = "command-line")]
pub use screen::Screen;
pub use table::{table_head, table_line};
#[cfg(feature = "command-line")]
pub use view::draw;
