//! Whether restartable sequences are registered: what the C library tells programs about it.
//!
//! `__rseq_size` is 0 where the kernel has refused the registration (glibc manual, "Restartable
//! Sequences"; since 2.35). During a capture it succeeds, at a start it may not.

use goblin::elf::Elf;
use statify_elf::ElfFile;

use super::frame::Frame;
use super::known::Value;
use super::memory::Fixup;
use crate::capture::{Capture, Object};

const SIZE: &str = "__rseq_size";
/// Program and loader: a program that uses the variable may have it copied (R_X86_64_COPY).
const OBJECTS: usize = 2;

/// Where the size lies, if the loader registers at all.
pub fn sizes(capture: &Capture, frame: &Frame) -> Vec<Fixup> {
    if !capture.calls.iter().any(|call| call.number == libc::SYS_rseq) {
        return Vec::new();
    }
    let objects = capture.objects.iter().take(OBJECTS);
    objects
        .filter_map(defined)
        .map(|address| Fixup { at: frame.place(address), width: 4, value: Value::RseqSize })
        .collect()
}

/// The address of the variable in an object that defines it.
fn defined(object: &Object) -> Option<u64> {
    let bias = object.range.start.wrapping_sub(ElfFile::parse(&object.bytes).ok()?.span()?.start);
    let elf = Elf::parse(&object.bytes).ok()?;
    let symbol = elf.dynsyms.iter().find(|symbol| {
        symbol.st_shndx != 0
            && symbol.st_size == 4
            && elf.dynstrtab.get_at(symbol.st_name) == Some(SIZE)
    })?;
    let address = symbol.st_value.wrapping_add(bias);
    (object.range.start <= address && address + 4 <= object.range.end).then_some(address)
}
