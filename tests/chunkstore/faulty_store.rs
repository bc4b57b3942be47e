//! An object store on the loopback interface, out of a directory that a chunk store is in, which can be told to fail in every way.
//! It knows as much of S3 as reading needs, and believes every signature.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// What happens to requests for packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// This is the answer.
    Status(u16),
    /// There is none, ever.
    Stall,
    /// It begins and then stands still.
    Halfway,
    /// A byte a second.
    Drip,
    /// The connection ends after half of what was announced.
    CutOff,
    /// Half of it is announced and sent.
    TooShort,
    /// Twice as much is announced and sent.
    TooLong,
    /// Bytes from elsewhere.
    OtherRange,
    /// All of it, though a part was asked for.
    AllOfIt,
    /// A bit of it is another.
    Flipped,
    /// As many zeros.
    Zeros,
    /// Bytes that are no HTTP.
    Garbage,
    /// The connection ends at once.
    HangUp,
}

/// A store; it ends with this.
pub struct FaultyStore {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    dir: PathBuf,
    fault: Mutex<Fault>,
    /// Changes when it ends.
    generation: AtomicU64,
    /// Requests for packs.
    requests: AtomicUsize,
}

impl FaultyStore {
    /// Of the store in a directory.
    pub fn start(dir: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            fault: Mutex::new(Fault::None),
            generation: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
        });
        let own = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(io::Result::ok) {
                if own.generation.load(Ordering::Relaxed) > 0 {
                    return;
                }
                let shared = own.clone();
                std::thread::spawn(move || shared.answer(&stream));
            }
        });
        Ok(Self { shared, port })
    }

    /// From now on requests for packs go so.
    pub fn fail(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// How many requests for packs there were.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Its place.
    pub fn url() -> &'static Path {
        Path::new("s3://images/prefix")
    }

    /// Tells a command where it is.
    pub fn tell(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port))
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "us-east-1");
    }
}

impl Drop for FaultyStore {
    fn drop(&mut self) {
        self.shared.generation.store(1, Ordering::Relaxed);
        // It waits for a connection, and then sees it.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// What was asked for.
struct Request {
    method: String,
    path: String,
    /// First and last byte.
    range: Option<(usize, usize)>,
}

impl Shared {
    fn answer(&self, stream: &TcpStream) {
        let mut input = BufReader::new(stream);
        while let Ok(Some(request)) = read(&mut input) {
            if self.answer_one(stream, &request).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn is_over(&self) -> bool {
        self.generation.load(Ordering::Relaxed) > 0
    }

    fn answer_one(&self, out: &TcpStream, request: &Request) -> Result<()> {
        let mut out = out;
        let path = request.path.split('?').next().unwrap_or_default();
        let Some(name) = path.strip_prefix("/images/prefix/") else {
            const LIST: &str = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>images</Name><Prefix>prefix/</Prefix><KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";
            return Ok(send(out, 200, "", LIST.as_bytes(), LIST.len())?);
        };
        let is_pack = name.starts_with("packs/");
        let fault = match is_pack {
            true => *self.fault.lock().unwrap_or_else(PoisonError::into_inner),
            false => Fault::None,
        };
        self.requests.fetch_add(usize::from(is_pack), Ordering::Relaxed);
        let Ok(all) = fs::read(self.dir.join(name)) else {
            return Ok(send(out, 404, "", b"<Error><Code>NoSuchKey</Code></Error>", 37)?);
        };
        let (first, last) = request.range.unwrap_or((0, all.len().saturating_sub(1)));
        let last = last.min(all.len().saturating_sub(1));
        let part = all.get(first..=last).unwrap_or_default().to_vec();
        let len = part.len();
        let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", all.len());
        let status = if request.range.is_some() { 206 } else { 200 };
        let headers = if request.range.is_some() { &range[..] } else { "" };
        let half = &part[..len / 2];
        match fault {
            _ if request.method == "HEAD" => send(out, status, headers, b"", len)?,
            Fault::None => send(out, status, headers, &part, len)?,
            Fault::Status(status) => send(out, status, "", b"", 0)?,
            Fault::Stall => self.stand_still(),
            Fault::Halfway => {
                send(out, status, headers, half, len)?;
                self.stand_still();
            }
            Fault::Drip => {
                send(out, status, headers, b"", len)?;
                for byte in &part {
                    out.write_all(&[*byte])?;
                    std::thread::sleep(Duration::from_secs(1));
                    anyhow::ensure!(!self.is_over());
                }
            }
            Fault::CutOff => {
                send(out, status, headers, half, len)?;
                anyhow::bail!("it is cut off");
            }
            Fault::TooShort => send(out, status, headers, half, half.len())?,
            Fault::TooLong => send(out, status, headers, &part.repeat(2), 2 * len)?,
            Fault::OtherRange => {
                let other = all.get(len..2 * len).context("a large pack")?;
                send(out, status, headers, other, len)?;
            }
            Fault::AllOfIt => send(out, 200, "", &all, all.len())?,
            Fault::Flipped => {
                let mut flipped = part.clone();
                flipped[len / 2] ^= 8;
                send(out, status, headers, &flipped, len)?;
            }
            Fault::Zeros => send(out, status, headers, &vec![0; len], len)?,
            Fault::Garbage => out.write_all(&[0xff; 300])?,
            Fault::HangUp => anyhow::bail!("it hangs up"),
        }
        Ok(())
    }

    fn stand_still(&self) {
        while !self.is_over() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn send(mut out: &TcpStream, status: u16, more: &str, body: &[u8], len: usize) -> io::Result<()> {
    let header = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {len}\r\nETag: \"1\"\r\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n{more}\r\n"
    );
    out.write_all(&[header.as_bytes(), body].concat())
}

fn read(input: &mut impl BufRead) -> Result<Option<Request>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(String::from);
    let (method, path) = (words.next().context("a method")?, words.next().context("a path")?);
    let mut range = None;
    loop {
        let mut header = String::new();
        input.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("range")
            && let Some((first, last)) =
                value.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
        {
            range = Some((first.parse()?, last.parse()?));
        }
    }
    Ok(Some(Request { method, path, range }))
}
