//! How the loader is made to say in its own message that the policy refuses a library: it gets a
//! library that holds nothing and needs another one, whose name is the message. That it does not
//! find, and reports.

use crate::arch;
use crate::elf::{
    DT_NEEDED, DT_STRSZ, DT_STRTAB, DT_SYMENT, DT_SYMTAB, Header, PT_DYNAMIC, PT_GNU_STACK,
    PT_LOAD, READ_WRITE, SYMBOL, Segment, Word,
};
use crate::format::REFUSAL;
use crate::path::Path;
use crate::serve;

#[repr(C)]
struct Library {
    header: Header,
    segments: [Segment; 3],
    dynamic: [[Word; 2]; 6],
    symbols: [Word; SYMBOL],
}

/// `st_mtime` of it: a number that no file has.
const NUMBER: u32 = 999_999_999;

/// An open file that is such a library, for the one that `path` names.
pub fn serve(path: Path<'_>) -> i64 {
    const SIZE: Word = size_of::<Library>();
    const DYNAMIC: Word = core::mem::offset_of!(Library, dynamic);
    const SYMBOLS: Word = core::mem::offset_of!(Library, symbols);
    // An empty string, the name, its NUL.
    let strings = 1 + path.0.len() + REFUSAL.len() + 1;
    let len = SIZE + strings;
    let segment = |kind, offset, len, align| Segment {
        kind,
        flags: READ_WRITE,
        offset,
        address: offset,
        physical: offset,
        file_len: len,
        len,
        align,
    };
    let library = Library {
        header: Header::library(3),
        segments: [
            segment(PT_LOAD, 0, len, arch::LARGEST_PAGE),
            segment(PT_DYNAMIC, DYNAMIC, SYMBOLS - DYNAMIC, size_of::<Word>()),
            segment(PT_GNU_STACK, 0, 0, 16),
        ],
        dynamic: [
            [DT_NEEDED, 1],
            [DT_STRTAB, SIZE],
            [DT_SYMTAB, SYMBOLS],
            [DT_STRSZ, strings],
            [DT_SYMENT, SYMBOL * size_of::<Word>()],
            [0, 0],
        ],
        symbols: [0; SYMBOL],
    };
    // SAFETY: the structure has no padding: its fields are ordered by multiples of their sizes.
    let bytes = unsafe {
        core::slice::from_raw_parts((&raw const library).cast::<u8>(), size_of::<Library>())
    };
    serve::marked(b"refused", &[bytes, b"\0", path.0, REFUSAL, b"\0"], NUMBER)
}
