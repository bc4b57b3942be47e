//! What a run tells while it goes on.

use statify_process::ksm;

/// What happens meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Something is begun, in words.
    Begun(&'a str),
    /// Something was found, in words.
    Found(&'a str),
    /// KSM is ours from here on: how to put it back if the process is to end early.
    Ksm(&'a ksm::PutBack),
}
