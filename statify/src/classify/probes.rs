//! What the further captures tell: each varies one thing, and is asked only about that. The
//! loader's heap shifts in them, so that only modules' own data can be compared.

use statify_elf::{PAGE, little_endian};

use super::frame::Frame;
use super::known::Value;
use super::memory::{Fixup, Module};
use crate::capture::Capture;
use crate::capture::variation::NEWER_AUXV;
use crate::place::Place;

/// The addresses of words that hold the address of a vDSO function when the vDSO is not hidden, and what a start writes there.
pub fn vdso_functions(capture: &Capture) -> impl Iterator<Item = (u64, u8, Value)> {
    let size = capture.machine.word();
    capture.pages.iter().flat_map(move |(address, page)| {
        let words = page.chunks_exact(size as usize).enumerate();
        words.filter_map(move |(index, word)| {
            let name = capture.vdso.name(little_endian(word))?;
            let at = address + size * index as u64;
            Some((at, size as u8, Value::Vdso(name.to_owned())))
        })
    })
}

/// What words are that hold an auxv value, where the kernel gives no such entry.
pub fn auxv_defaults(
    fixups: &[Fixup],
    frame: &Frame,
    without: &Capture,
) -> impl Iterator<Item = (Place, Vec<u8>)> {
    let hidden = |fixup: &&Fixup| match fixup.value {
        Value::Aux(kind) => NEWER_AUXV.contains(&u64::from(kind)),
        _ => false,
    };
    fixups.iter().filter(hidden).filter_map(|fixup| {
        let address = frame.address(fixup.at);
        let page = without.pages.get(address & !(PAGE - 1))?;
        let offset = (address % PAGE) as usize;
        Some((fixup.at, page.get(offset..offset + usize::from(fixup.width))?.to_vec()))
    })
}

/// What the C library makes of an unlimited stack and of a very small one.
pub fn thread_stack(
    fixups: &[Fixup],
    frame: &Frame,
    unlimited: &Capture,
    least: Option<&Capture>,
) -> (u64, u64) {
    let fixup = fixups.iter().find(|fixup| fixup.value == Value::StackLimit);
    let value = |capture: &Capture| {
        let fixup = fixup?;
        let address = frame.address(fixup.at);
        let page = capture.pages.get(address & !(PAGE - 1))?;
        let offset = (address % PAGE) as usize;
        Some(little_endian(page.get(offset..offset + usize::from(fixup.width))?))
    };
    // PTHREAD_STACK_MIN, where no capture tells.
    const LEAST: u64 = 16 << 10;
    (value(unlimited).unwrap_or(0), least.and_then(value).unwrap_or(LEAST))
}

/// Where the loader keeps whether it binds lazily (`_dl_lazy` in glibc): the one 4-byte field of
/// its data that is 0 under LD_BIND_NOW and 1 without. A library that the converted program opens
/// with RTLD_LAZY must be bound as in the original. Without exactly one place: their number.
pub fn lazy_flag(
    bound: &Capture,
    lazy: &Capture,
    frame: &Frame,
    loader: &Module,
) -> Result<Place, usize> {
    let mut found = Vec::new();
    for (address, page) in lazy.pages.iter() {
        let place = frame.place(address);
        let Some(other) = bound.pages.get(address).filter(|_| loader.range.contains(&place)) else {
            continue;
        };
        let fields = other.as_chunks::<4>().0.iter().zip(page.as_chunks::<4>().0);
        let differing = fields.enumerate().filter(|(_, (bound, lazy))| {
            (u32::from_le_bytes(**bound), u32::from_le_bytes(**lazy)) == (0, 1)
        });
        found.extend(differing.map(|(index, _)| place + 4 * index as u64));
    }
    match found[..] {
        [one] => Ok(one),
        _ => Err(found.len()),
    }
}
