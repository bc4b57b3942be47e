//! Images served as block devices: by what is right, and by all that goes wrong with stores, caches and clients.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};

use super::server::Server;
use super::tool::{cut, image, noise, refused};

const EIO: u32 = 5;
const EINVAL: u32 = 22;

pub fn add(cases: &mut Cases) {
    cases.check("serve/every-byte", every_byte);
    cases.needing(&["program:nbdcopy", "program:nbdinfo"]).check("serve/to-libnbd", libnbd);
    cases.needing(&["program:qemu-img"]).check("serve/to-qemu", qemu);
    cases.check("serve/requests-that-make-no-sense", senseless);
    cases.check("serve/garbage", garbage);
    cases.check("serve/several-clients", several);
    cases.check("serve/store-goes-and-comes", store_goes);
    cases.check("serve/damaged-cache", damaged_cache);
    cases.check("serve/killed", killed);
    cases.check("serve/prefetch", prefetch);
    cases.check("serve/socket-in-use", in_use);
}

/// An image of four MiB, with holes, and its store.
fn small(case: &Case) -> Result<(PathBuf, Vec<u8>)> {
    let store = case.dir.join("store");
    let (one, two) = (noise(1, 1_000_000), noise(2, 700_001));
    let path = image(
        &case.dir.join("image"),
        (4 << 20) + 77,
        &[(4097, &one), (3_500_000, &two[..200_000])],
    )?;
    cut(&path, &store, &["--chunk", "16K"])?;
    Ok((store, fs::read(path)?))
}

fn every_byte(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let server = Server::start("image", &store, &case.dir.join("socket"), &[])?;
    let mut client = server.client()?;
    ensure!(client.len == bytes.len() as u64);
    ensure!(client.read_all()? == bytes);
    for (offset, len) in [(0, 1), (4096, 2), (16383, 2), (1_003_999, 50_000), (client.len - 1, 1)] {
        let range = offset as usize..offset as usize + len as usize;
        ensure!(client.read(offset, len)?.as_deref() == Ok(&bytes[range]), "{offset} {len}");
    }
    Ok(())
}

fn uri(server: &Server) -> String {
    format!("nbd+unix:///image?socket={}", server.socket.display())
}

fn libnbd(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let server = Server::start("image", &store, &case.dir.join("socket"), &[])?;
    let copy = case.dir.join("copy");
    output(
        Command::new("nbdcopy")
            .args(["--connections=4", "--requests=16"])
            .arg(uri(&server))
            .arg(&copy),
    )?;
    ensure!(fs::read(&copy)? == bytes);
    let said = output(Command::new("nbdinfo").arg("--map").arg(uri(&server)))?;
    ensure!(said.lines().any(|line| line.contains("hole,zero")), "{said}");
    let lens = said.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    ensure!(lens.sum::<u64>() == bytes.len() as u64, "{said}");
    Ok(())
}

fn qemu(case: &Case) -> Result<()> {
    let (store, _) = small(case)?;
    let server = Server::start("image", &store, &case.dir.join("socket"), &[])?;
    let image = case.dir.join("image");
    let mut command = Command::new("qemu-img");
    command.args(["compare", "-f", "raw", "-F", "raw"]).arg(uri(&server)).arg(&image);
    // QEMU has whole sectors.
    let said = output(&mut command)?;
    ensure!(said.contains("Images are identical"), "{said}");
    Ok(())
}

fn senseless(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let mut server = Server::start("image", &store, &case.dir.join("socket"), &[])?;
    let mut client = server.client()?;
    let len = client.len;
    for (offset, wanted) in [(len, 1), (len - 1, 2), (u64::MAX, 1), (u64::MAX - 5, 10), (0, 0)] {
        ensure!(client.read(offset, wanted)? == Err(EINVAL), "{offset} {wanted}");
    }
    for (kind, error) in [(4, 1), (6, 1), (7, EINVAL), (99, EINVAL)] {
        client.request(kind, 0, 512)?;
        ensure!(client.answer(0, 512)? == Err(error), "{kind}");
    }
    ensure!(client.read(5000, 9)?.as_deref() == Ok(&bytes[5000..5009]));
    ensure!(server.is_alive()?);
    Ok(())
}

/// Clients that speak something else, and some that go away in every state.
fn garbage(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let mut server = Server::start("image", &store, &case.dir.join("socket"), &[])?;
    for round in 0..60u64 {
        let mut stream = UnixStream::connect(&server.socket)?;
        let mut said = 3u32.to_be_bytes().to_vec();
        match round % 4 {
            0 => said = noise(round, round as usize * 7),
            1 => said.extend(noise(round, round as usize * 5)),
            2 => {
                said.extend(b"IHAVEOPT");
                said.extend((round as u32).to_be_bytes());
                said.extend(noise(round, 4 + round as usize));
            }
            _ => {
                // Ready for requests, then nonsense.
                said.extend(b"IHAVEOPT\0\0\0\x01\0\0\0\0");
                said.extend(noise(round, round as usize));
            }
        }
        let _ = stream.write_all(&said);
        if round % 3 == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    // A read that nobody waits for.
    for _ in 0..5 {
        server.client()?.request(0, 0, 1 << 20)?;
    }
    ensure!(server.client()?.read_all()? == bytes);
    ensure!(server.is_alive()?);
    Ok(())
}

fn several(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let cache = case.dir.join("cache");
    let more = ["--cache".as_ref(), cache.as_os_str(), "--memory".as_ref(), "0".as_ref()];
    let one = Server::start("image", &store, &case.dir.join("one"), &more)?;
    let two = Server::start("image", &store, &case.dir.join("two"), &more)?;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|number| {
                let server = if number % 2 == 0 { &one } else { &two };
                scope.spawn(move || server.client()?.read_all())
            })
            .collect();
        for reader in readers {
            let read = reader.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            ensure!(read == bytes);
        }
        Ok(())
    })
}

