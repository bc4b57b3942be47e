//! Ends a capture that takes too long.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use statify_process::kill;

use super::stopwatch::Stopwatch;

/// The clock is not looked at more often than that.
const STEP: Duration = Duration::from_millis(10);

/// Kills a process when its time is over, unless it is dropped before.
pub struct Watchdog {
    fired: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts the clock, which stands still while this process is looking into files.
    pub fn start(
        pid: Pid,
        pidfd: Option<OwnedFd>,
        time: Duration,
        looking: Arc<Stopwatch>,
    ) -> Self {
        let fired = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = channel();
        let flag = Arc::clone(&fired);
        let (begun, before) = (Instant::now(), looking.elapsed());
        let thread = std::thread::spawn(move || {
            loop {
                let time = time + looking.elapsed().saturating_sub(before);
                let left = time.saturating_sub(begun.elapsed());
                // What is left stays as it is as long as the clock stands still.
                let pause = if left.is_zero() { left } else { left.max(STEP) };
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                if left.is_zero() {
                    break;
                }
            }
            flag.store(true, Ordering::SeqCst);
            kill(pid, pidfd.as_ref());
        });
        Self { fired, stop: Some(stop), thread: Some(thread) }
    }

    /// Whether the time was over.
    pub fn fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
