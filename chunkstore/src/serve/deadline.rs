//! A connection on which everything must be said by a certain time, however slowly it comes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What waits no longer than it is told to (`SO_RCVTIMEO`, `SO_SNDTIMEO`).
pub trait Timed {
    /// For how long; for ever if nothing is said.
    fn wait_for(&self, time: Option<Duration>) -> io::Result<()>;
}

impl Timed for UnixStream {
    fn wait_for(&self, time: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(time)?;
        self.set_write_timeout(time)
    }
}

impl Timed for TcpStream {
    fn wait_for(&self, time: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(time)?;
        self.set_write_timeout(time)
    }
}

/// Such a connection, until it is dropped.
pub struct Deadline<'a, S: Timed> {
    stream: &'a S,
    until: Instant,
}

impl<'a, S: Timed> Deadline<'a, S> {
    /// In so long from now.
    pub fn new(stream: &'a S, time: Duration) -> Self {
        Self { stream, until: Instant::now() + time }
    }

    fn hurry(&self) -> io::Result<()> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => self.stream.wait_for(Some(left)),
        }
    }
}

impl<S: Timed> Drop for Deadline<'_, S> {
    fn drop(&mut self) {
        let _ = self.stream.wait_for(None);
    }
}

impl<'a, S: Timed> Read for Deadline<'a, S>
where
    &'a S: Read,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.hurry()?;
        let mut stream = self.stream;
        stream.read(buffer)
    }
}

impl<'a, S: Timed> Write for Deadline<'a, S>
where
    &'a S: Write,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hurry()?;
        let mut stream = self.stream;
        stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_is_not_enough() {
        let (mut one, other) = UnixStream::pair().unwrap();
        let since = Instant::now();
        let slow = std::thread::spawn(move || {
            for _ in 0..40 {
                std::thread::sleep(Duration::from_millis(20));
                if one.write_all(b"x").is_err() {
                    return;
                }
            }
        });
        let mut deadline = Deadline::new(&other, Duration::from_millis(200));
        assert!(deadline.read_exact(&mut [0; 40]).is_err());
        assert!(since.elapsed() < Duration::from_millis(700), "{:?}", since.elapsed());
        drop(deadline);
        drop(other);
        slow.join().unwrap();
    }
}
