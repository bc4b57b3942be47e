//! As little of an NBD client as the tests need: it agrees on structured replies, reads, and hears of errors.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

/// A connection that is ready for requests.
pub struct Client {
    stream: UnixStream,
    /// Replies are structured.
    structured: bool,
    /// The export's size, in bytes.
    pub len: u64,
}

impl Client {
    /// Connects, and asks for the export without a name.
    pub fn connect(path: &Path) -> Result<Self> {
        Self::connect_as(path, true)
    }

    /// The same, as one that knows of structured replies or as one that does not.
    pub fn connect_as(path: &Path, structured: bool) -> Result<Self> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting)?;
        ensure!(&greeting[..16] == b"NBDMAGICIHAVEOPT", "{greeting:?}");
        stream.write_all(&3u32.to_be_bytes())?;
        if structured {
            option(&mut stream, 8, b"")?;
            ensure!(answer(&mut stream)?.0 == 1);
        }
        option(&mut stream, 7, &[0; 6])?;
        let mut len = None;
        loop {
            match answer(&mut stream)? {
                (3, data) if data[..2] == [0, 0] => {
                    len = data[2..].first_chunk().map(|len| u64::from_be_bytes(*len));
                }
                (3, _) => {}
                (1, _) => break,
                (other, _) => bail!("the export is refused: {other:#x}"),
            }
        }
        Ok(Self { stream, structured, len: len.unwrap_or_default() })
    }

    /// Sends a request.
    pub fn request(&mut self, kind: u16, offset: u64, len: u32) -> io::Result<()> {
        let mut bytes = 0x2560_9513u32.to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend(7u64.to_be_bytes());
        bytes.extend(offset.to_be_bytes());
        bytes.extend(len.to_be_bytes());
        self.stream.write_all(&bytes)
    }

    /// What a request is answered: bytes from `offset` on, or an error's number.
    pub fn answer(&mut self, offset: u64, len: u32) -> Result<Result<Vec<u8>, u32>> {
        if !self.structured {
            return self.simple_answer(len);
        }
        let mut bytes = Vec::new();
        let mut error = None;
        loop {
            let mut header = [0; 20];
            self.stream.read_exact(&mut header)?;
            ensure!(header[..4] == 0x668e_33efu32.to_be_bytes(), "{header:?}");
            ensure!(header[8..16] == 7u64.to_be_bytes(), "{header:?}");
            let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
            let size = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
            let mut data = vec![0; size as usize];
            self.stream.read_exact(&mut data)?;
            let at = || -> Result<usize> {
                let at = data.first_chunk().map(|at| u64::from_be_bytes(*at)).unwrap_or_default();
                Ok(usize::try_from(at.checked_sub(offset).unwrap_or(u64::MAX))?)
            };
            match number(6) {
                0 => {}
                1 => {
                    bytes.resize(len as usize, 0xaa);
                    bytes[at()?..][..data.len() - 8].copy_from_slice(&data[8..]);
                }
                2 => {
                    bytes.resize(len as usize, 0xaa);
                    let hole = u32::from_be_bytes([data[8], data[9], data[10], data[11]]);
                    bytes[at()?..][..hole as usize].fill(0);
                }
                0x8001 => error = data.first_chunk().map(|error| u32::from_be_bytes(*error)),
                other => bail!("a chunk of type {other}"),
            }
            if number(4) & 1 == 1 {
                return Ok(error.map_or(Ok(bytes), Err));
            }
        }
    }

    fn simple_answer(&mut self, len: u32) -> Result<Result<Vec<u8>, u32>> {
        let mut header = [0; 16];
        self.stream.read_exact(&mut header)?;
        ensure!(header[..4] == 0x6744_6698u32.to_be_bytes(), "{header:?}");
        ensure!(header[8..16] == 7u64.to_be_bytes(), "{header:?}");
        let error = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if error != 0 {
            return Ok(Err(error));
        }
        let mut bytes = vec![0xaa; len as usize];
        self.stream.read_exact(&mut bytes)?;
        Ok(Ok(bytes))
    }

    /// Takes so many bytes of what comes, whatever they are.
    pub fn take(&mut self, len: usize) -> io::Result<()> {
        self.stream.read_exact(&mut vec![0; len])
    }

    /// Reads.
    pub fn read(&mut self, offset: u64, len: u32) -> Result<Result<Vec<u8>, u32>> {
        self.request(0, offset, len)?;
        self.answer(offset, len)
    }

    /// All of the device.
    pub fn read_all(&mut self) -> Result<Vec<u8>> {
        const STEP: u64 = 1 << 20;
        let mut all = Vec::new();
        while (all.len() as u64) < self.len {
            let at = all.len() as u64;
            match self.read(at, STEP.min(self.len - at) as u32)? {
                Ok(bytes) => all.extend(bytes),
                Err(error) => bail!("error {error} at {at}"),
            }
        }
        Ok(all)
    }
}

fn option(stream: &mut UnixStream, option: u32, data: &[u8]) -> io::Result<()> {
    let mut bytes = b"IHAVEOPT".to_vec();
    bytes.extend(option.to_be_bytes());
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(data);
    stream.write_all(&bytes)
}

/// The kind of an answer to an option, and its data.
fn answer(stream: &mut UnixStream) -> io::Result<(u32, Vec<u8>)> {
    let mut header = [0; 20];
    stream.read_exact(&mut header)?;
    let number = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let mut data = vec![0; number(16) as usize];
    stream.read_exact(&mut data)?;
    Ok((number(12), data))
}
