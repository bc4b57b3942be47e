//! What follows the size of pages (AT_PAGESZ), on machines whose kernels have several. No capture can be told another size than
//! the kernel's, since the loader maps by it; so the word is looked for that getpagesize(3) answers from: one that holds the
//! size, and whose change changes the answer. What the C library has made of it, for threads, it makes again at a start where
//! the size is another (`__libc_early_init`, as for [`super::tunables`]).

use statify_elf::PAGE;

use super::frame::Frame;
use super::known::Value;
use super::memory::Fixup;
use crate::capture::auxv::AT_PAGESZ;
use crate::capture::rehearse::Rehearsal;
use crate::capture::{Capture, functions};
use crate::place::Place;

/// The function that tells (glibc, musl).
const FUNCTION: &[u8] = b"getpagesize";
/// Words that hold the size are tried up to so many.
const MOST: usize = 64;

/// The size that the loader was told of, in bytes.
pub fn told(capture: &Capture) -> u64 {
    capture.stack.value(AT_PAGESZ).unwrap_or(PAGE)
}

/// Finds the word, in a process at its hand-off.
pub fn study(capture: &Capture, rehearsal: &mut Rehearsal<'_>, fixed: bool) -> Option<Place> {
    let size = told(capture);
    let (_, function) = functions::exported(capture, FUNCTION, |_| true)?;
    let word = capture.machine.word();
    let loader = &capture.loader()?.range;
    let pages = capture.pages.addresses().iter().filter(|page| loader.contains(page));
    let addresses = pages.flat_map(|page| (*page..page + PAGE).step_by(word as usize));
    let holding = addresses.filter(|address| capture.word(*address) == Some(size)).take(MOST);
    let mut found = holding.filter(|&address| {
        rehearsal.answer_while(capture, (address, 2 * size), function) == Some(2 * size)
    });
    found.next().map(|address| Frame::new(capture, fixed).place(address))
}

/// The words that hold the size: the one that was found, and that of musl's allocator, which it keeps behind its secret
/// (`struct malloc_context` in musl's src/malloc/mallocng/meta.h).
pub fn fixups(capture: &Capture, frame: &Frame, found: Place, known: &[Fixup]) -> Vec<Fixup> {
    let word = capture.machine.word();
    let secrets = known.iter().filter(|fixup| fixup.value == Value::PointerGuard);
    let behind = secrets.map(|fixup| fixup.at + word);
    let held = behind.filter(|at| capture.word(frame.address(*at)) == Some(told(capture)));
    let value = || Value::Aux(AT_PAGESZ as u16);
    let all = held.chain([found]);
    all.map(|at| Fixup { at, width: word as u8, value: value() }).collect()
}
