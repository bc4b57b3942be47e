//! The servers that are compared, each of the same image.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// The size of the image that is made, in bytes.
const IMAGE: u64 = 256 << 20;
/// What chunkstore may keep in memory, in MiB: all of it.
const MEMORY: &str = "4096";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// chunkstore, from a store in chunks of 64 KiB.
    Chunkstore,
    /// nbdkit's file plugin.
    Nbdkit,
    /// qemu-nbd.
    Qemu,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chunkstore, Self::Nbdkit, Self::Qemu];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chunkstore => "chunkstore serve",
            Self::Nbdkit => "nbdkit file",
            Self::Qemu => "qemu-nbd",
        }
    }
}

/// A server; it ends with this.
pub struct Server {
    /// Which.
    pub kind: Kind,
    child: Child,
    socket: PathBuf,
}

impl Server {
    /// Starts one and waits until it listens.
    pub fn start(kind: Kind, chunkstore: &Path, image: &Path, dir: &Path) -> Result<Self> {
        let socket = dir.join(format!("{kind:?}"));
        let mut command = match kind {
            Kind::Chunkstore => {
                let store = dir.join("store");
                cut(chunkstore, image, &store)?;
                let mut command = Command::new(chunkstore);
                command.args(["serve", "image", "--memory", MEMORY, "--store"]).arg(store);
                command.arg("--nbd").arg(format!("unix:{}", socket.display()));
                command
            }
            Kind::Nbdkit => {
                let mut command = Command::new("nbdkit");
                command.args(["--foreground", "--readonly", "--unix"]).arg(&socket).arg("file");
                command.arg(image);
                command
            }
            Kind::Qemu => {
                let mut command = Command::new("qemu-nbd");
                command.args(["--read-only", "--persistent", "--shared=16", "--format=raw"]);
                command.arg("--socket").arg(&socket).arg(image);
                command
            }
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| kind.name().to_owned())?;
        let mut server = Self { kind, child, socket };
        let since = Instant::now();
        while !server.greets() {
            ensure!(server.child.try_wait()?.is_none(), "{} has ended", kind.name());
            ensure!(since.elapsed() < Duration::from_secs(30), "{} does not listen", kind.name());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Whether it says what a server of NBD says first.
    fn greets(&self) -> bool {
        let mut greeting = [0; 18];
        let connected = UnixStream::connect(&self.socket);
        connected.is_ok_and(|mut stream| stream.read_exact(&mut greeting).is_ok())
    }

    /// Where it is.
    pub fn uri(&self) -> String {
        format!("nbd+unix:///?socket={}", self.socket.display())
    }

    /// SHA-256 of all of its device.
    pub fn checksum(&self) -> Result<[u8; 32]> {
        let mut command = Command::new("nbdcopy");
        let mut child = command.arg(self.uri()).arg("-").stdout(Stdio::piped()).spawn()?;
        let hash = checksum(child.stdout.take().context("a pipe")?)?;
        ensure!(child.wait()?.success(), "{} cannot be read", self.kind.name());
        Ok(hash)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cut(chunkstore: &Path, image: &Path, store: &Path) -> Result<()> {
    let mut command = Command::new(chunkstore);
    command.args(["cut", "--index", "image", "--store"]).arg(store).arg(image);
    let status = command.stdout(Stdio::null()).status().context("chunkstore")?;
    ensure!(status.success(), "the image could not be cut");
    Ok(())
}

/// SHA-256 of a file.
pub fn checksum_of_file(path: &Path) -> Result<[u8; 32]> {
    checksum(File::open(path).with_context(|| path.display().to_string())?)
}

fn checksum(mut input: impl Read) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    io::copy(&mut input, &mut hash)?;
    Ok(hash.finalize().into())
}

/// An image without zeros and without two equal chunks, the same each time (a linear congruence); half of it can be compressed away.
pub fn make_image(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("image");
    let mut out = BufWriter::new(File::create(&path)?);
    let mut state = 1u64;
    for _ in 0..IMAGE / 8 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.write_all(&((state >> 32) | 1 << 40).to_le_bytes())?;
    }
    out.flush()?;
    Ok(path)
}

/// What the others are.
pub fn versions() -> Result<Vec<String>> {
    ["nbdkit", "qemu-nbd", "fio"]
        .iter()
        .map(|program| {
            let output = Command::new(program).arg("--version").output();
            let output = output.with_context(|| program.to_string())?;
            let text = String::from_utf8_lossy(&output.stdout);
            let line = text.lines().next().unwrap_or_default();
            let version = line.split(['(', ' ', '-']).find(|word| {
                word.contains('.') && word.chars().any(|letter| letter.is_ascii_digit())
            });
            Ok(format!("{program} {}", version.unwrap_or("of unknown version")))
        })
        .collect()
}
