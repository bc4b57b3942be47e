//! Pointers: each is stored relative to the module it points into. And words that the file does not have
//! where they belong.

use crate::Block;
use crate::elf::Word;
use crate::params::{ConstantRun, Params, Slide, Table};

/// Adds to every word of every group the address of the module that the group points into.
///
/// # Safety
///
/// The words lie in mapped, writable pages.
pub unsafe fn apply(p: &Params, block: Block<'_>) {
    // SAFETY: the stream has `count` numbers and leads only to words of the block.
    unsafe {
        for slide in p.slides.records::<Slide>(p) {
            let target = block.at(slide.target);
            let mut words = Words::new(p, block.at(slide.start), slide.stream);
            for _ in 0..slide.count {
                let word = words.next();
                *word = (*word).wrapping_add(target as Word);
            }
        }
    }
}

/// Writes the words of a table.
///
/// # Safety
///
/// The table is of [`ConstantRun`], whose words lie in mapped, writable pages.
pub unsafe fn constants(p: &Params, block: Block<'_>, table: Table) {
    // SAFETY: the stream has `count` pairs of numbers and leads only to words of the block.
    unsafe {
        for run in table.records::<ConstantRun>(p) {
            let mut words = Words::new(p, block.at(run.start), run.stream);
            for _ in 0..run.count {
                let word = words.next();
                let value = words.number();
                *word = ((value >> 1) ^ (value & 1).wrapping_neg()) as Word;
            }
        }
    }
}

/// Words at the distances that a stream of ULEB128 numbers tells.
pub struct Words {
    word: *mut Word,
    stream: *const u8,
    /// In words, and for how many more.
    distance: u64,
    left: u64,
}

impl Words {
    /// From `start` on; `stream` is the stream's distance below `p`.
    ///
    /// # Safety
    ///
    /// There is a stream.
    pub unsafe fn new(p: &Params, start: u64, stream: u32) -> Self {
        // SAFETY: the caller's promise.
        let stream = unsafe { (p as *const Params).byte_sub(stream as usize).cast() };
        Self { word: start as *mut Word, stream, distance: 0, left: 0 }
    }

    /// The next word.
    ///
    /// # Safety
    ///
    /// The stream has one more number.
    pub unsafe fn next(&mut self) -> *mut Word {
        if self.left == 0 {
            // SAFETY: the caller's promise.
            unsafe {
                let number = self.number();
                self.distance = number >> 1;
                self.left = if number & 1 == 0 { 1 } else { self.number() };
            }
        }
        self.left = self.left.wrapping_sub(1);
        self.word = self.word.wrapping_add(self.distance as usize);
        self.word
    }

    /// The stream's next number.
    ///
    /// # Safety
    ///
    /// It has one more.
    unsafe fn number(&mut self) -> u64 {
        // SAFETY: the caller's promise; the last byte of a number has bit 7 clear.
        unsafe {
            let mut delta = 0;
            let mut shift = 0;
            loop {
                let byte = u64::from(*self.stream);
                self.stream = self.stream.add(1);
                delta |= (byte & 0x7f) << (shift & 63);
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            delta
        }
    }
}
