//! Clients that go away at every moment, ask for too much, are too many, or take their time.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use statify_tests::case::{Case, Cases};
use statify_tests::convert::SYSTEM_PATH;

use super::client::Client;
use super::server::{Server, at};
use super::tool::{command, cut, image, noise, path};

const EINVAL: u32 = 22;
const EOVERFLOW: u32 = 75;
const MIB: u64 = 1 << 20;

pub fn add(cases: &mut Cases) {
    cases.check("clients/gone-at-every-moment", gone);
    cases.check("clients/reads-of-every-length", lengths);
    cases.check("clients/too-many", too_many);
    cases.check("clients/more-than-files-may-be-open", out_of_files);
    cases.check("clients/that-take-no-answers", no_answers);
    cases.check("clients/half-a-handshake", half_a_handshake);
    cases.check("serve/ends-properly", ends);
    cases.needing(&["program:qemu-img"]).check("serve/restarted-under-a-running-client", restarted);
}

/// An image of so many MiB, without zeros but for a hole, and its store.
fn served(case: &Case, mib: u64) -> Result<(PathBuf, Vec<u8>)> {
    let store = case.dir.join("store");
    let bytes = noise(3, (mib * MIB) as usize);
    let hole = 200_000 + MIB;
    let parts = [(0, &bytes[..200_000]), (hole, &bytes[hole as usize..])];
    let path = image(&case.dir.join("image"), mib * MIB, &parts)?;
    cut(&path, &store, &[])?;
    Ok((store, fs::read(path)?))
}

/// A whole conversation is cut off behind each of its bytes, and with sixteen reads in flight.
fn gone(case: &Case) -> Result<()> {
    let (store, bytes) = served(case, 3)?;
    let more = ["--memory".as_ref(), "0".as_ref()];
    let mut server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    let mut said = 3u32.to_be_bytes().to_vec();
    let mut option = |option: u32, data: &[u8]| {
        said.extend(b"IHAVEOPT");
        said.extend(option.to_be_bytes());
        said.extend((data.len() as u32).to_be_bytes());
        said.extend(data);
    };
    option(8, b"");
    option(7, &[0; 6]);
    for number in 0..3u64 {
        said.extend(0x2560_9513u32.to_be_bytes());
        said.extend([0; 4]);
        said.extend(number.to_be_bytes());
        said.extend((number * 65536).to_be_bytes());
        said.extend(65536u32.to_be_bytes());
    }
    for end in 0..=said.len() {
        let mut stream = UnixStream::connect(&server.socket)?;
        stream.write_all(&said[..end])?;
        // Some have taken a part of what they are answered.
        if end % 2 == 0 {
            let mut taken = vec![0; 18 + (end % 5) * 11];
            stream.set_read_timeout(Some(Duration::from_millis(20)))?;
            let _ = stream.read(&mut taken);
        }
    }
    for taken in [0, 1, 20, 100, 70_000, 300_000] {
        let mut client = server.client()?;
        for number in 0..16 {
            client.request(0, number * 100_000, 100_000)?;
        }
        client.take(taken)?;
    }
    ensure!(server.client()?.read_all()? == bytes);
    ensure!(server.is_alive()?);
    Ok(())
}

fn lengths(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (first, last) = (noise(1, 5 << 20), noise(2, 3 << 20));
    let len = 40 * MIB;
    let image =
        image(&case.dir.join("image"), len, &[(12_345, &first), (len - last.len() as u64, &last)])?;
    cut(&image, &store, &["--chunk", "256K"])?;
    let bytes = fs::read(&image)?;
    let more = ["--memory".as_ref(), "1".as_ref()];
    let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    for structured in [true, false] {
        let mut client = Client::connect_as(&server.socket, structured)?;
        for (offset, len) in [
            (0u64, 1u64),
            (12_344, 2),
            (MIB - 1, 2),
            (5, MIB),
            (0, 32 * MIB),
            (8 * MIB - 1, 32 * MIB),
            (MIB / 2, 3 * MIB),
            (38 * MIB, 2 * MIB),
        ] {
            let read = client.read(offset, len as u32)?;
            let range = offset as usize..(offset + len) as usize;
            ensure!(read.as_deref() == Ok(&bytes[range]), "{offset} {len} {structured}");
        }
        ensure!(client.read(0, (32 * MIB + 1) as u32)? == Err(EOVERFLOW));
        ensure!(client.read(8 * MIB, (32 * MIB + 1) as u32)? == Err(EINVAL));
        ensure!(client.read(0, u32::MAX)? == Err(EINVAL));
        ensure!(client.read(len - 1, 1)?.as_deref() == Ok(&bytes[len as usize - 1..]));
    }
    Ok(())
}

