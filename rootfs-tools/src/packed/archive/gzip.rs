//! gzip, by as many CPUs as there are: blocks of a fixed size are compressed by themselves and put
//! one behind the other, as `pigz --independent` does it. One member, that every reader knows; the
//! bytes are the same on every machine.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use rayon::prelude::*;

/// Of contents, in each block: beginning anew costs less than a hundredth there.
const BLOCK: usize = 1 << 18;
/// How many are compressed at a time.
const BATCH: usize = 32;
/// The header (RFC 1952): deflate, no flags, no time, made by Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// Compresses what is written to it.
#[derive(Debug)]
pub(crate) struct Gzip<W> {
    to: W,
    pending: Vec<u8>,
    sum: Crc,
}

impl<W: Write> Gzip<W> {
    /// Into `to`.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(&HEADER)?;
        Ok(Self { to, pending: Vec::with_capacity(BLOCK * BATCH), sum: Crc::new() })
    }

    fn compress(&mut self, last: bool) -> io::Result<()> {
        let blocks: Vec<&[u8]> = self.pending.chunks(BLOCK).collect();
        let done: Vec<io::Result<(Vec<u8>, Crc)>> =
            blocks.par_iter().map(|block| deflate(block)).collect();
        for block in done {
            let (bytes, sum) = block?;
            self.to.write_all(&bytes)?;
            self.sum.combine(&sum);
        }
        self.pending.clear();
        if last {
            // An empty final block.
            self.to.write_all(&[3, 0])?;
            self.to.write_all(&self.sum.sum().to_le_bytes())?;
            self.to.write_all(&self.sum.amount().to_le_bytes())?;
        }
        Ok(())
    }

    /// Ends it.
    pub fn finish(mut self) -> io::Result<W> {
        self.compress(true)?;
        Ok(self.to)
    }
}

/// A block up to the boundary of a byte, with more to come.
fn deflate(block: &[u8]) -> io::Result<(Vec<u8>, Crc)> {
    let mut sum = Crc::new();
    sum.update(block);
    let mut compress = Compress::new(Compression::default(), false);
    let mut bytes = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let at = compress.total_in() as usize;
        let status = compress.compress_vec(&block[at..], &mut bytes, FlushCompress::Sync);
        let status = status.map_err(io::Error::other)?;
        let all = compress.total_in() as usize == block.len();
        // With room left, nothing is held back.
        if all && bytes.len() < bytes.capacity() {
            return Ok((bytes, sum));
        }
        if status == Status::StreamEnd {
            return Err(io::Error::other("the compressor ended early"));
        }
        bytes.reserve(block.len() / 4 + 1024);
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(BLOCK * BATCH - self.pending.len());
        self.pending.extend(&bytes[..len]);
        if self.pending.len() == BLOCK * BATCH {
            self.compress(false)?;
        }
        Ok(len)
    }

    /// Blocks are cut by size alone, so nothing is written before there is enough.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn comes_back_however_it_is_written() {
        let mut state = 1u64;
        let mut noise = Vec::new();
        for _ in 0..BLOCK * BATCH / 8 + BLOCK / 3 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            noise.extend(state.to_le_bytes());
        }
        for contents in [&b""[..], b"a", &[0; BLOCK], &noise] {
            let mut outputs = Vec::new();
            for step in [4099, 1 << 20] {
                let mut gzip = Gzip::new(Vec::new()).unwrap();
                contents.chunks(step).for_each(|part| gzip.write_all(part).unwrap());
                outputs.push(gzip.finish().unwrap());
            }
            assert!(outputs[0] == outputs[1]);
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&outputs[0][..]).read_to_end(&mut read).unwrap();
            assert!(read == contents);
        }
    }
}
