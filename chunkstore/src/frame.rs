//! zstd frames, with the state of each thread kept: making it anew costs more than a small chunk does.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};

thread_local! {
    /// A level, and what compresses by it.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// These bytes as a frame.
pub fn compress(bytes: &[u8], level: i32) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| match kept {
        Some((of, compressor)) if *of == level => compressor.compress(bytes),
        _ => kept.insert((level, Compressor::new(level)?)).1.compress(bytes),
    })
}

/// What is in a frame, written to the beginning of `into`; how much it was. More than has room there is an error, whatever the
/// frame says of itself.
pub fn decompress(frame: &[u8], into: &mut [u8]) -> io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|kept| match kept {
        Some(decompressor) => decompressor.decompress_to_buffer(frame, into),
        None => kept.insert(Decompressor::new()?).decompress_to_buffer(frame, into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_is_room_for() {
        let bytes = vec![7; 100_000];
        for level in [1, 3, 19] {
            let frame = compress(&bytes, level).unwrap();
            let mut into = vec![0; bytes.len()];
            assert_eq!(decompress(&frame, &mut into).unwrap(), bytes.len());
            assert_eq!(into, bytes);
            assert!(decompress(&frame, &mut into[1..]).is_err());
            assert!(decompress(&frame[..frame.len() - 1], &mut into).is_err());
            // One bomb after another is none either.
            let frames = frame.repeat(100);
            assert!(decompress(&frames, &mut into).is_err());
        }
    }
}