fn too_many(case: &Case) -> Result<()> {
    let (store, bytes) = served(case, 3)?;
    let socket = case.dir.join("socket");
    let log = case.dir.join("log");
    let more: [&OsStr; 5] =
        ["image".as_ref(), "--nbd".as_ref(), &at(&socket), "--clients".as_ref(), "3".as_ref()];
    let mut command = command("serve", more, &store)?;
    command.stderr(fs::File::create(&log)?);
    let mut server = Server::run(&mut command, &socket)?;
    let mut clients = Vec::new();
    let since = Instant::now();
    // That of the start may take a moment to go.
    while clients.len() < 3 {
        clients.extend(server.client().ok());
        ensure!(since.elapsed() < Duration::from_secs(20));
    }
    for _ in 0..20 {
        ensure!(server.client().is_err(), "one more than the most");
    }
    ensure!(clients[2].read_all()? == bytes);
    clients.clear();
    while server.client().is_err() {
        ensure!(since.elapsed() < Duration::from_secs(20), "there is room again");
    }
    let said = fs::read_to_string(&log)?;
    ensure!(said.contains("3 are connected, which are the most (--clients)"), "{said}");
    ensure!(said.lines().count() < 5, "it says so too often: {said}");
    ensure!(server.is_alive()?);
    Ok(())
}

/// A server that may open few files, and more clients than that.
fn out_of_files(case: &Case) -> Result<()> {
    let (store, bytes) = served(case, 3)?;
    let socket = case.dir.join("socket");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 24 && exec \"$@\"", "sh"]).arg(path()?);
    command.args(["serve", "image", "--memory", "0", "--nbd"]).arg(at(&socket));
    command.arg("--store").arg(&store).env_clear().env("PATH", SYSTEM_PATH);
    let mut server = Server::run(&mut command, &socket)?;
    let connect = || UnixStream::connect(&socket);
    let held: Vec<_> = (0..60).map(|_| connect()).collect::<std::io::Result<_>>()?;
    std::thread::sleep(Duration::from_millis(300));
    ensure!(server.is_alive()?);
    drop(held);
    ensure!(server.client()?.read_all()? == bytes);
    ensure!(server.is_alive()?);
    Ok(())
}

/// Clients that ask for gigabytes and read nothing of them.
fn no_answers(case: &Case) -> Result<()> {
    let (store, bytes) = served(case, 48)?;
    let more = ["--memory".as_ref(), "4".as_ref()];
    let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    let mut clients = Vec::new();
    for number in 0..6 {
        let mut client = Client::connect_as(&server.socket, number % 2 == 0)?;
        for _ in 0..16 {
            client.request(0, 0, 32 << 20)?;
        }
        clients.push(client);
    }
    // Others are served meanwhile.
    ensure!(server.client()?.read_all()? == bytes);
    std::thread::sleep(Duration::from_millis(500));
    let peak = server.peak()?;
    // Without a bound these were 3 GiB.
    ensure!(peak < 400 * MIB, "{} MiB", peak / MIB);
    drop(clients);
    ensure!(server.client()?.read_all()? == bytes);
    Ok(())
}

/// One byte now and then is no way to keep a place for ever.
fn half_a_handshake(case: &Case) -> Result<()> {
    let (store, bytes) = served(case, 3)?;
    let server = Server::start("image", &store, &case.dir.join("socket"), &[])?;
    let mut slow = UnixStream::connect(&server.socket)?;
    slow.write_all(&3u32.to_be_bytes())?;
    let since = Instant::now();
    let option = [&b"IHAVEOPT\0\0\0\x03\0\0\xff\xff"[..], &[0; 1 << 16]].concat();
    for byte in option {
        if slow.write_all(&[byte]).is_err() {
            break;
        }
        ensure!(since.elapsed() < Duration::from_secs(40), "it still listens");
        std::thread::sleep(Duration::from_secs(1));
    }
    ensure!(since.elapsed() > Duration::from_secs(25), "{:?}", since.elapsed());
    ensure!(server.client()?.read_all()? == bytes);
    Ok(())
}

/// SIGTERM and the like: sockets, metrics and the trace are as they should be.
fn ends(case: &Case) -> Result<()> {
    let (store, bytes) = served(case, 3)?;
    let (socket, trace) = (case.dir.join("socket"), case.dir.join("trace"));
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let more = ["--trace".as_ref(), trace.as_os_str()];
        let mut server = Server::start("image", &store, &socket, &more)?;
        let mut client = server.client()?;
        ensure!(client.read(7, 9)?.as_deref() == Ok(&bytes[7..16]));
        ensure!(server.end(signal)? == 0);
        ensure!(!socket.exists());
        ensure!(fs::read_to_string(&trace)?.contains("\"offset\":7,\"length\":9"));
    }
    Ok(())
}

/// QEMU's client connects again and asks again, as a guest's disk would: it hears nothing of servers that are killed.
fn restarted(case: &Case) -> Result<()> {
    let (store, bytes) = served(case, 48)?;
    let (socket, copy) = (case.dir.join("socket"), case.dir.join("copy"));
    let mut server = Server::start("image", &store, &socket, &[])?;
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-r", "16M", "-m", "4", "-O", "raw", "--image-opts"]);
    convert.arg(format!(
        "driver=nbd,server.type=unix,server.path={},export=image,reconnect-delay=60",
        socket.display()
    ));
    let mut convert = convert.arg(&copy).stdout(Stdio::null()).spawn()?;
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(400));
        drop(server);
        std::thread::sleep(Duration::from_millis(100));
        server = Server::start("image", &store, &socket, &[])?;
    }
    ensure!(convert.try_wait()?.is_none(), "it was too fast to be disturbed");
    ensure!(convert.wait()?.success(), "it has heard of an error");
    ensure!(fs::read(&copy)? == bytes, "the copy is another");
    Ok(())
}
