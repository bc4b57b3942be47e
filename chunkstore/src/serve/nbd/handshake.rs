//! The handshake: options, until the client goes on to requests or away.

use std::io::{self, Read, Write};

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::protocol::*;

/// The longest data of an option that is read; longer ones are no client's.
const MOST_DATA: u32 = 64 << 10;
/// More options than this are no client's.
const MOST_OPTIONS: usize = 256;
/// Reads are best of this size,
const PREFERRED: u32 = 64 << 10;
/// and may be of this.
pub const MOST_READ: u32 = 32 << 20;
/// The context whose state this server tells.
const ALLOCATION: &str = "base:allocation";
/// Its number.
pub const ALLOCATION_ID: u32 = 1;

/// What was agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// Replies are structured.
    pub structured: bool,
    /// The client may ask which parts are zeros.
    pub block_status: bool,
}

/// The one export.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// Its name; the empty name means it, too.
    pub name: &'a str,
    /// In bytes.
    pub len: u64,
}

impl Export<'_> {
    fn is(&self, name: &[u8]) -> bool {
        name.is_empty() || name == self.name.as_bytes()
    }

    fn flags(structured: bool) -> u16 {
        TRANSMISSION_FLAGS | if structured { TRANSMISSION_SEND_DF } else { 0 }
    }
}

/// What a client has said at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// The answer to [`OPT_EXPORT_NAME`] has no zeros behind it.
    no_zeroes: bool,
    /// The connection has been encrypted since.
    is_encrypted: bool,
}

/// Speaks with a client until it wants to send requests; `None` if it goes away. An error is the connection's, or says that it speaks
/// something else.
pub fn handshake(
    stream: &mut (impl Read + Write),
    export: Export<'_>,
) -> io::Result<Option<Agreed>> {
    let greeted = greet(stream)?;
    options(stream, greeted, export)
}

/// Speaks with a client until it begins to encrypt; `None` if it goes away. Nothing is told before.
pub fn until_encrypted(stream: &mut (impl Read + Write)) -> io::Result<Option<Greeted>> {
    let greeted = greet(stream)?;
    for _ in 0..MOST_OPTIONS {
        let (option, data) = match next_option(stream)? {
            (option, Some(data)) => (option, data),
            (_, None) => continue,
        };
        match option {
            OPT_STARTTLS if data.is_empty() => {
                reply(stream, option, REP_ACK, b"")?;
                return Ok(Some(Greeted { is_encrypted: true, ..greeted }));
            }
            OPT_STARTTLS => reply(stream, option, REP_ERR_INVALID, b"")?,
            OPT_ABORT => {
                reply(stream, option, REP_ACK, b"")?;
                return Ok(None);
            }
            // There is no answer that says no.
            OPT_EXPORT_NAME => return Err(invalid("it does not encrypt")),
            _ => reply(stream, option, REP_ERR_TLS_REQD, b"this server wants TLS")?,
        }
    }
    Err(invalid("it has too many questions"))
}

fn greet(stream: &mut (impl Read + Write)) -> io::Result<Greeted> {
    let mut greeting = GREETING.to_vec();
    greeting.extend(OPTION_MAGIC.to_be_bytes());
    greeting.extend((FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES).to_be_bytes());
    stream.write_all(&greeting)?;
    let mut flags = [0; 4];
    stream.read_exact(&mut flags)?;
    let flags = u32::from_be_bytes(flags);
    if flags & !u32::from(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES) != 0 {
        return Err(invalid("it wants what this server does not know"));
    }
    Ok(Greeted { no_zeroes: flags & u32::from(FLAG_NO_ZEROES) != 0, is_encrypted: false })
}

/// The next option and its data; none if that was too long, which is answered.
fn next_option(stream: &mut (impl Read + Write)) -> io::Result<(u32, Option<Vec<u8>>)> {
    let mut header = [0; size_of::<OptionHeader>()];
    stream.read_exact(&mut header)?;
    let header = OptionHeader::read_from_bytes(&header).map_err(|_| invalid("no option"))?;
    if header.magic.get() != OPTION_MAGIC {
        return Err(invalid("it does not speak NBD"));
    }
    let (option, len) = (header.option.get(), header.len.get());
    if len > MOST_DATA {
        skip(stream, len)?;
        reply(stream, option, REP_ERR_TOO_BIG, b"")?;
        return Ok((option, None));
    }
    let mut data = vec![0; len as usize];
    stream.read_exact(&mut data)?;
    Ok((option, Some(data)))
}