/// A store that is gone: a read fails in the time that was said, never with wrong bytes, and is right as soon as the store is
/// there again.
fn store_goes(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let packs = store.join("packs");
    let server = Server::start(
        "image",
        &store,
        &case.dir.join("socket"),
        &["--patience".as_ref(), "1".as_ref()],
    )?;
    let mut client = server.client()?;
    ensure!(client.read(5000, 10)?.as_deref() == Ok(&bytes[5000..5010]));
    let pack = fs::read_dir(&packs)?.next().context("a pack")??.path();
    let contents = fs::read(&pack)?;
    for damaged in
        [None, Some(&b""[..]), Some(&contents[..contents.len() / 9]), Some(&noise(9, 4096))]
    {
        match damaged {
            None => fs::remove_file(&pack)?,
            Some(bytes) => fs::write(&pack, bytes)?,
        }
        let since = Instant::now();
        ensure!(client.read(900_000, 10)? == Err(EIO));
        ensure!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        // What it has had before it still has.
        ensure!(client.read(5000, 10)?.as_deref() == Ok(&bytes[5000..5010]));
    }
    // It comes again while a read waits.
    client.request(0, 900_000, 10)?;
    std::thread::sleep(Duration::from_millis(300));
    fs::write(&pack, &contents)?;
    ensure!(client.answer(900_000, 10)?.as_deref() == Ok(&bytes[900_000..900_010]));
    ensure!(client.read_all()? == bytes);
    Ok(())
}

fn damaged_cache(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let cache = case.dir.join("cache");
    let more = ["--cache".as_ref(), cache.as_os_str(), "--memory".as_ref(), "0".as_ref()];
    let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    ensure!(server.client()?.read_all()? == bytes);
    // It goes on to fill its cache.
    drop(server);
    for (number, entry) in fs::read_dir(&cache)?.enumerate() {
        let path = entry?.path();
        let there = fs::read(&path)?;
        match number % 4 {
            0 => fs::write(&path, &there[..there.len() / 2])?,
            1 => fs::write(&path, noise(number as u64, there.len()))?,
            2 => fs::write(&path, vec![0; there.len()])?,
            _ => {}
        }
    }
    let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    ensure!(server.client()?.read_all()? == bytes);
    // A limit that holds hardly anything.
    drop(server);
    let limit = [&more[..], &["--cache-limit".as_ref(), "1".as_ref()]].concat();
    let server = Server::start("image", &store, &case.dir.join("socket"), &limit)?;
    ensure!(server.client()?.read_all()? == bytes);
    drop(server);
    let sizes = fs::read_dir(&cache)?.map(|entry| Ok(entry?.metadata()?.len()));
    let used: u64 = sizes.sum::<std::io::Result<u64>>()?;
    ensure!(used <= (1 << 20) + (64 << 10), "{used} bytes");
    Ok(())
}

/// A server that is killed while it fetches, and a later one with its cache.
fn killed(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let cache = case.dir.join("cache");
    let socket = case.dir.join("socket");
    for round in 0..10 {
        let server =
            Server::start("image", &store, &socket, &["--cache".as_ref(), cache.as_os_str()])?;
        let mut client = server.client()?;
        client.request(0, 0, 4 << 20)?;
        std::thread::sleep(Duration::from_millis(round * 2));
    }
    let server = Server::start("image", &store, &socket, &["--cache".as_ref(), cache.as_os_str()])?;
    ensure!(server.client()?.read_all()? == bytes);
    Ok(())
}

fn prefetch(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let (trace, cache) = (case.dir.join("trace"), case.dir.join("cache"));
    {
        let more = ["--trace".as_ref(), trace.as_os_str()];
        let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
        let mut client = server.client()?;
        for offset in [900_000, 5000, 3_600_000] {
            client.read(offset, 100)?.map_err(|error| anyhow::anyhow!("error {error}"))?;
        }
        drop(client);
        let since = Instant::now();
        let lines = || fs::read_to_string(&trace).map_or(0, |text| text.lines().count());
        while lines() < 3 && since.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let text = fs::read_to_string(&trace)?;
    ensure!(
        text.lines().count() == 3 && text.contains("\"offset\":900000,\"length\":100"),
        "{text}"
    );
    // Lines that are none are no reason not to start.
    fs::write(
        &trace,
        text + "{\"time\":1,\"offset\":18446744073709551615,\"length\":5}\nnonsense\n",
    )?;
    let more: [&OsStr; 4] =
        ["--prefetch".as_ref(), trace.as_os_str(), "--cache".as_ref(), cache.as_os_str()];
    let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    let since = Instant::now();
    let chunks = || {
        fs::read_dir(&cache)
            .map_or(0, |all| all.flatten().filter(|e| e.file_name().len() == 64).count())
    };
    while chunks() < 3 && since.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    ensure!(chunks() == 3, "{} chunks were fetched beforehand", chunks());
    ensure!(server.client()?.read_all()? == bytes);
    Ok(())
}

fn in_use(case: &Case) -> Result<()> {
    let (store, _) = small(case)?;
    let socket = case.dir.join("socket");
    let mut server = Server::start("image", &store, &socket, &[])?;
    let nbd = format!("unix:{}", socket.display());
    refused("serve", ["image", "--nbd", &nbd], &store, "somebody serves there")?;
    ensure!(server.is_alive()?);
    // A file that is no socket stays what it is.
    let file = case.dir.join("file");
    fs::write(&file, "precious")?;
    refused("serve", ["image", "--nbd", &format!("unix:{}", file.display())], &store, "file")?;
    ensure!(fs::read_to_string(&file)? == "precious");
    Ok(())
}
