//! What lies between a client and an object store, and fails as it is told: a proxy on the loopback interface.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// What goes wrong with requests of one method for packs, until something else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// They are answered with this status.
    Status(u16),
    /// So many are, and then none.
    Times(u16, usize),
    /// They are not answered.
    Stall,
    /// The answer comes one byte a second.
    Drip,
    /// The answer ends in its middle.
    Cut,
    /// The answer is one byte shorter, and says so.
    Short,
    /// It says that it is of another range.
    OtherRange,
    /// It is of another range, and does not say so.
    Shifted,
    /// One bit of it is another.
    Flip,
    /// The connection ends without an answer.
    Close,
    /// The answer does not say that it is a range.
    Whole,
}

/// A proxy; its threads end with the tests.
pub struct Proxy {
    /// Where it listens.
    pub endpoint: String,
    state: Arc<State>,
}

struct State {
    server: String,
    fault: Mutex<(&'static str, Fault)>,
    failed: AtomicUsize,
}

impl Proxy {
    /// One before `http://ADDRESS`.
    pub fn start(endpoint: &str) -> Result<Self> {
        let server = endpoint.strip_prefix("http://").context("not encrypted")?.to_owned();
        let fault = Mutex::new(("GET", Fault::None));
        let state = Arc::new(State { server, fault, failed: AtomicUsize::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || {
                    // Whoever is gone has had enough.
                    let _ = state.exchange(stream);
                });
            }
        });
        Ok(Self { endpoint, state })
    }

    /// From now on requests of this method fail so.
    pub fn fail(&self, method: &'static str, fault: Fault) {
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = (method, fault);
    }

    /// How many requests have failed.
    pub fn failed(&self) -> usize {
        self.state.failed.load(Ordering::Relaxed)
    }
}

impl State {
    /// What goes wrong with this request.
    fn fault(&self, line: &str) -> Fault {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let (method, now) = &mut *fault;
        // Lists of packs are answered.
        if !line.starts_with(*method) || !line.contains("/packs/") || line.contains('?') {
            return Fault::None;
        }
        let found = match now {
            Fault::Times(_, 0) => Fault::None,
            Fault::Times(status, left) => {
                *left -= 1;
                Fault::Status(*status)
            }
            other => other.clone(),
        };
        if found != Fault::None {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    fn exchange(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let (head, body) = message(&mut reader)?;
        let line = head.lines().next().unwrap_or_default().to_owned();
        let fault = self.fault(&line);
        match fault {
            Fault::Status(status) => {
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                return client.write_all(answer.as_bytes());
            }
            Fault::Stall => {
                std::thread::sleep(Duration::from_secs(40));
                return Ok(());
            }
            Fault::Close => return Ok(()),
            _ => {}
        }
        let mut server = TcpStream::connect(&self.server)?;
        let asked = |line: &&str| !line.to_ascii_lowercase().starts_with("connection:");
        let mut request: String =
            head.lines().filter(asked).map(|line| format!("{line}\r\n")).collect();
        request += "Connection: close\r\n\r\n";
        server.write_all(request.as_bytes())?;
        server.write_all(&body)?;
        let is_head = line.starts_with("HEAD");
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.map_or(answer.len(), |end| end + 4));
        let head = String::from_utf8_lossy(head).into_owned();
        match is_head {
            true => client.write_all(head.as_bytes()),
            false => answer_with(&mut client, &fault, &head, body.to_vec()),
        }
    }
}

/// A message's head, without the empty line, and its body.
fn message(reader: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    let mut len = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            len = value.trim().parse().map_err(io::Error::other)?;
        }
        if lower.starts_with("expect:") {
            continue;
        }
        if line == "\r\n" {
            break;
        }
        head += line.trim_end();
        head += "\r\n";
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

fn answer_with(
    client: &mut TcpStream,
    fault: &Fault,
    head: &str,
    mut body: Vec<u8>,
) -> io::Result<()> {
    let mut head = head.to_owned();
    match fault {
        Fault::Short => {
            let (before, after) = (body.len(), body.len().saturating_sub(1));
            body.truncate(after);
            head = head.replace(
                &format!("ontent-Length: {before}\r\n"),
                &format!("ontent-Length: {after}\r\n"),
            );
        }
        Fault::Whole => {
            head = head
                .replace("206 PARTIAL CONTENT", "200 OK")
                .replace("ontent-Range", "ontent-Rage");
        }
        Fault::OtherRange => head = head.replace("bytes ", "bytes 1"),
        Fault::Shifted => body.rotate_left(1),
        Fault::Flip => {
            let middle = body.len() / 2;
            if let Some(byte) = body.get_mut(middle) {
                *byte ^= 16;
            }
        }
        _ => {}
    }
    client.write_all(head.as_bytes())?;
    match fault {
        Fault::Cut => client.write_all(&body[..body.len() / 2]),
        Fault::Drip => body.iter().try_for_each(|byte| {
            std::thread::sleep(Duration::from_secs(1));
            client.write_all(&[*byte])
        }),
        _ => client.write_all(&body),
    }
}