/// Answers options until the client wants to send requests; `None` if it goes away.
pub fn options(
    stream: &mut (impl Read + Write),
    greeted: Greeted,
    export: Export<'_>,
) -> io::Result<Option<Agreed>> {
    let mut agreed = Agreed::default();
    for _ in 0..MOST_OPTIONS {
        let (option, data) = match next_option(stream)? {
            (option, Some(data)) => (option, data),
            (_, None) => continue,
        };
        match option {
            OPT_EXPORT_NAME => {
                // There is no answer that says no.
                if !export.is(&data) {
                    return Err(invalid("it wants another export"));
                }
                let mut answer = export.len.to_be_bytes().to_vec();
                answer.extend(Export::flags(agreed.structured).to_be_bytes());
                if !greeted.no_zeroes {
                    answer.resize(answer.len() + 124, 0);
                }
                stream.write_all(&answer)?;
                return Ok(Some(agreed));
            }
            OPT_ABORT => {
                reply(stream, option, REP_ACK, b"")?;
                return Ok(None);
            }
            OPT_LIST if data.is_empty() => {
                let mut answer = (export.name.len() as u32).to_be_bytes().to_vec();
                answer.extend(export.name.as_bytes());
                reply(stream, option, REP_SERVER, &answer)?;
                reply(stream, option, REP_ACK, b"")?;
            }
            OPT_INFO | OPT_GO => match name_of(&data) {
                Some((name, _)) if export.is(name) => {
                    inform(stream, option, export, agreed.structured)?;
                    if option == OPT_GO {
                        return Ok(Some(agreed));
                    }
                }
                Some(_) => reply(stream, option, REP_ERR_UNKNOWN, b"no such export")?,
                None => reply(stream, option, REP_ERR_INVALID, b"")?,
            },
            OPT_STRUCTURED_REPLY if data.is_empty() => {
                agreed.structured = true;
                reply(stream, option, REP_ACK, b"")?;
            }
            OPT_LIST_META_CONTEXT | OPT_SET_META_CONTEXT => {
                contexts(stream, option, &data, export, &mut agreed)?;
            }
            OPT_STARTTLS if greeted.is_encrypted => reply(stream, option, REP_ERR_INVALID, b"")?,
            OPT_LIST | OPT_STRUCTURED_REPLY => reply(stream, option, REP_ERR_INVALID, b"")?,
            _ => reply(stream, option, REP_ERR_UNSUP, b"")?,
        }
    }
    Err(invalid("it has too many questions"))
}

/// Says what the export is.
fn inform(
    stream: &mut impl Write,
    option: u32,
    export: Export<'_>,
    structured: bool,
) -> io::Result<()> {
    let mut answer = INFO_EXPORT.to_be_bytes().to_vec();
    answer.extend(export.len.to_be_bytes());
    answer.extend(Export::flags(structured).to_be_bytes());
    reply(stream, option, REP_INFO, &answer)?;
    let mut sizes = INFO_BLOCK_SIZE.to_be_bytes().to_vec();
    for size in [1, PREFERRED, MOST_READ] {
        sizes.extend(size.to_be_bytes());
    }
    reply(stream, option, REP_INFO, &sizes)?;
    reply(stream, option, REP_ACK, b"")
}

/// Contexts that the client asks for.
fn contexts(
    stream: &mut impl Write,
    option: u32,
    data: &[u8],
    export: Export<'_>,
    agreed: &mut Agreed,
) -> io::Result<()> {
    let is_set = option == OPT_SET_META_CONTEXT;
    let queries = name_of(data).and_then(|(name, rest)| Some((name, queries(rest)?)));
    let Some((name, queries)) = queries.filter(|_| agreed.structured) else {
        return reply(stream, option, REP_ERR_INVALID, b"");
    };
    if !export.is(name) {
        return reply(stream, option, REP_ERR_UNKNOWN, b"no such export");
    }
    let is_wanted = |query: &[u8]| query == ALLOCATION.as_bytes() || !is_set && query == b"base:";
    let found = queries.iter().any(|query| is_wanted(query)) || !is_set && queries.is_empty();
    if is_set {
        agreed.block_status = found;
    }
    if found {
        let mut answer = ALLOCATION_ID.to_be_bytes().to_vec();
        answer.extend(ALLOCATION.as_bytes());
        reply(stream, option, REP_META_CONTEXT, &answer)?;
    }
    reply(stream, option, REP_ACK, b"")
}

/// The name that data begins with, and what is behind it.
fn name_of(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = data.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*len) as usize)
}

/// A number of texts, each with its length.
fn queries(data: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = data.split_first_chunk::<4>()?;
    let mut queries = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (query, more) = name_of(rest)?;
        queries.push(query);
        rest = more;
    }
    rest.is_empty().then_some(queries)
}

fn reply(stream: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let header = OptionReply {
        magic: U64::new(OPTION_REPLY_MAGIC),
        option: U32::new(option),
        kind: U32::new(kind),
        len: U32::new(data.len() as u32),
    };
    stream.write_all(&[header.as_bytes(), data].concat())
}

fn skip(stream: &mut impl Read, len: u32) -> io::Result<()> {
    let skipped = io::copy(&mut stream.take(len.into()), &mut io::sink())?;
    if skipped < u64::from(len) { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
