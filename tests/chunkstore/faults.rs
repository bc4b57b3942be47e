//! Stores that fail, lie and stand still under a server, and caches that are damaged, full, too small and shared: a read waits
//! or fails in the time that was said, and never has a wrong byte.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::report::Done;

use super::faulty_store::{Fault, FaultyStore};
use super::server::{Server, at};
use super::tool::{command, cut, good, image, noise};
use crate::rootfs::disk::{self, Kind};

const EIO: u32 = 5;
/// What a read waits in these tests, in seconds.
const PATIENCE: u64 = 2;

pub fn add(cases: &mut Cases) {
    for (name, fault) in [
        ("status-403", Fault::Status(403)),
        ("status-404", Fault::Status(404)),
        ("status-500", Fault::Status(500)),
        ("status-503", Fault::Status(503)),
        ("stalls", Fault::Stall),
        ("stands-still-halfway", Fault::Halfway),
        ("a-byte-a-second", Fault::Drip),
        ("cut-off", Fault::CutOff),
        ("too-short", Fault::TooShort),
        ("other-range", Fault::OtherRange),
        ("flipped-bit", Fault::Flipped),
        ("zeros", Fault::Zeros),
        ("garbage", Fault::Garbage),
        ("hangs-up", Fault::HangUp),
    ] {
        cases.check(&format!("faulty-store/{name}"), move |case| fails(case, fault));
    }
    for (name, fault) in [("all-of-it", Fault::AllOfIt), ("too-long", Fault::TooLong)] {
        cases.check(&format!("faulty-store/{name}"), move |case| odd(case, fault));
    }
    cases.check("faulty-store/one-request-for-many-readers", one_request);
    cases.check("serve/gc-beside-it", gc_beside);
    cases.check("serve/image-removed-and-cut-again", removed);
    cases.check("cache/killed-while-it-evicts", killed_evicting);
    cases.check("cache/two-servers-and-little-room", two_servers);
    cases.needing(Kind::Tmpfs.needs()).add("cache/full-disk", |case| {
        disk::with(case, Kind::Tmpfs, 1, |disk| full_disk(case, &disk.dir).map(|()| Done::Passed))
    });
}

/// An image of a few MiB and its store.
fn small(case: &Case) -> Result<(PathBuf, Vec<u8>)> {
    let store = case.dir.join("store");
    let bytes = noise(5, 3 << 20);
    let path = image(&case.dir.join("image"), 4 << 20, &[(0, &bytes)])?;
    cut(&path, &store, &["--chunk", "16K"])?;
    Ok((store, fs::read(path)?))
}

/// A server of what is in a faulty store.
fn serve(case: &Case, store: &FaultyStore, more: &[&OsStr]) -> Result<Server> {
    let socket = case.dir.join("socket");
    let patience = PATIENCE.to_string();
    let nbd = at(&socket);
    let words: [&OsStr; 5] =
        ["image".as_ref(), "--nbd".as_ref(), &nbd, "--patience".as_ref(), patience.as_ref()];
    let words = words.into_iter().chain(more.iter().copied());
    let mut command = command("serve", words, FaultyStore::url())?;
    store.tell(&mut command);
    Server::run(&mut command, &socket)
}

/// Reads fail in time while the store fails, and are right as soon as it does not: whoever waits does not hear of it.
fn fails(case: &Case, fault: Fault) -> Result<()> {
    let (dir, bytes) = small(case)?;
    let store = FaultyStore::start(&dir)?;
    let server = serve(case, &store, &[])?;
    let mut client = server.client()?;
    ensure!(client.read(5000, 10)?.as_deref() == Ok(&bytes[5000..5010]));
    store.fail(fault);
    let since = Instant::now();
    for number in 0..8 {
        client.request(0, 200_000 + number * 60_000, 40_000)?;
    }
    for number in 0..8 {
        ensure!(client.answer(200_000 + number * 60_000, 40_000)? == Err(EIO), "{number}");
    }
    let took = since.elapsed();
    ensure!(took < Duration::from_secs(PATIENCE) + Duration::from_secs(2), "{took:?}");
    // What it has had before it still has.
    ensure!(client.read(5000, 10)?.as_deref() == Ok(&bytes[5000..5010]));
    // One that waits when the store recovers is answered.
    client.request(0, 2_000_000, 10)?;
    std::thread::sleep(Duration::from_millis(100));
    store.fail(Fault::None);
    let is_stuck = matches!(fault, Fault::Stall | Fault::Halfway | Fault::Drip);
    match client.answer(2_000_000, 10)? {
        // Its request is one of those that are never answered.
        Err(EIO) if is_stuck => {}
        other => ensure!(other.as_deref() == Ok(&bytes[2_000_000..2_000_010])),
    }
    let since = Instant::now();
    ensure!(client.read_all()? == bytes);
    ensure!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    Ok(())
}

/// What a store may do that keeps to no rule, and harms nobody.
fn odd(case: &Case, fault: Fault) -> Result<()> {
    let (dir, bytes) = small(case)?;
    let store = FaultyStore::start(&dir)?;
    let server = serve(case, &store, &[])?;
    let mut client = server.client()?;
    store.fail(fault);
    for at in (0..bytes.len() - 10).step_by(500_000) {
        let read = client.read(at as u64, 10)?;
        ensure!(read == Err(EIO) || read.as_deref() == Ok(&bytes[at..at + 10]), "{at}");
    }
    store.fail(Fault::None);
    ensure!(client.read_all()? == bytes);
    Ok(())
}

