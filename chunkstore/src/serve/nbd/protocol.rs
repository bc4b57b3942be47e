//! What stands on the wire: numbers and records of the NBD protocol (doc/proto.md of the NetworkBlockDevice project),
//! fixed newstyle. All numbers are big-endian.

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// How a server begins.
pub const GREETING: [u8; 8] = *b"NBDMAGIC";
/// How each option begins, and the server's second word.
pub const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// How each answer to an option begins.
pub const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// How each request begins.
pub const REQUEST_MAGIC: u32 = 0x2560_9513;
/// How a simple reply begins.
pub const SIMPLE_MAGIC: u32 = 0x6744_6698;
/// How a chunk of a structured reply begins.
pub const STRUCTURED_MAGIC: u32 = 0x668e_33ef;

/// Handshake flags: options are answered; no zeros behind the answer to [`OPT_EXPORT_NAME`].
pub const FLAG_FIXED_NEWSTYLE: u16 = 1;
/// See above.
pub const FLAG_NO_ZEROES: u16 = 2;

/// Options.
pub const OPT_EXPORT_NAME: u32 = 1;
pub const OPT_ABORT: u32 = 2;
pub const OPT_LIST: u32 = 3;
pub const OPT_STARTTLS: u32 = 5;
pub const OPT_INFO: u32 = 6;
pub const OPT_GO: u32 = 7;
pub const OPT_STRUCTURED_REPLY: u32 = 8;
pub const OPT_LIST_META_CONTEXT: u32 = 9;
pub const OPT_SET_META_CONTEXT: u32 = 10;

/// Answers to options.
pub const REP_ACK: u32 = 1;
pub const REP_SERVER: u32 = 2;
pub const REP_INFO: u32 = 3;
pub const REP_META_CONTEXT: u32 = 4;
pub const REP_ERR_UNSUP: u32 = 1 << 31 | 1;
pub const REP_ERR_INVALID: u32 = 1 << 31 | 3;
pub const REP_ERR_TLS_REQD: u32 = 1 << 31 | 5;
pub const REP_ERR_UNKNOWN: u32 = 1 << 31 | 6;
pub const REP_ERR_TOO_BIG: u32 = 1 << 31 | 9;

/// Kinds of information about an export.
pub const INFO_EXPORT: u16 = 0;
pub const INFO_BLOCK_SIZE: u16 = 3;

/// What the export can do: flags are sent; read-only; a read may be asked not to be answered in fragments; several
/// connections see the same.
pub const TRANSMISSION_FLAGS: u16 = 1 | 1 << 1 | 1 << 8;
pub const TRANSMISSION_SEND_DF: u16 = 1 << 7;

/// Requests.
pub const CMD_READ: u16 = 0;
pub const CMD_WRITE: u16 = 1;
pub const CMD_DISC: u16 = 2;
pub const CMD_FLUSH: u16 = 3;
pub const CMD_TRIM: u16 = 4;
pub const CMD_CACHE: u16 = 5;
pub const CMD_WRITE_ZEROES: u16 = 6;
pub const CMD_BLOCK_STATUS: u16 = 7;
/// The answer may not be in fragments.
pub const CMD_FLAG_DF: u16 = 1 << 2;
/// One extent is enough.
pub const CMD_FLAG_REQ_ONE: u16 = 1 << 3;

/// Chunks of structured replies; the flag says that it is the last.
pub const REPLY_FLAG_DONE: u16 = 1;
pub const REPLY_NONE: u16 = 0;
pub const REPLY_OFFSET_DATA: u16 = 1;
pub const REPLY_OFFSET_HOLE: u16 = 2;
pub const REPLY_BLOCK_STATUS: u16 = 5;
pub const REPLY_ERROR: u16 = 1 << 15 | 1;

/// States of `base:allocation`.
pub const STATE_HOLE: u32 = 1;
pub const STATE_ZERO: u32 = 2;

/// Errors, as the protocol numbers them.
pub const EPERM: u32 = 1;
pub const EIO: u32 = 5;
pub const EINVAL: u32 = 22;
pub const EOVERFLOW: u32 = 75;

/// An option, without its data.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OptionHeader {
    /// [`OPTION_MAGIC`].
    pub magic: U64,
    /// `OPT_*`.
    pub option: U32,
    /// Bytes of data behind it.
    pub len: U32,
}

/// An answer to an option, without its data.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OptionReply {
    /// [`OPTION_REPLY_MAGIC`].
    pub magic: U64,
    /// The option.
    pub option: U32,
    /// `REP_*`.
    pub kind: U32,
    /// Bytes of data behind it.
    pub len: U32,
}

/// A request, without what is to be written.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Request {
    /// [`REQUEST_MAGIC`].
    pub magic: U32,
    /// `CMD_FLAG_*`.
    pub flags: U16,
    /// `CMD_*`.
    pub kind: U16,
    /// Whatever the client wants to know the reply by.
    pub cookie: U64,
    /// In bytes.
    pub offset: U64,
    /// In bytes.
    pub len: U32,
}

/// A simple reply, without data.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SimpleReply {
    /// [`SIMPLE_MAGIC`].
    pub magic: U32,
    /// 0, or an error.
    pub error: U32,
    /// That of the request.
    pub cookie: U64,
}

/// A chunk of a structured reply, without what it carries.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StructuredReply {
    /// [`STRUCTURED_MAGIC`].
    pub magic: U32,
    /// `REPLY_FLAG_*`.
    pub flags: U16,
    /// `REPLY_*`.
    pub kind: U16,
    /// That of the request.
    pub cookie: U64,
    /// Bytes behind it.
    pub len: U32,
}
