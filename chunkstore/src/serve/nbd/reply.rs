//! What a request is answered.

use std::ops::Range;

use zerocopy::IntoBytes;
use zerocopy::byteorder::big_endian::{U16, U32, U64};

use super::handshake::{ALLOCATION_ID, Agreed};
use super::message::Message;
use super::protocol::*;
use crate::serve::device::Part;

/// The answer to a request.
#[derive(Clone, Copy)]
pub struct Reply {
    /// What was agreed on with the client.
    pub agreed: Agreed,
    /// The request.
    pub request: Request,
}

impl Reply {
    /// The bytes that are asked for. Without meaning unless they are known to lie in the device.
    pub fn range(&self) -> Range<u64> {
        let start = self.request.offset.get();
        start..start.saturating_add(self.request.len.get().into())
    }

    /// Whether the answer may come in parts, the last of which may say that there was an error.
    pub fn is_divisible(&self) -> bool {
        self.agreed.structured && self.request.flags.get() & CMD_FLAG_DF == 0
    }

    /// All of what was read.
    pub fn whole(&self, parts: &[Part], message: &mut Message) {
        if self.is_divisible() {
            return self.fragment(self.request.offset.get(), parts, true, message);
        }
        self.begin(message);
        message.parts(parts);
    }

    /// How an answer begins that may not come in parts; all that is read follows it.
    pub fn begin(&self, message: &mut Message) {
        if !self.agreed.structured {
            return message.header(self.simple(0).as_bytes());
        }
        let len = u64::from(self.request.len.get()) + 8;
        message.header(self.chunk(REPLY_OFFSET_DATA, true, len).as_bytes());
        message.header(self.request.offset.as_bytes());
    }

    /// A part of what was read, from an offset on.
    pub fn fragment(&self, mut at: u64, parts: &[Part], is_last: bool, message: &mut Message) {
        let is_bytes = |part: &Part| matches!(part, Part::Bytes(..));
        let mut left = parts.len();
        for run in parts.chunk_by(|one, next| is_bytes(one) && is_bytes(next)) {
            left -= run.len();
            let is_done = is_last && left == 0;
            let len: u64 = run.iter().map(Part::len).sum();
            if is_bytes(&run[0]) {
                message.header(self.chunk(REPLY_OFFSET_DATA, is_done, len + 8).as_bytes());
                message.header(&at.to_be_bytes());
                message.parts(run);
            } else {
                message.header(self.chunk(REPLY_OFFSET_HOLE, is_done, 12).as_bytes());
                message.header(&at.to_be_bytes());
                message.header(&(len as u32).to_be_bytes());
            }
            at += len;
        }
    }

    /// Which parts are zeros.
    pub fn block_status(&self, extents: &[(u64, bool)], message: &mut Message) {
        let len = 4 + 8 * extents.len() as u64;
        message.header(self.chunk(REPLY_BLOCK_STATUS, true, len).as_bytes());
        message.header(&ALLOCATION_ID.to_be_bytes());
        for (len, is_zero) in extents {
            message.header(&(*len as u32).to_be_bytes());
            let state = if *is_zero { STATE_HOLE | STATE_ZERO } else { 0 };
            message.header(&state.to_be_bytes());
        }
    }

    /// It is done, and there is nothing to say.
    pub fn done(&self, message: &mut Message) {
        match self.agreed.structured {
            true => message.header(self.chunk(REPLY_NONE, true, 0).as_bytes()),
            false => message.header(self.simple(0).as_bytes()),
        }
    }

    /// It cannot be done.
    pub fn error(&self, error: u32, why: &str, message: &mut Message) {
        if !self.agreed.structured {
            return message.header(self.simple(error).as_bytes());
        }
        /// No message is longer (NBD's maximum for strings), in bytes.
        const LONGEST: usize = 4096;
        let why = &why.as_bytes()[..why.len().min(LONGEST)];
        let len = 6 + why.len() as u64;
        message.header(self.chunk(REPLY_ERROR, true, len).as_bytes());
        message.header(&error.to_be_bytes());
        message.header(&(why.len() as u16).to_be_bytes());
        message.header(why);
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
}
