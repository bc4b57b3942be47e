//! How far it is: a bar on a terminal, with rate and time left; else a line for every twentieth part.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is shown on stderr.
pub struct Progress {
    quiet: bool,
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
}

impl Progress {
    /// Nothing but what is said, if `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, bar: None, total: 0, done: 0 }
    }

    /// There are so many steps.
    pub fn begin(&mut self, total: usize) {
        self.total = total;
        if self.quiet || !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
        let style = "{wide_bar} {pos}/{len} programs, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        self.bar = Some(bar);
    }

    /// One of them is done. What is told before the first step is none.
    pub fn step(&mut self) {
        if self.total == 0 {
            return;
        }
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if !self.quiet => {
                let part = |done: usize| done * 20 / self.total;
                if part(self.done) > part(self.done - 1) {
                    let percent = part(self.done) * 5;
                    self.say(&format!("{percent}% ({} of {} programs)", self.done, self.total));
                }
            }
            None => {}
        }
    }

    /// Says a line, above the bar.
    pub fn say(&self, line: &str) {
        let line = statify_printable::printable(line);
        match &self.bar {
            Some(bar) => bar.println(line),
            None => {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
