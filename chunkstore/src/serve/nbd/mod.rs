//! A server of the NBD protocol, which QEMU speaks without a kernel module or a mount.

mod connection;
pub mod handshake;
mod message;
mod protocol;
mod reply;
mod requests;
mod room;
mod tls;
mod transmission;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_keepalive;

use super::deadline::Deadline;
use super::device::Device;
use connection::InTurn;
use handshake::{Export, handshake};

pub use tls::Credentials;

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Before a connection is accepted again after that has failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Who hears of clients that are sent away.
pub type Say = Box<dyn Fn(&str) + Send + Sync>;

/// What is served to NBD's clients.
pub struct Service {
    device: Arc<Device>,
    /// What the export is called.
    label: String,
    /// As many clients are served at once; others are sent away.
    most: usize,
    clients: AtomicUsize,
    /// It was said that there are too many.
    is_full: AtomicBool,
    say: Say,
}

impl Service {
    /// Of a device, as `label`, to `most` clients at once.
    pub fn new(device: Arc<Device>, label: &str, most: usize, say: Say) -> Self {
        let (clients, is_full) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { device, label: label.into(), most, clients, is_full, say }
    }

    /// Serves everybody who connects to a socket of this machine, for ever.
    pub fn local(&self, listener: &UnixListener) {
        self.accept(
            || listener.accept().map(|(stream, _)| (stream, "a client".into())),
            |stream| client(stream, &self.device, &self.label),
        );
    }

    /// Serves everybody who connects to a port, encrypts and has a certificate, for ever.
    pub fn encrypted(&self, listener: &TcpListener, credentials: &Credentials) {
        self.accept(
            || listener.accept().map(|(stream, from)| (stream, format!("a client at {from}"))),
            |stream| encrypted_client(stream, credentials, &self.device, &self.label),
        );
    }

    fn accept<S: Send>(
        &self,
        next: impl Fn() -> io::Result<(S, String)>,
        serve: impl Fn(S) -> io::Result<()> + Sync,
    ) {
        let serve = &serve;
        std::thread::scope(|scope| {
            loop {
                let Ok((stream, who)) = next() else {
                    // Too many files are open, or the like: that passes, and running machines depend on what is served.
                    std::thread::sleep(PAUSE);
                    continue;
                };
                let Some(place) = self.place() else { continue };
                let serve = move || {
                    self.until_it_goes(&who, || serve(stream));
                    drop(place);
                };
                if std::thread::Builder::new().spawn_scoped(scope, serve).is_err() {
                    (self.say)("a client was sent away: the system has too many threads");
                    std::thread::sleep(PAUSE);
                }
            }
        })
    }

    /// A client's place, if there is one left.
    fn place(&self) -> Option<Place<'_>> {
        let metrics = &self.device.chunks.metrics;
        if self.clients.fetch_add(1, Ordering::AcqRel) < self.most {
            self.is_full.store(false, Ordering::Relaxed);
            metrics.clients.inc();
            return Some(Place(self));
        }
        self.clients.fetch_sub(1, Ordering::AcqRel);
        metrics.refused_clients.inc();
        // Once, however often it tries.
        if !self.is_full.swap(true, Ordering::Relaxed) {
            let most = self.most;
            (self.say)(&format!(
                "a client was sent away: {most} are connected, which are the most (--clients)"
            ));
        }
        None
    }

    fn until_it_goes(&self, who: &str, serve: impl FnOnce() -> io::Result<()>) {
        let served = serve();
        if let Err(error) = &served
            && matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::TimedOut)
        {
            self.device.chunks.metrics.refused_clients.inc();
            (self.say)(&format!("{who} was sent away: {error}"));
        }
        if let Some(trace) = &self.device.trace {
            trace.flush();
        }
    }
}

/// A client's place among the most that are served.
struct Place<'a>(&'a Service);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::AcqRel);
        self.0.device.chunks.metrics.clients.dec();
    }
}

/// Serves one client until it goes away. `label` is what the export is called.
pub fn client(stream: UnixStream, device: &Device, label: &str) -> io::Result<()> {
    let export = Export { name: label, len: device.len() };
    let agreed = handshake(&mut Deadline::new(&stream, HANDSHAKE), export).map_err(late)?;
    match agreed {
        Some(agreed) => transmission::serve(&stream, device, agreed),
        None => Ok(()),
    }
}

fn encrypted_client(
    stream: TcpStream,
    credentials: &Credentials,
    device: &Device,
    label: &str,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // One whose machine has gone leaves no word.
    set_socket_keepalive(&stream, true)?;
    let until = Instant::now() + HANDSHAKE;
    let own = stream.try_clone()?;
    let mut timed = Deadline::new(&own, HANDSHAKE);
    let Some(greeted) = handshake::until_encrypted(&mut timed).map_err(late)? else {
        return Ok(());
    };
    let connection = tls::Encrypted::accept(stream, &mut timed, credentials).map_err(late)?;
    drop(timed);
    connection.hurry(Some(until))?;
    let export = Export { name: label, len: device.len() };
    let agreed = handshake::options(&mut InTurn(&connection), greeted, export).map_err(late)?;
    connection.hurry(None)?;
    match agreed {
        Some(agreed) => transmission::serve(&connection, device, agreed),
        None => Ok(()),
    }
}

/// An error of a handshake, which may be that it takes too long.
fn late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            let why = format!("its handshake took longer than {} s", HANDSHAKE.as_secs());
            io::Error::new(io::ErrorKind::TimedOut, why)
        }
        _ => error,
    }
}
