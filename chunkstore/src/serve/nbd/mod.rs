//! A server of the NBD protocol, which QEMU speaks without a kernel module or a mount.

mod connection;
pub mod handshake;
mod message;
mod protocol;
mod reply;
mod requests;
mod room;
mod transmission;

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::umask;

use super::device::Device;
use handshake::{Export, handshake};

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Before a connection is accepted again after that has failed.
const PAUSE: Duration = Duration::from_millis(100);
/// As many clients at once; more wait.
const MOST_CLIENTS: usize = 64;

/// Listens at a path, for this user only. A socket that a server has left behind there is replaced; one that somebody
/// listens at is not.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody serves there already"));
    }
    let is_socket = path
        .symlink_metadata()
        .is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()));
    if is_socket {
        std::fs::remove_file(path)?;
    }
    let before = umask(Mode::RWXG | Mode::RWXO);
    let listener = UnixListener::bind(path);
    umask(before);
    listener
}

/// Serves everybody who connects, for ever. `label` is what the export is called; `say` hears of clients that speak
/// something else.
pub fn serve(listener: &UnixListener, device: &Device, label: &str, say: impl Fn(&str) + Sync) {
    let clients = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // Too many files are open, or the like: that passes, and running machines depend on what is served.
                std::thread::sleep(PAUSE);
                continue;
            };
            while clients.load(std::sync::atomic::Ordering::Acquire) >= MOST_CLIENTS {
                std::thread::sleep(Duration::from_millis(10));
            }
            clients.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
            let (clients, say) = (&clients, &say);
            scope.spawn(move || {
                if let Err(error) = client(stream, device, label)
                    && error.kind() == io::ErrorKind::InvalidData
                {
                    say(&format!("a client was sent away: {error}"));
                }
                if let Some(trace) = &device.trace {
                    trace.flush();
                }
                clients.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
            });
        }
    })
}

fn client(mut stream: UnixStream, device: &Device, label: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(HANDSHAKE))?;
    let export = Export { name: label, len: device.len() };
    let Some(agreed) = handshake(&mut stream, export)? else { return Ok(()) };
    stream.set_read_timeout(None)?;
    transmission::serve(&stream, device, agreed)
}
