//! A line on the terminal, for what takes over a second.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use elfscan::scan::Counts;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// How long nothing is shown.
const QUIET: Duration = Duration::from_secs(1);
/// How often it is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Shows counts until it is dropped, if stderr is a terminal. Nobody knows how many files there will
/// be.
pub struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Of a scan that counts there.
    pub fn new(counts: &Arc<Counts>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (end, ended) = mpsc::channel();
        let counts = Arc::clone(counts);
        let thread = std::thread::spawn(move || {
            if ended.recv_timeout(QUIET) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let elf = HumanCount(counts.elf.load(Ordering::Relaxed));
                bar.set_message(format!("{elf} ELF files of {}", HumanCount(counts.sum())));
                bar.tick();
            }
            bar.finish_and_clear();
        });
        Self(Some((end, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            drop(end);
            // A panic there is no reason for another one here.
            let _ = thread.join();
        }
    }
}
