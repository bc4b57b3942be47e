//! A chunk store in an object store, and all that such a store can do wrong: a sentence each, nothing lost, no wrong byte.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::s3_server;

use super::proxy::{Fault, Proxy};
use super::remote::Remote;
use super::tool::{self, image, noise};

const NOTHING: [&str; 0] = [];
const EIO: u32 = 5;

pub fn add(cases: &mut Cases) {
    for (name, test) in [
        (
            "object-store/there-and-back",
            there_and_back as fn(&Case, s3_server::Server) -> Result<()>,
        ),
        ("object-store/two-at-once", two_at_once),
        ("object-store/long-lists", long_lists),
        ("faults/reading", reading),
        ("faults/writing", writing),
        ("faults/damaged", damaged),
        ("faults/served", served),
        ("faults/killed-between-requests", dies),
    ] {
        let needing = &mut cases.needing(&["s3-server"]);
        needing.check(name, move |case| test(case, s3_server::Server::start(&[])?));
    }
    let needing = &mut cases.needing(&["s3-server", "program:nbdcopy"]);
    needing.check("object-store/served-to-libnbd", libnbd);
    cases.check("object-store/nobody-there", nobody_there);
    cases.needing(&["program:nginx"]).check("object-store/on-a-web-server", web);
}

/// An image of some packs.
fn large(case: &Case) -> Result<PathBuf> {
    image(&case.dir.join("image"), 40 << 20, &[(0, &noise(1, 34 << 20))])
}

fn small(case: &Case) -> Result<PathBuf> {
    image(&case.dir.join("image"), 1 << 20, &[(4096, &noise(2, 700_000))])
}

fn there_and_back(case: &Case, mut server: s3_server::Server) -> Result<()> {
    let store = Remote::s3(&server.endpoint);
    let path = large(case)?;
    let report = store.cut(&path, &[])?;
    ensure!(report["new_chunks"] == report["chunks"], "{report}");
    ensure!(server.order("count fleet/one/packs/")? == 3);
    ensure!(server.order("count fleet/one/indexes/")? == 1);
    store.comes_back(&path, "image", &case.dir)?;
    // Of what is there, nothing is sent again but the index, which is there already.
    let before = server.order("sent PUT")?;
    let report = store.cut(&path, &[])?;
    ensure!(report["new_chunks"] == 0 && server.order("sent PUT")? == before + 1, "{report}");
    let other = image(&case.dir.join("other"), 1 << 20, &[(0, b"other")])?;
    let arguments = [other.as_os_str(), "--index".as_ref(), "image".as_ref()];
    store.refused("cut", arguments, "another image")?;
    ensure!(store.good("verify", NOTHING)?.contains("1 images can be had back"));
    ensure!(store.good("ls", NOTHING)?.starts_with("image  "));
    // In its place, and forgotten: the chunks stay for the time of grace, and no longer.
    store.cut(&other, &["--index", "image", "--replace"])?;
    store.comes_back(&other, "image", &case.dir)?;
    ensure!(store.good("gc", NOTHING)?.starts_with("0 packs removed, 1 needed, 3 not"));
    ensure!(store.good("gc", ["--keep", "0"])?.starts_with("3 packs removed, 1 needed"));
    store.comes_back(&other, "image", &case.dir)?;
    store.good("rm", ["image"])?;
    store.refused("cat", ["image"], "no index")?;
    ensure!(store.good("gc", ["--keep", "0"])?.starts_with("1 packs removed, 0 needed"));
    ensure!(server.order("count fleet/one/")? == 0);
    store.cut(&path, &[])?;
    store.comes_back(&path, "image", &case.dir)
}

fn two_at_once(case: &Case, server: s3_server::Server) -> Result<()> {
    let store = Remote::s3(&server.endpoint);
    let path = large(case)?;
    let start =
        || Ok::<_, anyhow::Error>(store.run_by("cut", [&path])?.stdout(Stdio::null()).spawn()?);
    for mut child in [start()?, start()?] {
        ensure!(child.wait()?.success());
    }
    store.comes_back(&path, "image", &case.dir)?;
    ensure!(store.good("verify", NOTHING)?.contains("1 images can be had back"));
    Ok(())
}

/// A store gives names by the thousand.
fn long_lists(case: &Case, mut server: s3_server::Server) -> Result<()> {
    let store = Remote::s3(&server.endpoint);
    let path = small(case)?;
    server.order("fill fleet/one/packs/ 1100")?;
    store.cut(&path, &[])?;
    ensure!(store.good("gc", NOTHING)?.starts_with("0 packs removed, 1 needed, 1100 not"));
    ensure!(store.good("gc", ["--keep", "0"])?.starts_with("1100 packs removed, 1 needed"));
    store.comes_back(&path, "image", &case.dir)
}

