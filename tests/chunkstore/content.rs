//! Images cut where their contents say so.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};

use super::server::Server;
use super::tool::{comes_back, cut, good, image, noise, run};

const KIND: &str = "--content-defined";

pub fn add(cases: &mut Cases) {
    cases.check("content-defined/of-every-size", of_every_size);
    cases.check("content-defined/holes-are-zeros", holes);
    cases.check("content-defined/mostly-holes", mostly_holes);
    cases.check("content-defined/what-is-inserted-is-all-that-is-new", inserted);
    cases.check("content-defined/served", served);
    cases
        .needing(&["program:nbdcopy", "program:nbdinfo"])
        .check("content-defined/to-libnbd", libnbd);
    cases.check("content-defined/bounds", bounds);
}

fn of_every_size(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    for (kind, bounds) in ["1K:1K:2K", "1K:4K:16K", "16K:64K:256K", "1M:2M:4M"].iter().enumerate() {
        for (number, len) in [0u64, 1, 1023, 1024, 1025, 262_145, 5 << 20].into_iter().enumerate() {
            let label = format!("{kind}-{number}");
            let bytes = noise(number as u64, len as usize);
            let path = image(&case.dir.join(&label), len, &[(0, &bytes)])?;
            let report = cut(&path, &store, &[KIND, bounds])?;
            ensure!(report["image_bytes"] == len && report["data_bytes"] == len, "{report}");
            comes_back(&path, &label, &store, &case.dir)?;
        }
    }
    let said = good("verify", [] as [&str; 0], &store)?;
    ensure!(said.contains("28 images can be had back"), "{said}");
    let said = good("ls", [] as [&str; 0], &store)?;
    ensure!(said.contains("chunks of 16K:64K:256K"), "{said}");
    Ok(())
}

/// Whether zeros are there or not, the image is the same one.
fn holes(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (one, two, three) = (noise(1, 100_000), noise(2, 5_000), noise(3, 30_001));
    let parts = [(12_345, &one[..]), (3_000_000, &two[..]), (9_876_543, &three[..])];
    let len = 12_000_001;
    let path = image(&case.dir.join("image"), len, &parts)?;
    for bounds in ["1K:4K:16K", "16K:64K:256K", "2K:2K:2K"] {
        let of = ["--index", bounds.get(..2).context("a name")?, KIND, bounds];
        let report = cut(&path, &store, &of)?;
        ensure!(report["data_bytes"].as_u64().is_some_and(|bytes| bytes < 2_000_000), "{report}");
        let bytes = fs::read(&path)?;
        let dense = case.dir.join("dense");
        fs::write(&dense, &bytes)?;
        // It would be refused if it were another one.
        let again = cut(&dense, &store, &of)?;
        ensure!(again["new_chunks"] == 0 && again["data_bytes"] == report["data_bytes"], "{again}");
        comes_back(&path, of[1], &store, &case.dir)?;
    }
    Ok(())
}

/// A TiB with a few bytes in it: as fast as those.
fn mostly_holes(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let len = 1u64 << 40;
    let (first, last) = (noise(1, 100_000), noise(2, 10));
    let parts = [(3 << 30, &first[..]), (len - 10, &last[..])];
    let path = image(&case.dir.join("large"), len, &parts)?;
    let since = Instant::now();
    let report = cut(&path, &store, &[KIND, "16K:64K:256K"])?;
    ensure!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    ensure!(report["data_bytes"].as_u64().is_some_and(|bytes| bytes < 1 << 20), "{report}");
    let copy = case.dir.join("copy");
    good("cat", ["large".as_ref(), "-o".as_ref(), copy.as_os_str()], &store)?;
    let file = fs::File::open(&copy)?;
    ensure!(file.metadata()?.len() == len);
    for (at, bytes) in parts {
        let mut there = vec![0; bytes.len()];
        file.read_exact_at(&mut there, at)?;
        ensure!(there == bytes, "at {at}");
    }
    let index = fs::read_dir(store.join("indexes"))?.next().context("an index")??;
    ensure!(index.metadata()?.len() < 10_000, "its index is large");
    Ok(())
}

