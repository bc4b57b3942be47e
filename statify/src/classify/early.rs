//! Whether binding early has bound rightly: a resolver of an IFUNC that is asked before its own module is relocated, or
//! before a constructor has run, may answer with what leads nowhere. Newer loaders say the former (`capture/explain.rs`),
//! glibc 2.23's says nothing, and of the latter none knows.

use std::path::Path;

use statify_elf::machine::Meaning;
use statify_elf::{ElfFile, page_down};

use crate::capture::{Capture, Object};

/// A module one of whose PLT slots leads to no module.
pub fn astray(capture: &Capture) -> Option<&Path> {
    let leads_away = |object: &&Object| has_lost(capture, object).unwrap_or(false);
    capture.objects.iter().find(leads_away).map(|object| object.path.as_path())
}

fn has_lost(capture: &Capture, object: &Object) -> Option<bool> {
    let elf = ElfFile::parse(&object.bytes).ok()?;
    let machine = elf.machine()?;
    let bias = object.range.start.wrapping_sub(elf.span()?.start);
    let dynamic = elf.dynamic().ok()??;
    let symbols = dynamic.symbols();
    // By the loader.
    let written = |at| capture.pages.get(page_down(at)).and_then(|_| capture.word(at));
    let mut slots = dynamic.plt_relocations().filter(|relocation| {
        relocation.symbol != 0 && machine.relocation(relocation.kind) == Some(Meaning::JumpSlot)
    });
    Some(slots.any(|slot| match written(bias.wrapping_add(slot.at)) {
        // A weak reference may be to nothing.
        Some(0) => symbols.get(slot.symbol).is_some_and(|symbol| !symbol.is_weak()),
        Some(value) => capture.object_at(value).is_none(),
        None => false,
    }))
}
