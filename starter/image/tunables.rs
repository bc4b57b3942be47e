//! The C library's variables: GLIBC_TUNABLES and MALLOC_*. glibc's loader reads them before its
//! hand-off, so its own function for that is called again where one of them is set, and the C library's
//! that takes over what the loader has read.

use crate::arch::{self, Pages};
use crate::params::{FROZEN_TUNABLES as FROZEN, Params};
use crate::stack::{AT_SECURE, Stack};
use crate::{Block, call};

/// So begin the names of the variables for malloc; which there are is the loader's business.
const OF_MALLOC: &[u8] = b"MALLOC_";
const TUNABLES: &[u8] = b"GLIBC_TUNABLES=";

/// The variables of this process.
pub struct Tunables {
    envp: u64,
    /// The functions; 0 if they need not be called.
    read: u64,
    take_over: u64,
    /// The record of the CPU may depend on them.
    pub are_of_cpu: bool,
}

impl Tunables {
    /// Looks for them. A process with privileges that its caller lacks has none. What the C library takes over is the size
    /// of pages, too.
    ///
    /// # Safety
    ///
    /// A null pointer ends the environment; all else in it points at strings that end with a NUL.
    pub unsafe fn find(p: &Params, pages: Pages, block: Block<'_>, stack: &Stack) -> Self {
        let mut found = Self { envp: stack.envp as u64, read: 0, take_over: 0, are_of_cpu: false };
        let take_over = || match p.take_over_tunables {
            0 => 0,
            function => block.at(function),
        };
        if arch::FRONT_GAP != 0 && pages.size() != p.page_size {
            found.take_over = take_over();
        }
        if p.read_tunables <= FROZEN || stack.value(AT_SECURE).is_some_and(|secure| secure != 0) {
            return found;
        }
        let mut entry = stack.envp;
        // SAFETY: the caller's promise.
        unsafe {
            while *entry != 0 {
                let of_any = begins(*entry as u64, TUNABLES);
                found.are_of_cpu |= of_any;
                if of_any || begins(*entry as u64, OF_MALLOC) {
                    found.read = block.at(p.read_tunables);
                    found.take_over = take_over();
                }
                entry = entry.add(1);
            }
        }
        found
    }

    /// Has the loader read them.
    ///
    /// # Safety
    ///
    /// All is in place but for the final permissions.
    pub unsafe fn read(&self) {
        if self.read != 0 {
            // SAFETY: the conversion has called it in this state.
            unsafe { call::function(self.read, self.envp) };
        }
    }

    /// Has the C library take over what concerns it.
    ///
    /// # Safety
    ///
    /// Likewise; its IFUNCs are chosen.
    pub unsafe fn take_over(&self) {
        if self.take_over != 0 {
            // SAFETY: the conversion has called it in this state.
            unsafe { call::function(self.take_over, 1) };
        }
    }
}

/// Whether the string at an address begins with these bytes.
unsafe fn begins(text: u64, bytes: &[u8]) -> bool {
    let text = text as *const u8;
    // SAFETY: a NUL is none of the bytes, so nothing behind the first one is read.
    bytes.iter().enumerate().all(|(at, &byte)| unsafe { *text.add(at) } == byte)
}
