//! Packs of which little is needed, made into fewer, beside cuts and servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::s3_server;

use super::remote::Remote;
use super::server::Server;
use super::tool::{comes_back, command, cut, good, image, noise};

const NOTHING: [&str; 0] = [];

pub fn add(cases: &mut Cases) {
    cases.check("repack/what-is-needed-stays", stays);
    cases.check("repack/beside-a-server", beside_a_server);
    cases.check("repack/beside-cuts", beside_cuts);
    cases.check("repack/killed", killed);
    cases.needing(&["s3-server"]).check("repack/in-an-object-store", in_an_object_store);
}

/// A store in which `one` needs a quarter of a pack, the rest of which nobody needs.
fn sparse(case: &Case, store: &Path) -> Result<PathBuf> {
    let all = image(&case.dir.join("all"), 8 << 20, &[(0, &noise(1, 8 << 20))])?;
    let one = image(&case.dir.join("one"), 4 << 20, &[(1 << 20, &noise(1, 2 << 20))])?;
    cut(&all, store, &[])?;
    ensure!(cut(&one, store, &[])?["new_chunks"] == 0);
    good("rm", ["all"], store)?;
    Ok(one)
}

/// As if three days had passed since.
fn make_old(dir: &Path) -> Result<()> {
    let then = SystemTime::now() - Duration::from_secs(3 * 24 * 3600);
    for entry in fs::read_dir(dir)? {
        fs::File::options().append(true).open(entry?.path())?.set_modified(then)?;
    }
    Ok(())
}

fn stored(store: &Path) -> Result<u64> {
    let sizes = fs::read_dir(store.join("packs"))?.map(|entry| Ok(entry?.metadata()?.len()));
    sizes.sum::<Result<u64>>()
}

fn stays(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let one = sparse(case, &store)?;
    let before = stored(&store)?;
    for folder in ["packs", "removed"] {
        make_old(&store.join(folder))?;
    }
    // Not less than a tenth is needed.
    ensure!(good("gc", ["--repack", "10"], &store)?.starts_with("0 packs made into 0, for 0"));
    let said = good("gc", ["--repack", "50"], &store)?;
    ensure!(said.starts_with("1 packs made into 1, for 1 images"), "{said}");
    // The old one stays for its time of grace.
    ensure!(said.contains("0 packs removed, 1 needed, 1 not needed"), "{said}");
    comes_back(&one, "one", &store, &case.dir)?;
    ensure!(good("gc", ["--repack", "50"], &store)?.starts_with("0 packs made into 0"));
    ensure!(good("gc", ["--keep", "0"], &store)?.starts_with("1 packs removed, 1 needed"));
    comes_back(&one, "one", &store, &case.dir)?;
    good("verify", NOTHING, &store)?;
    let after = stored(&store)?;
    ensure!(after * 3 < before, "{after} of {before}");
    ensure!(cut(&one, &store, &[])?["new_chunks"] == 0);
    Ok(())
}

/// A server that has read the index before reads on, even when the old pack is gone.
fn beside_a_server(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let one = sparse(case, &store)?;
    let bytes = fs::read(&one)?;
    let more = ["--memory".as_ref(), "0".as_ref()];
    let server = Server::start("one", &store, &case.dir.join("socket"), &more)?;
    let mut client = server.client()?;
    ensure!(client.read(1 << 20, 9)?.as_deref() == Ok(&bytes[1 << 20..(1 << 20) + 9]));
    good("gc", ["--repack", "50"], &store)?;
    ensure!(client.read_all()? == bytes);
    ensure!(good("gc", ["--keep", "0"], &store)?.starts_with("1 packs removed"));
    ensure!(client.read_all()? == bytes);
    // What is gone for good fails, and is no other bytes.
    Ok(())
}

/// Cuts of images that share with what is repacked, at the same time.
fn beside_cuts(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let one = sparse(case, &store)?;
    let mut children = Vec::new();
    for number in 0..4u64 {
        let label = format!("new{number}");
        let path = case.dir.join(&label);
        let own = noise(20 + number, 6 << 20);
        image(&path, 16 << 20, &[(0, &noise(1, 2 << 20)), (4 << 20, &own)])?;
        let arguments = [path.as_os_str(), "--level".as_ref(), "12".as_ref()];
        let child = command("cut", arguments, &store)?.stdout(Stdio::null()).spawn()?;
        children.push((child, path, label));
    }
    for _ in 0..5 {
        good("gc", ["--repack", "90"], &store)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    for (child, path, label) in &mut children {
        ensure!(child.wait()?.success());
        comes_back(path, label, &store, &case.dir)?;
    }
    comes_back(&one, "one", &store, &case.dir)?;
    let said = good("verify", NOTHING, &store)?;
    ensure!(said.contains("5 images can be had back"), "{said}");
    good("gc", ["--keep", "0", "--repack", "100"], &store)?;
    ensure!(good("verify", NOTHING, &store)?.contains("5 images can be had back"));
    Ok(())
}

/// Whenever it is killed, nothing is lost, and the next one goes on.
fn killed(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let one = sparse(case, &store)?;
    for pause in [1, 5, 10, 20, 40, 80, 160] {
        let mut child = command("gc", ["--repack", "50"], &store)?.stdout(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(pause));
        child.kill()?;
        child.wait()?;
        comes_back(&one, "one", &store, &case.dir)?;
    }
    good("gc", ["--repack", "50"], &store)?;
    good("gc", ["--keep", "0"], &store)?;
    comes_back(&one, "one", &store, &case.dir)?;
    let said = good("verify", NOTHING, &store)?;
    ensure!(said.starts_with("1 packs") && said.contains("1 images can be had back"), "{said}");
    Ok(())
}

fn in_an_object_store(case: &Case) -> Result<()> {
    let server = s3_server::Server::start(&[])?;
    let store = Remote::s3(&server.endpoint);
    let all = image(&case.dir.join("all"), 8 << 20, &[(0, &noise(1, 8 << 20))])?;
    let one = image(&case.dir.join("one"), 4 << 20, &[(1 << 20, &noise(1, 2 << 20))])?;
    store.cut(&all, &[])?;
    store.cut(&one, &[])?;
    store.good("rm", ["all"])?;
    let said = store.good("gc", ["--keep", "0", "--repack", "50"])?;
    ensure!(said.starts_with("1 packs made into 1, for 1 images"), "{said}");
    ensure!(store.good("verify", NOTHING)?.contains("1 images can be had back"));
    store.comes_back(&one, "one", &case.dir)
}
