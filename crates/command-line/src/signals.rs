//! Signals that would end a command: that none is lost, that one which was to be ignored stays so, and that the
//! command says one thing at its end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
use signal_hook::iterator::Signals;

/// They end a process that does not care for them.
const ENDING: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU];

/// Whether one of them has come, so that another thread says so and ends the process.
static IS_OVER: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on, a signal that would end the process runs `end`, which says what there is to say and comes back or
/// ends the process. Nothing else is said from then on.
pub fn at_end(end: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // A file that gets too large is an error of write(2) then, which is cleaned up behind as any other.
    flag(&[SIGXFSZ])?;
    let is_over = Arc::clone(IS_OVER.get_or_init(Arc::default));
    let mut signals = register(&ENDING, |heeded| {
        set_by(heeded, &is_over)?;
        Signals::new(heeded)
    })?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _alone = io::stderr().lock();
            end();
            std::process::exit(1);
        }
    });
    Ok(())
}

/// A flag that is set once one of `signals` comes.
pub fn flag(signals: &[i32]) -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    register(signals, |heeded| set_by(heeded, &flag))?;
    Ok(flag)
}

fn set_by(signals: &[i32], flag: &Arc<AtomicBool>) -> io::Result<()> {
    signals
        .iter()
        .try_for_each(|signal| signal_hook::flag::register(*signal, Arc::clone(flag)).map(drop))
}

/// Runs `register` with those of `signals` that this process was not started to ignore, as nohup(1) does and shells
/// do in the background. What comes meanwhile waits: it would be lost between the kernel's handler and what the
/// handler is to do.
pub fn register<T>(signals: &[i32], register: impl FnOnce(&[i32]) -> T) -> T {
    let heeded: Vec<i32> = signals.iter().copied().filter(|signal| !is_ignored(*signal)).collect();
    let mut before = SigSet::empty();
    let known = heeded.iter().filter_map(|signal| (*signal).try_into().ok());
    let waiting: SigSet = known.collect();
    let is_held = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&waiting), Some(&mut before)).is_ok();
    let registered = register(&heeded);
    if is_held {
        // It cannot fail with a mask that the kernel has given.
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    }
    registered
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: an all-zero structure is one, of this frame; nothing is changed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// What fails once a signal has come fails for that reason, and the other thread says so: this one waits for it.
pub(crate) fn leave_the_last_word() {
    while IS_OVER.get().is_some_and(|is_over| is_over.load(Ordering::SeqCst)) {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};

    use super::*;

    /// Set in a process of its own that is to be ended.
    const ENDED: &str = "STATIFY_TEST_ENDED";

    #[test]
    fn the_last_word_is_the_signals() {
        if std::env::var_os(ENDED).is_some() {
            at_end(|| {
                thread::sleep(Duration::from_millis(200));
                crate::say("command", "interrupted");
            })
            .unwrap();
            raise(Signal::SIGINT).unwrap();
            crate::failed("command", "what was going on has failed");
            return;
        }
        let own = ["--exact", "--nocapture", "signals::tests::the_last_word_is_the_signals"];
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.args(own).env(ENDED, "").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "command: interrupted\n");
        assert_eq!(output.status.code(), Some(1));
    }

    #[test]
    fn what_comes_too_early_waits() {
        let flag = Arc::new(AtomicBool::new(false));
        register(&[Signal::SIGUSR1 as i32], |heeded| {
            // It would end this process.
            raise(Signal::SIGUSR1).unwrap();
            set_by(heeded, &flag)
        })
        .unwrap();
        assert!(flag.load(Ordering::SeqCst));
    }
}
