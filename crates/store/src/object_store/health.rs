//! When a store is not asked any more. It is there to save time, so it gets little time to fail in.

use std::sync::{Mutex, PoisonError};

use super::answer::Failure;

/// So many requests in a row come to nothing before no more are made.
const PATIENCE: u32 = 3;

/// How requests of one kind, reading or writing, have gone.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    in_a_row: u32,
    failed: u64,
    first: Option<String>,
    is_over: bool,
}

impl Health {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no more requests are to be made.
    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// One has been answered.
    pub(crate) fn good(&self) {
        self.state().in_a_row = 0;
    }

    /// One has come to nothing.
    pub(crate) fn bad(&self, failure: &Failure) {
        let mut state = self.state();
        state.in_a_row += 1;
        state.failed += 1;
        state.first.get_or_insert_with(|| failure.clause());
        state.is_over |= state.in_a_row >= PATIENCE || failure.is_lasting();
    }

    /// There is no need to try any more.
    pub(crate) fn end(&self) {
        self.state().is_over = true;
    }

    /// How many came to nothing, and why the first one did; `None` if none.
    pub(crate) fn failures(&self) -> Option<(u64, String)> {
        let state = self.state();
        state.first.clone().map(|first| (state.failed, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience() {
        let late = Failure::NoAnswer { why: "late".into(), late: true };
        let health = Health::default();
        for _ in 0..PATIENCE - 1 {
            health.bad(&late);
        }
        health.good();
        health.bad(&late);
        assert!(!health.is_over());
        assert_eq!(health.failures(), Some((u64::from(PATIENCE), "late".into())));
        let refused = Failure::Refused { status: 403, code: String::new(), region: String::new() };
        health.bad(&refused);
        assert!(health.is_over());
    }
}
