//! Requests and replies, when the handshake is done.

use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::handshake::{ALLOCATION_ID, Agreed, MOST_READ};
use super::protocol::*;
use crate::serve::device::{Device, Part};

/// So many requests of a connection are worked on at once,
const WORKERS: usize = 16;
/// and as many more wait: then no more are read.
const WAITING: usize = 16;
/// The most extents of an answer.
const MOST_EXTENTS: usize = 4096;

/// Both ends of a connection.
pub trait Stream: Read + Write + Send + Sized {
    /// The same connection once more.
    fn duplicate(&self) -> io::Result<Self>;
}

/// Where replies go, one after the other.
type Out<S> = Mutex<S>;

/// Answers requests until the client goes away.
pub fn serve<S: Stream>(mut input: S, device: &Device, agreed: Agreed) -> io::Result<()> {
    let out: Out<S> = Mutex::new(input.duplicate()?);
    std::thread::scope(|scope| {
        let (to_do, requests) = sync_channel::<Request>(WAITING);
        let requests = Arc::new(Mutex::new(requests));
        let mut workers = 0;
        let outcome = (|| -> io::Result<()> {
            loop {
                let mut bytes = [0; size_of::<Request>()];
                input.read_exact(&mut bytes)?;
                let request =
                    Request::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
                if request.magic.get() != REQUEST_MAGIC {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                if request.kind.get() == CMD_DISC {
                    return Ok(());
                }
                if request.kind.get() == CMD_WRITE {
                    let len = u64::from(request.len.get());
                    io::copy(&mut (&mut input).take(len), &mut io::sink())?;
                }
                let reply = Reply { out: &out, agreed, request };
                if at_once(&reply, device)? {
                    continue;
                }
                if workers < WORKERS {
                    workers += 1;
                    let (out, requests) = (&out, requests.clone());
                    scope.spawn(move || work(&requests, out, device, agreed));
                }
                send(&to_do, request)?;
            }
        })();
        drop(to_do);
        outcome
    })
}

fn send(to_do: &SyncSender<Request>, request: Request) -> io::Result<()> {
    to_do.send(request).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Answers requests that take their time.
fn work<S: Stream>(
    requests: &Mutex<Receiver<Request>>,
    out: &Out<S>,
    device: &Device,
    agreed: Agreed,
) {
    loop {
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(request) = next else { return };
        let reply = Reply { out, agreed, request };
        let range = reply.range();
        let answered = match device.read(&range) {
            Ok(parts) => reply.parts(device, &range, &parts),
            Err(error) => {
                device.chunks.metrics.failed_reads.add(1);
                reply.error(EIO, &error.to_string())
            }
        };
        // The client has gone; the reader sees that, too.
        if answered.is_err() {
            return;
        }
    }
}

/// Answers what needs no waiting. Returns whether it did.
fn at_once<S: Stream>(reply: &Reply<'_, S>, device: &Device) -> io::Result<bool> {
    let request = &reply.request;
    let (range, len) = (reply.range(), request.len.get());
    let is_inside =
        request.offset.get().checked_add(len.into()).is_some_and(|end| end <= device.len());
    match request.kind.get() {
        CMD_READ | CMD_BLOCK_STATUS | CMD_CACHE if len == 0 || !is_inside => {
            reply.error(EINVAL, "out of range")?;
        }
        CMD_READ if len > MOST_READ => reply.error(EOVERFLOW, "too long")?,
        CMD_READ => {
            if let Some(trace) = &device.trace {
                trace.note(&range);
            }
            match device.read_at_hand(&range) {
                Some(parts) => reply.parts(device, &range, &parts)?,
                None => return Ok(false),
            }
        }
        CMD_BLOCK_STATUS if reply.agreed.block_status => {
            let one = request.flags.get() & CMD_FLAG_REQ_ONE != 0;
            let mut extents = device.extents(&range);
            extents.truncate(if one { 1 } else { MOST_EXTENTS });
            reply.block_status(&extents)?;
        }
        // Nothing is ever written, so all of it is on the disk.
        CMD_FLUSH | CMD_CACHE => reply.done()?,
        CMD_WRITE | CMD_TRIM | CMD_WRITE_ZEROES => reply.error(EPERM, "it is read-only")?,
        _ => reply.error(EINVAL, "an unknown request")?,
    }
    Ok(true)
}

/// What a request is answered.
struct Reply<'a, S> {
    out: &'a Out<S>,
    agreed: Agreed,
    request: Request,
}

impl<S: Stream> Reply<'_, S> {
    /// The bytes that are asked for. Without meaning unless they are known to lie in the device.
    fn range(&self) -> Range<u64> {
        let start = self.request.offset.get();
        start..start.saturating_add(self.request.len.get().into())
    }

    /// What was read.
    fn parts(&self, device: &Device, range: &Range<u64>, parts: &[Part]) -> io::Result<()> {
        device.chunks.metrics.reads.add(1);
        device.chunks.metrics.read_bytes.add(range.end - range.start);
        let mut headers = Vec::new();
        let one_piece = self.request.flags.get() & CMD_FLAG_DF != 0;
        if !self.agreed.structured {
            headers.extend(self.simple(0).as_bytes());
            return self.send(&headers, parts);
        }
        if one_piece || parts.iter().all(|part| matches!(part, Part::Bytes(..))) {
            let len = range.end - range.start + 8;
            headers.extend(self.chunk(REPLY_OFFSET_DATA, true, len).as_bytes());
            headers.extend(range.start.to_be_bytes());
            return self.send(&headers, parts);
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = range.start;
        for (index, part) in parts.iter().enumerate() {
            let is_last = index + 1 == parts.len();
            headers.clear();
            match part {
                Part::Zeros(len) => {
                    headers.extend(self.chunk(REPLY_OFFSET_HOLE, is_last, 12).as_bytes());
                    headers.extend(at.to_be_bytes());
                    headers.extend((*len as u32).to_be_bytes());
                    out.write_all(&headers)?;
                }
                Part::Bytes(..) => {
                    let len = part.len() + 8;
                    headers.extend(self.chunk(REPLY_OFFSET_DATA, is_last, len).as_bytes());
                    headers.extend(at.to_be_bytes());
                    write_parts(&mut *out, &headers, std::slice::from_ref(part))?;
                }
            }
            at += part.len();
        }
        Ok(())
    }

    /// Which parts are zeros.
    fn block_status(&self, extents: &[(u64, bool)]) -> io::Result<()> {
        let len = 4 + 8 * extents.len() as u64;
        let mut bytes = self.chunk(REPLY_BLOCK_STATUS, true, len).as_bytes().to_vec();
        bytes.extend(ALLOCATION_ID.to_be_bytes());
        for (len, is_zero) in extents {
            bytes.extend((*len as u32).to_be_bytes());
            let state = if *is_zero { STATE_HOLE | STATE_ZERO } else { 0 };
            bytes.extend(state.to_be_bytes());
        }
        self.send(&bytes, &[])
    }

    /// It is done, and there is nothing to say.
    fn done(&self) -> io::Result<()> {
        match self.agreed.structured {
            true => self.send(self.chunk(REPLY_NONE, true, 0).as_bytes(), &[]),
            false => self.send(self.simple(0).as_bytes(), &[]),
        }
    }

    /// It cannot be done.
    fn error(&self, error: u32, why: &str) -> io::Result<()> {
        if !self.agreed.structured {
            return self.send(self.simple(error).as_bytes(), &[]);
        }
        /// No message is longer (NBD's maximum for strings), in bytes.
        const LONGEST: usize = 4096;
        let why = &why.as_bytes()[..why.len().min(LONGEST)];
        let len = 6 + why.len() as u64;
        let mut bytes = self.chunk(REPLY_ERROR, true, len).as_bytes().to_vec();
        bytes.extend(error.to_be_bytes());
        bytes.extend((why.len() as u16).to_be_bytes());
        bytes.extend(why);
        self.send(&bytes, &[])
    }

    fn simple(&self, error: u32) -> SimpleReply {
        SimpleReply {
            magic: U32::new(SIMPLE_MAGIC),
            error: U32::new(error),
            cookie: self.request.cookie,
        }
    }

    fn chunk(&self, kind: u16, is_last: bool, len: u64) -> StructuredReply {
        StructuredReply {
            magic: U32::new(STRUCTURED_MAGIC),
            flags: U16::new(if is_last { REPLY_FLAG_DONE } else { 0 }),
            kind: U16::new(kind),
            cookie: U64::new(self.request.cookie.get()),
            len: U32::new(len as u32),
        }
    }

    fn send(&self, header: &[u8], parts: &[Part]) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        write_parts(&mut *out, header, parts)
    }
}

/// Writes a header and parts behind it, with as few system calls as that takes.
fn write_parts(out: &mut impl Write, header: &[u8], parts: &[Part]) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; 64 << 10];
    let mut slices = vec![IoSlice::new(header)];
    for part in parts {
        match part {
            Part::Zeros(len) => {
                let mut left = *len as usize;
                while left > 0 {
                    let some = left.min(ZEROS.len());
                    slices.push(IoSlice::new(&ZEROS[..some]));
                    left -= some;
                }
            }
            Part::Bytes(bytes, range) => slices.push(IoSlice::new(&bytes[range.clone()])),
        }
    }
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match out.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    out.flush()
}
