//! The C library's variables: GLIBC_TUNABLES and MALLOC_*. glibc's loader reads them before its
//! hand-off, so its own function for that is called again where one of them is set, and the C library's
//! that takes over what the loader has read.

use crate::Block;
use crate::params::Params;
use crate::stack::{AT_SECURE, Stack};

/// What is called by every name that begins so: the newest glibc has nine of these, older ones eight.
const OF_MALLOC: &[u8] = b"MALLOC_";
const TUNABLES: &[u8] = b"GLIBC_TUNABLES=";
/// What the record of the CPU is made by.
const OF_CPU: &[u8] = b"glibc.cpu.";

/// The variables of this process.
pub struct Tunables {
    /// `__tunables_init`, if there is anything to read.
    read: Option<unsafe extern "C" fn(*mut u64)>,
    /// `__libc_early_init`.
    take_over: Option<unsafe extern "C" fn(u64)>,
    envp: *mut u64,
    /// The record of the CPU depends on them.
    pub are_of_cpu: bool,
}

impl Tunables {
    /// Looks for them. A process with privileges that its caller lacks has none.
    ///
    /// # Safety
    ///
    /// The environment is as the kernel has made it; the parameters name functions of the block.
    pub unsafe fn find(p: &Params, block: Block, stack: &Stack) -> Self {
        let mut found =
            Self { read: None, take_over: None, envp: stack.envp, are_of_cpu: false };
        // SAFETY: a null pointer ends the array; all else points at strings that end with a NUL. The
        // functions are glibc's, and take a pointer and a truth value.
        unsafe {
            if p.read_tunables == 0 {
                return found;
            }
            let (mut entry, mut is_set) = (stack.envp, false);
            while *entry != 0 {
                let text = *entry as *const u8;
                is_set |= begins(text, OF_MALLOC);
                if begins(text, TUNABLES) {
                    is_set = true;
                    found.are_of_cpu |= contains(text, OF_CPU);
                }
                entry = entry.add(1);
            }
            if is_set && stack.value(AT_SECURE).is_none_or(|secure| secure == 0) {
                let function = block.at(p.read_tunables) as *const ();
                found.read = Some(core::mem::transmute::<*const (), unsafe extern "C" fn(*mut u64)>(
                    function,
                ));
                if p.take_over_tunables != 0 {
                    let function = block.at(p.take_over_tunables) as *const ();
                    found.take_over = Some(core::mem::transmute::<
                        *const (),
                        unsafe extern "C" fn(u64),
                    >(function));
                }
            } else {
                found.are_of_cpu = false;
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
        if let Some(read) = self.read {
            // SAFETY: the conversion has called it in this state.
            unsafe { read(self.envp) }
        }
    }

    /// Has the C library take over what concerns it.
    ///
    /// # Safety
    ///
    /// Likewise; its IFUNCs are chosen.
    pub unsafe fn take_over(&self) {
        if let Some(take_over) = self.take_over {
            // SAFETY: the conversion has called it in this state.
            unsafe { take_over(1) }
        }
    }
}

/// Whether a string begins with these bytes.
unsafe fn begins(text: *const u8, bytes: &[u8]) -> bool {
    // SAFETY: a NUL is none of the bytes, so nothing behind the first one is read.
    bytes.iter().enumerate().all(|(at, &byte)| unsafe { *text.add(at) } == byte)
}

/// Whether a string has these bytes somewhere.
unsafe fn contains(mut text: *const u8, bytes: &[u8]) -> bool {
    // SAFETY: the string ends with a NUL.
    unsafe {
        while *text != 0 {
            if begins(text, bytes) {
                return true;
            }
            text = text.add(1);
        }
    }
    false
}
