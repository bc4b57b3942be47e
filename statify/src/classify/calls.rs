//! The system calls of the loader that each start repeats.

use super::frame::Frame;
use crate::capture::{Capture, KernelCall};
use crate::place::Place;

/// A system call that the starter repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// SYS_*.
    pub number: i64,
    /// Its arguments.
    pub args: [Argument; 4],
}

/// An argument of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A number, the same at each start.
    Number(u64),
    /// An address.
    Place(Place),
}

impl Argument {
    /// Its number where the call is recognised: nothing is recognised by an address.
    pub fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Place(place) => place.value(),
        }
    }
}

/// The calls that both captures made; an argument is a place if it moved with a group, by one of `slides`.
/// `None` if they made different calls.
pub fn calls(a: &Capture, b: &Capture, frame: &Frame, slides: &[u64]) -> Option<Vec<Call>> {
    if a.calls.len() != b.calls.len() {
        return None;
    }
    a.calls.iter().zip(&b.calls).map(|(a, b)| repeated(a, b, frame, slides)).collect()
}

fn repeated(a: &KernelCall, b: &KernelCall, frame: &Frame, slides: &[u64]) -> Option<Call> {
    let mut args = a.args.map(Argument::Number);
    for (argument, (first, second)) in args.iter_mut().zip(a.args.into_iter().zip(b.args)) {
        if first != second {
            if !slides.contains(&second.wrapping_sub(first)) {
                return None;
            }
            *argument = Argument::Place(frame.place(first));
        }
    }
    (a.number == b.number).then_some(Call { number: a.number, args })
}
