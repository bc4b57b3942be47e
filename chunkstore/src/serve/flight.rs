//! A chunk on its way: fetched by one, waited for by all who want it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The bytes of a chunk.
pub type Bytes = Arc<[u8]>;

/// A chunk on its way.
#[derive(Debug, Default)]
pub struct Flight {
    /// Who waits for it. Changed only while the list of all flights is held.
    waiters: AtomicUsize,
    state: Mutex<State>,
    landed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Option<Bytes>,
    /// Why it is not here yet.
    trouble: Option<String>,
}

/// What has become of one.
#[derive(Debug)]
pub enum Waited {
    /// Here it is.
    Here(Bytes),
    /// It is still not here, and why, if that is known.
    Late(Option<String>),
}

impl Flight {
    /// One more waits, or one less.
    pub fn board(&self) {
        self.waiters.fetch_add(1, Ordering::Relaxed);
    }

    /// See above.
    pub fn leave(&self) {
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether nobody waits any more.
    pub fn is_forsaken(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) == 0
    }

    /// A try has come to nothing; there will be another one.
    pub fn delay(&self, why: String) {
        self.state().trouble = Some(why);
    }

    /// It is here.
    pub fn land(&self, bytes: Bytes) {
        self.state().bytes = Some(bytes);
        self.landed.notify_all();
    }

    /// Waits until then.
    pub fn wait(&self, until: Instant) -> Waited {
        let mut state = self.state();
        loop {
            if let Some(bytes) = &state.bytes {
                return Waited::Here(bytes.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::Late(state.trouble.clone());
            }
            let waited = self.landed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
