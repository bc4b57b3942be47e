//! Connections over a network: encrypted, and both sides known by certificates.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::connection::Connection;
use crate::error::{Error, Result};
use crate::serve::deadline::Timed;

/// The files of a directory of certificates, as QEMU, nbdkit and libnbd call them: who signs clients' certificates,
const AUTHORITY: &str = "ca-cert.pem";
/// which of them are not valid any more, if that is there,
const REVOKED: &str = "ca-crl.pem";
/// the server's own,
const CERTIFICATE: &str = "server-cert.pem";
/// and its key.
const KEY: &str = "server-key.pem";
/// As many bytes are read at once, as a record of TLS has at most.
const RECORD: usize = 16 << 10;

/// How long a client may take to hear that the connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// Who the server is, and whom it serves.
#[derive(Clone, Debug)]
pub struct Credentials(Arc<ServerConfig>);

impl Credentials {
    /// Those in a directory.
    pub fn load(dir: &Path) -> Result<Self> {
        let wrong = |name: &str, why: &dyn std::fmt::Display| {
            Error::Certificates(dir.join(name), why.to_string())
        };
        let certificates = |name: &str| -> Result<Vec<CertificateDer<'static>>> {
            let all = CertificateDer::pem_file_iter(dir.join(name)).and_then(Iterator::collect);
            all.map_err(|error| wrong(name, &error))
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(AUTHORITY)? {
            roots.add(certificate).map_err(|error| wrong(AUTHORITY, &error))?;
        }
        let provider = Arc::new(default_provider());
        let mut clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        if dir.join(REVOKED).exists() {
            let lists = CertificateRevocationListDer::pem_file_iter(dir.join(REVOKED));
            let lists = lists.and_then(Iterator::collect::<Result<Vec<_>, _>>);
            clients = clients.with_crls(lists.map_err(|error| wrong(REVOKED, &error))?);
        }
        let clients = clients.build().map_err(|error| wrong(AUTHORITY, &error))?;
        let key = key(&dir.join(KEY))?;
        // GnuTLS writes half of its keys for elliptic curves with a zero in front.
        provider.key_provider.load_private_key(key.clone_key()).map_err(|_| {
            let why = "it is of a kind or form that is not known (`openssl pkcs8 -topk8 -nocrypt` may write it in another one)";
            wrong(KEY, &why)
        })?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(CERTIFICATE, &error))?
            .with_client_cert_verifier(clients)
            .with_single_cert(certificates(CERTIFICATE)?, key)
            .map_err(|error| wrong(CERTIFICATE, &error))?;
        Ok(Self(Arc::new(config)))
    }
}

/// A key that not everybody can read.
fn key(path: &PathBuf) -> Result<PrivateKeyDer<'static>> {
    let wrong = |why: String| Error::Certificates(path.clone(), why);
    let mode = path.metadata().map_err(|error| wrong(error.to_string()))?.mode();
    if mode & 0o007 != 0 {
        return Err(wrong("every user can read it; make it the server's own (chmod o=)".into()));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| wrong(error.to_string()))
}

/// An encrypted connection.
pub struct Encrypted {
    stream: TcpStream,
    session: Mutex<ServerConnection>,
    /// Until when the client may take for what it says.
    until: Mutex<Option<Instant>>,
    /// Who sends: what was encrypted first goes first. Taken before the session.
    sending: Mutex<()>,
    /// What came, as it is on the wire, and is not yet decrypted.
    incoming: Mutex<Incoming>,
}

struct Incoming {
    bytes: Box<[u8; RECORD]>,
    start: usize,
    end: usize,
}

impl Encrypted {
    /// Agrees on keys with a client, which must show a certificate. `timed` is the same stream, on which nobody waits for ever.
    pub fn accept(
        stream: TcpStream,
        timed: &mut (impl Read + Write),
        credentials: &Credentials,
    ) -> io::Result<Self> {
        let session = ServerConnection::new(credentials.0.clone()).map_err(invalid)?;
        let encrypted = Self {
            stream,
            session: Mutex::new(session),
            until: Mutex::default(),
            sending: Mutex::default(),
            incoming: Mutex::new(Incoming { bytes: Box::new([0; RECORD]), start: 0, end: 0 }),
        };
        let mut session = lock(&encrypted.session);
        while session.is_handshaking() {
            if let Err(error) = session.complete_io(timed) {
                // Says why, if the client still listens.
                let _ = session.write_tls(timed);
                return Err(error);
            }
        }
        drop(session);
        Ok(encrypted)
    }

    /// Sends what the session has to send.
    fn flush(&self, session: MutexGuard<'_, ServerConnection>) -> io::Result<()> {
        let mut session = session;
        let mut bytes = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut bytes)?;
        }
        drop(session);
        (&self.stream).write_all(&bytes)
    }

    /// Takes in some of what came. None if there is nothing left of it.
    fn decrypt(&self, incoming: &mut Incoming) -> io::Result<Option<()>> {
        if incoming.start == incoming.end {
            return Ok(None);
        }
        let mut session = lock(&self.session);
        let mut bytes = &incoming.bytes[incoming.start..incoming.end];
        incoming.start += session.read_tls(&mut bytes)?;
        let processed = session.process_new_packets().map(drop);
        let has_more = session.wants_write();
        drop(session);
        if has_more {
            let _sending = lock(&self.sending);
            self.flush(lock(&self.session))?;
        }
        processed.map(Some).map_err(invalid)
    }

    /// Bounds how long reading takes, until it is told otherwise.
    pub fn hurry(&self, until: Option<Instant>) -> io::Result<()> {
        *lock(&self.until) = until;
        self.hasten()
    }

    fn hasten(&self) -> io::Result<()> {
        let left = lock(&self.until).map(|until| until.saturating_duration_since(Instant::now()));
        match left {
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            left => self.stream.wait_for(left),
        }
    }
}

impl Connection for Encrypted {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = lock(&self.incoming);
        loop {
            match lock(&self.session).reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            if self.decrypt(&mut incoming)?.is_some() {
                continue;
            }
            if lock(&self.until).is_some() {
                self.hasten()?;
            }
            let Incoming { bytes, start, end } = &mut *incoming;
            (*start, *end) = (0, self.stream.receive(&mut bytes[..])?);
            if *end == 0 {
                return Ok(0);
            }
        }
    }

    fn send(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let _sending = lock(&self.sending);
        for slice in slices {
            let mut rest: &[u8] = slice;
            while !rest.is_empty() {
                let mut session = lock(&self.session);
                // As much as its buffer takes.
                let written = session.writer().write(rest)?;
                rest = &rest[written..];
                if written == 0 {
                    self.flush(session)?;
                }
            }
        }
        self.flush(lock(&self.session))
    }

    fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Says goodbye, so that the client knows that nobody has cut the connection.
impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = self.stream.set_write_timeout(Some(GOODBYE));
        lock(&self.session).send_close_notify();
        let _ = self.flush(lock(&self.session));
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
