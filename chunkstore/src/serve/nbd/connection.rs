//! A client's connection: one thread reads from it while others write to it.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// A connection.
pub trait Connection: Sync {
    /// Some of what the client has sent; 0 bytes if it has gone. One thread does this.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends all of these bytes. One thread does this at a time.
    fn send(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Ends it, whoever is receiving or sending.
    fn close(&self);
}

impl Connection for UnixStream {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match expect(self, buffer) {
            Some(received) => received,
            None => receive(self, buffer),
        }
    }

    fn send(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        send(self, slices)
    }

    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Connection for TcpStream {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self, buffer)
    }

    fn send(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        send(self, slices)
    }

    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// For how long to look for what a client of the same machine says next before sleeping. Most say it as soon as they have a reply;
/// to sleep and be woken takes about as long.
const EXPECTED: Duration = Duration::from_micros(20);

/// What is here within that time.
fn expect(stream: &UnixStream, buffer: &mut [u8]) -> Option<io::Result<usize>> {
    static HAS_OTHER_CPUS: LazyLock<bool> =
        LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1));
    if !*HAS_OTHER_CPUS {
        return None;
    }
    let since = Instant::now();
    loop {
        match recv(stream, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((len, _)) => return Some(Ok(len)),
            Err(Errno::AGAIN) if since.elapsed() < EXPECTED => std::hint::spin_loop(),
            // Also an error is told by the one that waits.
            Err(_) => return None,
        }
    }
}

fn receive(mut stream: impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// With as few system calls as that takes.
fn send(mut stream: impl Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match stream.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A connection as the handshake sees it: nothing is read but what it asks for.
pub struct InTurn<'a, C>(pub &'a C);

impl<C: Connection> Read for InTurn<'_, C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive(buffer)
    }
}

impl<C: Connection> Write for InTurn<'_, C> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(&mut [IoSlice::new(bytes)])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where replies go, one after the other.
pub struct Out<'a, C> {
    connection: &'a C,
    turn: Mutex<()>,
}

impl<'a, C: Connection> Out<'a, C> {
    /// Those of a connection.
    pub fn new(connection: &'a C) -> Self {
        Self { connection, turn: Mutex::new(()) }
    }

    /// While this is held, nobody else sends.
    pub fn turn(&self) -> Turn<'_, C> {
        let guard = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { connection: self.connection, _guard: guard }
    }
}

/// The right to send.
pub struct Turn<'a, C> {
    connection: &'a C,
    _guard: std::sync::MutexGuard<'a, ()>,
}

impl<C: Connection> Turn<'_, C> {
    /// Sends all of these bytes.
    pub fn send(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.connection.send(slices)
    }
}
