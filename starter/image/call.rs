//! Functions of the program's that the starter calls.

use crate::elf::Word;

/// Calls a function with one argument.
///
/// # Safety
///
/// `function` is one, and everything it uses is in place.
pub unsafe fn function(function: u64, argument: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let function: unsafe extern "C" fn(Word) -> Word = core::mem::transmute(function as Word);
        function(argument as Word) as u64
    }
}
