//! Progress on a terminal, for what takes over a second.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statify::Phase;

/// How long nothing is shown.
const QUIET: Duration = Duration::from_secs(1);

/// A line that names the current phase.
pub struct Progress {
    bar: Option<ProgressBar>,
    shown: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Progress {
    /// On a terminal, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        let shown = std::sync::Arc::default();
        if quiet || !std::io::stderr().is_terminal() {
            return Self { bar: None, shown };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        let (later, flag, since) = (bar.clone(), std::sync::Arc::clone(&shown), Instant::now());
        std::thread::spawn(move || {
            std::thread::sleep(QUIET.saturating_sub(since.elapsed()));
            if !later.is_finished() {
                flag.store(true, std::sync::atomic::Ordering::Relaxed);
                later.set_draw_target(ProgressDrawTarget::stderr());
                later.enable_steady_tick(Duration::from_millis(100));
            }
        });
        Self { bar: Some(bar), shown }
    }

    /// Shows the phase, if anything is shown.
    pub fn enter(&self, phase: Phase) {
        if let Some(bar) = &self.bar {
            bar.set_message(phase.name());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            if self.shown.load(std::sync::atomic::Ordering::Relaxed) {
                bar.finish_and_clear();
            } else {
                bar.finish();
            }
        }
    }
}