fn one_request(case: &Case) -> Result<()> {
    let (dir, bytes) = small(case)?;
    let store = FaultyStore::start(&dir)?;
    let server = serve(case, &store, &[])?;
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            (0..10).map(|_| scope.spawn(|| server.client()?.read_all())).collect();
        for reader in readers {
            let read = reader.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            ensure!(read == bytes);
        }
        Ok(())
    })?;
    let (chunks, requests) = ((3 << 20) / (16 << 10), store.requests());
    ensure!(requests <= chunks, "{requests} requests for {chunks} chunks");
    Ok(())
}

/// Cuts, removals and gc beside a server that has nothing in memory.
fn gc_beside(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let other = image(&case.dir.join("other"), 1 << 20, &[(0, &noise(77, 1 << 20))])?;
    let more = ["--memory".as_ref(), "0".as_ref()];
    let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                ensure!(server.client()?.read_all()? == bytes, "round {rounds}");
                rounds += 1;
            }
            Ok(rounds)
        });
        let cleaned = (|| -> Result<()> {
            for _ in 0..5 {
                cut(&other, &store, &[])?;
                good("rm", ["other"], &store)?;
                good("gc", ["--keep", "0"], &store)?;
            }
            Ok(())
        })();
        is_over.store(true, Ordering::Relaxed);
        let rounds = reader.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        ensure!(rounds > 1, "{rounds} rounds");
        cleaned
    })
}

/// An image that is removed under its server: what is gone cannot be read, and can when it was cut again.
fn removed(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let more: [&OsStr; 4] =
        ["--memory".as_ref(), "0".as_ref(), "--patience".as_ref(), "1".as_ref()];
    let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    let mut client = server.client()?;
    ensure!(client.read(5000, 10)?.as_deref() == Ok(&bytes[5000..5010]));
    good("rm", ["image"], &store)?;
    good("gc", ["--keep", "0"], &store)?;
    ensure!(client.read(900_000, 10)? == Err(EIO));
    cut(&case.dir.join("image"), &store, &["--chunk", "16K"])?;
    ensure!(client.read_all()? == bytes);
    Ok(())
}

/// Servers that are killed again and again while their cache is too small, and a last one that finds what they have left.
fn killed_evicting(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let (cache, socket) = (case.dir.join("cache"), case.dir.join("socket"));
    let more: [&OsStr; 6] = [
        "--cache".as_ref(),
        cache.as_os_str(),
        "--cache-limit".as_ref(),
        "1".as_ref(),
        "--memory".as_ref(),
        "0".as_ref(),
    ];
    for round in 0..12 {
        let server = Server::start("image", &store, &socket, &more)?;
        let mut client = server.client()?;
        client.request(0, 0, 3 << 20)?;
        std::thread::sleep(Duration::from_millis(round * 4));
    }
    let server = Server::start("image", &store, &socket, &more)?;
    for _ in 0..3 {
        ensure!(server.client()?.read_all()? == bytes);
    }
    ensure!(used(&cache)? <= (1 << 20) + (1 << 18), "{} bytes", used(&cache)?);
    Ok(())
}

/// Bytes of the files of a cache.
fn used(cache: &Path) -> Result<u64> {
    let mut used = 0;
    for entry in fs::read_dir(cache)? {
        // One that is evicted meanwhile counts for nothing.
        used += entry?.metadata().map_or(0, |stat| stat.len());
    }
    Ok(used)
}

fn two_servers(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let cache = case.dir.join("cache");
    let more: [&OsStr; 6] = [
        "--cache".as_ref(),
        cache.as_os_str(),
        "--cache-limit".as_ref(),
        "1".as_ref(),
        "--memory".as_ref(),
        "0".as_ref(),
    ];
    let one = Server::start("image", &store, &case.dir.join("one"), &more)?;
    let two = Server::start("image", &store, &case.dir.join("two"), &more)?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(used(&cache)?);
                std::thread::sleep(Duration::from_millis(1));
            }
            anyhow::Ok(most)
        });
        let bytes = &bytes;
        let readers: Vec<_> = [&one, &two, &one, &two]
            .map(|server| {
                scope.spawn(move || {
                    for _ in 0..4 {
                        ensure!(server.client()?.read_all()? == *bytes);
                    }
                    Ok(())
                })
            })
            .into_iter()
            .map(|reader| reader.join())
            .collect();
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        let most = watch.join().map_err(|_| anyhow::anyhow!("the watch panicked"))??;
        // Each may be about to write a few when the other one counts.
        ensure!(most <= (1 << 20) + (1 << 20), "{most} bytes");
        Ok(())
    })
}

/// A cache that has no room at all: it costs time, and nothing else.
fn full_disk(case: &Case, disk: &Path) -> Result<()> {
    let (store, bytes) = small(case)?;
    let cache = disk.join("cache");
    fs::create_dir(&cache)?;
    fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let more: [&OsStr; 4] =
        ["--cache".as_ref(), cache.as_os_str(), "--memory".as_ref(), "0".as_ref()];
    let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    for _ in 0..2 {
        ensure!(server.client()?.read_all()? == bytes);
    }
    ensure!(used(&cache)? > 0, "nothing is kept");
    let free = nix::sys::statvfs::statvfs(disk)?.blocks_free();
    ensure!(free < 8, "{free} blocks are free: the disk was never full");
    Ok(())
}
