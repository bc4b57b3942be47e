//! What is otherwise for a program that is built for musl: `Musl-Stdout`, `Musl-Exit`, `Musl-Signal` and
//! `Musl-Refuses` stand in place of the directives without `Musl-`.

use regex::bytes::Regex;

use super::values::{end_by_signal, end_by_status, once, pattern, push_line};
use crate::process::End;

/// The directives that begin with `Musl-`.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    pub(super) end: Option<End>,
    pub(super) stdout: Option<String>,
    pub(super) refuses: Option<Regex>,
}

impl Overlay {
    /// Takes a directive; `key` is without `Musl-`.
    pub(super) fn directive(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "Exit" => once(&mut self.end, end_by_status(value)?),
            "Signal" => once(&mut self.end, end_by_signal(value)?),
            "Stdout" => {
                push_line(self.stdout.get_or_insert_default(), value);
                Ok(())
            }
            "Refuses" => once(&mut self.refuses, pattern(value)?),
            _ => Err(format!("unknown directive `Musl-{key}`")),
        }
    }
}