/// What goes wrong while packs are read: whoever reads hears of it, and gets nothing.
fn reading(case: &Case, server: s3_server::Server) -> Result<()> {
    let proxy = Proxy::start(&server.endpoint)?;
    let store = Remote::s3(&proxy.endpoint);
    let path = small(case)?;
    store.cut(&path, &[])?;
    let copy = case.dir.join("image.copy");
    let cat = ["image".as_ref(), "-o".as_ref(), copy.as_os_str()];
    for (fault, words) in [
        (Fault::Status(404), "not found"),
        (Fault::Status(403), "HTTP status 403"),
        (Fault::Status(500), "HTTP status 500"),
        (Fault::Stall, "did not answer in time"),
        (Fault::Drip, "took longer than"),
        (Fault::Cut, "the connection failed"),
        (Fault::Short, "is damaged: it is cut off"),
        (Fault::OtherRange, "something else than the part that was asked for"),
        (Fault::Whole, "something else than the part that was asked for"),
        (Fault::Shifted, "is damaged"),
        (Fault::Flip, "is damaged"),
        (Fault::Close, "the connection failed"),
    ] {
        let since = Instant::now();
        let what = format!("{fault:?}");
        proxy.fail("GET", fault);
        store.refused("cat", cat, words).with_context(|| what.clone())?;
        ensure!(!copy.exists(), "{what}: something was written");
        ensure!(since.elapsed() < Duration::from_secs(60), "{what}: {:?}", since.elapsed());
        // `verify` does not call damaged what it could not read.
        proxy.fail("GET", Fault::None);
        store.comes_back(&path, "image", &case.dir).with_context(|| what)?;
    }
    // A store that is overloaded for a moment is asked again.
    proxy.fail("GET", Fault::Times(503, 2));
    store.comes_back(&path, "image", &case.dir)?;
    Ok(())
}

/// What goes wrong while packs are written: no index of an image that is not there, and the next cut goes on.
fn writing(case: &Case, server: s3_server::Server) -> Result<()> {
    let proxy = Proxy::start(&server.endpoint)?;
    let store = Remote::s3(&proxy.endpoint);
    let path = small(case)?;
    for (fault, words) in [
        (Fault::Status(403), "HTTP status 403"),
        (Fault::Status(507), "HTTP status 507"),
        (Fault::Stall, "in time|longer than"),
        (Fault::Close, "the connection failed"),
    ] {
        proxy.fail("PUT", fault.clone());
        let outcome = store.run("cut", [&path])?;
        let said = outcome.stderr_text();
        let is_said = words.split('|').any(|words| said.contains(words));
        ensure!(is_said && said.contains("putting the pack"), "{fault:?}: {said}");
        ensure!(store.good("ls", NOTHING)?.is_empty());
    }
    let failed = proxy.failed();
    proxy.fail("PUT", Fault::Times(500, 3));
    store.cut(&path, &[])?;
    ensure!(proxy.failed() == failed + 3);
    store.comes_back(&path, "image", &case.dir)
}

/// What lies in the store is something else.
fn damaged(case: &Case, mut server: s3_server::Server) -> Result<()> {
    let store = Remote::s3(&server.endpoint);
    let path = large(case)?;
    store.cut(&path, &[])?;
    let copy = case.dir.join("image.copy");
    for order in ["flip packs/", "cut packs/", "swap packs/"] {
        ensure!(server.order(order)? == 3);
        let cat = ["image".as_ref(), "-o".as_ref(), copy.as_os_str()];
        store.refused("cat", cat, "damaged")?;
        ensure!(!copy.exists());
        store.refused("verify", ["--remove"], "the pack")?;
        store.cut(&path, &["--replace"])?;
        store.comes_back(&path, "image", &case.dir).context(order)?;
        ensure!(store.good("gc", ["--keep", "0"])?.contains("3 needed"));
    }
    ensure!(server.order("flip indexes/")? == 1);
    for verb in ["ls", "gc", "verify"] {
        store.refused(verb, NOTHING, "damaged")?;
    }
    store.refused("cat", ["image"], "damaged")
}

