//! What a client's reads may hold in memory at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes.
pub struct Room {
    all: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

impl Room {
    /// So many.
    pub fn new(all: u64) -> Self {
        Self { all, free: Mutex::new(all), freed: Condvar::new() }
    }

    /// Waits until there are as many; all of them are enough for everybody.
    pub fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.all);
        let mut free = self.free();
        while *free < bytes {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        Taken { room: self, bytes }
    }

    fn free(&self) -> MutexGuard<'_, u64> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some of it, until this is dropped.
pub struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.room.free() += self.bytes;
        self.room.freed.notify_all();
    }
}
