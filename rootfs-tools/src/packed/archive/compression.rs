//! Compression of archives: told by the first bytes, and written as it was read. What is written
//! depends on the contents alone: no time, no name, no number of CPUs.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use statify_elf::holes;

use super::gzip::Gzip;
use crate::error::archive::{Fault, Result};

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// As `zstd` and `tar --zstd` do it.
const ZSTD_LEVEL: i32 = 3;

impl Compression {
    /// What begins with these bytes.
    pub fn of(first: &[u8]) -> Result<Self> {
        Ok(match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or one that is to be skipped in front of it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(Fault::Compression("xz")),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Err(Fault::Compression("bzip2")),
            [0x04, 0x22, 0x4d, 0x18, ..] => return Err(Fault::Compression("lz4")),
            _ => Self::None,
        })
    }
}

/// Reads what was compressed, from the beginning of `file` on.
pub fn reader(file: File) -> Result<(Compression, Box<dyn Read + Send>)> {
    holes::check_holes(&file).map_err(Fault::Read)?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let compression = Compression::of(file.fill_buf().map_err(Fault::Read)?)?;
    let reader: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(file))),
        Compression::Zstd => {
            let decoder = zstd::Decoder::with_buffer(file).map_err(Fault::Read)?;
            Box::new(BufReader::with_capacity(1 << 18, decoder))
        }
    };
    Ok((compression, reader))
}

/// Compresses what is written to it.
pub(crate) enum Writer<W: Write> {
    /// Not at all.
    None(W),
    /// RFC 1952.
    Gzip(Gzip<W>),
    /// RFC 8878.
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Writer<W> {
    /// Into `to`.
    pub fn new(compression: Compression, to: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(to),
            Compression::Gzip => Self::Gzip(Gzip::new(to)?),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(to, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                // The output is the same for any number of threads from one on, and another without.
                let cpus = std::thread::available_parallelism().map_or(1, usize::from);
                encoder.multithread(u32::try_from(cpus.min(64)).unwrap_or(1))?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Ends it. Returns what it was written into.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::None(to) => Ok(to),
            Self::Gzip(gzip) => gzip.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(to) => to.write(bytes),
            Self::Gzip(gzip) => gzip.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(to) => to.flush(),
            Self::Gzip(gzip) => gzip.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