/// A server of an image: reads fail in the time that was said, and are right as soon as the store is.
fn served(case: &Case, server: s3_server::Server) -> Result<()> {
    let proxy = Proxy::start(&server.endpoint)?;
    let store = Remote::s3(&proxy.endpoint);
    let path = small(case)?;
    let bytes = fs::read(&path)?;
    store.cut(&path, &["--chunk", "4K"])?;
    // What is lacking no more is answered within it on a busy machine, too.
    let more = ["--patience", "3", "--memory", "0"];
    let device = store.serve("image", &case.dir.join("socket"), &more)?;
    let mut client = device.client()?;
    for fault in [
        Fault::Status(404),
        Fault::Status(403),
        Fault::Status(500),
        Fault::Stall,
        Fault::Cut,
        Fault::Short,
        Fault::OtherRange,
        Fault::Shifted,
        Fault::Flip,
        Fault::Close,
        Fault::Whole,
    ] {
        let since = Instant::now();
        proxy.fail("GET", fault.clone());
        ensure!(client.read(20_000, 10)? == Err(EIO), "{fault:?}");
        // Its patience, and the time of a request.
        ensure!(since.elapsed() < Duration::from_secs(20), "{fault:?}: {:?}", since.elapsed());
        proxy.fail("GET", Fault::None);
        ensure!(client.read(20_000, 10)?.as_deref() == Ok(&bytes[20_000..20_010]), "{fault:?}");
        // So that the next one is fetched.
        ensure!(client.read(300_000, 10)?.as_deref() == Ok(&bytes[300_000..300_010]), "{fault:?}");
    }
    ensure!(client.read_all()? == bytes);
    Ok(())
}

/// The store ends in the middle of a cut; another one has what was sent.
fn dies(case: &Case, mut server: s3_server::Server) -> Result<()> {
    let path = large(case)?;
    server.order("requests 6")?;
    let outcome = Remote::s3(&server.endpoint).run("cut", [&path])?;
    let said = outcome.stderr_text();
    ensure!(said.contains("the connection failed") && said.lines().count() == 1, "{said}");
    ensure!(server.wait()?.success());
    Ok(())
}

fn libnbd(case: &Case) -> Result<()> {
    let server = s3_server::Server::start(&[])?;
    let store = Remote::s3(&server.endpoint);
    let path = large(case)?;
    store.cut(&path, &[])?;
    let device = store.serve("image", &case.dir.join("socket"), &[])?;
    let uri = format!("nbd+unix:///image?socket={}", device.socket.display());
    let copy = case.dir.join("copy");
    output(Command::new("nbdcopy").args(["--connections=4", "--requests=16"]).arg(uri).arg(&copy))?;
    ensure!(fs::read(&copy)? == fs::read(&path)?);
    Ok(())
}

/// A web server that gives a store's files; it ends with this.
struct Web(std::process::Child);

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a web server gives can be read by name, and is not believed either.
fn web(case: &Case) -> Result<()> {
    let directory = case.dir.join("store");
    let path = small(case)?;
    tool::cut(&path, &directory, &[])?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/t-{name};\n", case.dir.display()))
        .concat();
    let dir = case.dir.display();
    let configuration = format!(
        "daemon off; master_process off; pid {dir}/pid; error_log stderr; events {{}}\n\
         http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port};\n\
         location /chunks/ {{ alias {dir}/store/; }}\n\
         location /whole/ {{ alias {dir}/store/; max_ranges 0; }} }} }}\n"
    );
    let file = case.dir.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut nginx = case.command("nginx");
    let child = nginx.arg("-c").arg(&file).arg("-e").arg("stderr").stderr(Stdio::null()).spawn()?;
    let _web = Web(child);
    let since = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(since.elapsed() < Duration::from_secs(20), "nginx does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    let store = Remote::web(&format!("http://127.0.0.1:{port}/chunks"));
    store.comes_back(&path, "image", &case.dir)?;
    let device = store.serve("image", &case.dir.join("socket"), &[])?;
    ensure!(device.client()?.read_all()? == fs::read(&path)?);
    store.refused("cat", ["other"], "no index")?;
    store.refused("ls", NOTHING, "a web server gives files and no lists of them")?;
    store.refused("rm", ["image"], "not written to")?;
    let whole = Remote::web(&format!("http://127.0.0.1:{port}/whole"));
    whole.refused("cat", ["image"], "something else than the part that was asked for")?;
    let packs = fs::read_dir(directory.join("packs"))?.next().context("a pack")??.path();
    let mut bytes = fs::read(&packs)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(packs, bytes)?;
    store.refused("cat", ["image"], "damaged")
}

fn nobody_there(case: &Case) -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let store = Remote::s3(&format!("http://{}", listener.local_addr()?));
    drop(listener);
    let path = small(case)?;
    store.refused("cut", [&path], "Connection refused")?;
    store.refused("ls", NOTHING, "it cannot be used as a chunk store")?;
    Remote::s3("http://10.0.0.1").refused("ls", NOTHING, "is not encrypted (http)")?;
    Remote::web("http://10.0.0.1/x").refused("cat", ["image"], "is not encrypted (http)")?;
    Ok(())
}
