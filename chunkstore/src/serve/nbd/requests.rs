//! What a client asks, request by request. As many are read at once as it has sent: a system call for each would cost more than
//! to answer it from memory.

use std::io;

use zerocopy::FromBytes;

use super::connection::Connection;
use super::protocol::{REQUEST_MAGIC, Request};

/// As many bytes are read at once, at most.
const MOST: usize = 64 * size_of::<Request>();

/// The requests of a connection.
pub struct Requests<'a, C> {
    connection: &'a C,
    buffer: [u8; MOST],
    /// What of the buffer is not yet read.
    start: usize,
    end: usize,
}

impl<'a, C: Connection> Requests<'a, C> {
    /// Those of a connection.
    pub fn new(connection: &'a C) -> Self {
        Self { connection, buffer: [0; MOST], start: 0, end: 0 }
    }

    /// Whether the next request is here already, so that it is not waited for.
    pub fn is_here(&self) -> bool {
        self.end - self.start >= size_of::<Request>()
    }

    /// The next one; an error where the client has gone, or speaks something else.
    pub fn next(&mut self) -> io::Result<Request> {
        while !self.is_here() {
            self.more()?;
        }
        let bytes = &self.buffer[self.start..self.end];
        let (request, _) =
            Request::read_from_prefix(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        self.start += size_of::<Request>();
        match request.magic.get() {
            REQUEST_MAGIC => Ok(request),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it sends what is no request")),
        }
    }

    /// Passes over what is behind a request.
    pub fn skip(&mut self, mut len: u64) -> io::Result<()> {
        while len > 0 {
            if self.start == self.end {
                self.more()?;
            }
            let some = len.min((self.end - self.start) as u64);
            self.start += some as usize;
            len -= some;
        }
        Ok(())
    }

    fn more(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match self.connection.receive(&mut self.buffer[self.end..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            more => {
                self.end += more;
                Ok(())
            }
        }
    }
}