fn inserted(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let bytes = noise(1, 4 << 20);
    let one = image(&case.dir.join("one"), 4 << 20, &[(0, &bytes)])?;
    let two = image(&case.dir.join("two"), (4 << 20) + 3, &[(0, b"new"), (3, &bytes)])?;
    for (kind, size, is_shared) in [("--chunk", "64K", false), (KIND, "16K:64K:256K", true)] {
        let label = if is_shared { "shared" } else { "not" };
        cut(&one, &store, &[kind, size, "--index", &format!("{label}-one")])?;
        let report = cut(&two, &store, &[kind, size, "--index", &format!("{label}-two")])?;
        let count = |field: &str| report[field].as_u64().context("a number");
        let (all, new) = (count("chunks")?, count("new_chunks")?);
        ensure!(if is_shared { new <= 3 } else { new == all }, "{report}");
    }
    comes_back(&two, "shared-two", &store, &case.dir)
}

/// An image of four MiB, with holes, and its store.
fn small(case: &Case) -> Result<(PathBuf, Vec<u8>)> {
    let store = case.dir.join("store");
    let (one, two) = (noise(1, 1_000_000), noise(2, 200_000));
    let parts = [(4097, &one[..]), (3_500_000, &two[..])];
    let path = image(&case.dir.join("image"), (4 << 20) + 77, &parts)?;
    cut(&path, &store, &[KIND, "4K:16K:64K"])?;
    Ok((store, fs::read(path)?))
}

fn served(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let (socket, trace) = (case.dir.join("socket"), case.dir.join("trace"));
    fs::write(
        &trace,
        "{\"time\":1,\"offset\":1000000,\"length\":70000}\n{\"time\":2,\"offset\":99999999,\"length\":5}\n",
    )?;
    let server =
        Server::start("image", &store, &socket, &["--prefetch".as_ref(), trace.as_os_str()])?;
    let mut client = server.client()?;
    ensure!(client.len == bytes.len() as u64);
    ensure!(client.read_all()? == bytes);
    let mut at = 0;
    // Ends of reads at all sorts of places.
    for step in (1..).map(|number: usize| 1 + number * 7919 % 100_003) {
        let len = step.min(bytes.len() - at);
        ensure!(client.read(at as u64, len as u32)?.as_deref() == Ok(&bytes[at..at + len]), "{at}");
        at += len;
        if at == bytes.len() {
            break;
        }
    }
    Ok(())
}

fn libnbd(case: &Case) -> Result<()> {
    let (store, bytes) = small(case)?;
    let server = Server::start("image", &store, &case.dir.join("socket"), &[])?;
    let uri = format!("nbd+unix:///image?socket={}", server.socket.display());
    let copy = case.dir.join("copy");
    output(Command::new("nbdcopy").args(["--connections=4", "--requests=16", &uri]).arg(&copy))?;
    ensure!(fs::read(&copy)? == bytes);
    let said = output(Command::new("nbdinfo").args(["--map", &uri]))?;
    ensure!(said.lines().any(|line| line.contains("hole,zero")), "{said}");
    let lens = said.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    ensure!(lens.sum::<u64>() == bytes.len() as u64, "{said}");
    Ok(())
}

fn bounds(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let path = image(&case.dir.join("image"), 9000, &[(0, b"one")])?;
    for bounds in ["", "64K", "64K:16K:256K", "16K:64K:8M", "512:4K:8K", "16K:64K:256K:1M"] {
        let outcome = run("cut", [path.as_os_str(), KIND.as_ref(), bounds.as_ref()], &store)?;
        ensure!(outcome.end == statify_tests::process::End::Exit(2), "{bounds}: {}", outcome.end);
        ensure!(outcome.stderr_text().contains("MIN:AVG:MAX"), "{}", outcome.stderr_text());
    }
    let both = [
        path.as_os_str(),
        KIND.as_ref(),
        "16K:64K:256K".as_ref(),
        "--chunk".as_ref(),
        "4K".as_ref(),
    ];
    ensure!(run("cut", both, &store)?.end == statify_tests::process::End::Exit(2));
    Ok(())
}
