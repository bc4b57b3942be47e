//! What a server tells Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};

use super::server::{Server, at};
use super::tool::{cut, image, noise};

pub fn add(cases: &mut Cases) {
    cases.needing(&["program:curl"]).check("metrics/at-a-socket", at_a_socket);
    cases.check("metrics/in-a-file", in_a_file);
}

/// Values by names and labels.
fn parsed(text: &str) -> Result<BTreeMap<String, f64>> {
    ensure!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').context("a value")?;
        Ok((name.to_owned(), value.parse()?))
    };
    lines.map(pair).collect()
}

fn small(case: &Case) -> Result<std::path::PathBuf> {
    let store = case.dir.join("store");
    let path = image(&case.dir.join("image"), 1 << 20, &[(0, &noise(1, 1 << 20))])?;
    cut(&path, &store, &[])?;
    Ok(store)
}

fn at_a_socket(case: &Case) -> Result<()> {
    let store = small(case)?;
    let (socket, cache) = (case.dir.join("metrics"), case.dir.join("cache"));
    let metrics = at(&socket);
    let more = ["--metrics".as_ref(), &*metrics, "--cache".as_ref(), cache.as_os_str()];
    let ask = || {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--unix-socket"]).arg(&socket);
        parsed(&output(command.arg("http://localhost/metrics"))?)
    };
    for round in 0..2 {
        let server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
        let mut client = server.client()?;
        client.read_all()?;
        for _ in 0..50 {
            ensure!(client.read(70_000, 4096)?.is_ok());
        }
        ensure!(client.read(1 << 20, 1)?.is_err());
        let values = ask()?;
        let value = |name: &str| values.get(name).copied().with_context(|| name.to_owned());
        ensure!(value("chunkstore_reads_total")? == 51.0);
        ensure!(value("chunkstore_read_bytes_total")? == f64::from((1 << 20) + 50 * 4096));
        ensure!(value("chunkstore_read_seconds_count")? == 51.0);
        ensure!(value("chunkstore_read_seconds_bucket{le=\"+Inf\"}")? == 51.0);
        ensure!(value("chunkstore_read_seconds_bucket{le=\"30.0\"}")? == 51.0);
        ensure!(value("chunkstore_read_seconds_bucket{le=\"0.01\"}")? >= 45.0);
        ensure!(value("chunkstore_clients")? == 1.0);
        // The first one fetches, the second one finds what the first one has kept.
        let (store, disk) = if round == 0 { (16.0, 0.0) } else { (0.0, 16.0) };
        ensure!(value("chunkstore_chunks_total{from=\"store\"}")? == store);
        ensure!(value("chunkstore_chunks_total{from=\"disk\"}")? == disk);
        ensure!(value("chunkstore_chunks_total{from=\"memory\"}")? == 50.0);
        ensure!(value("chunkstore_chunk_bytes_total{from=\"memory\"}")? == 50.0 * 65536.0);
        ensure!(value("chunkstore_fetch_seconds_count")? == store);
        // Those who speak something else, or nothing, do not keep others from asking.
        for said in [&b"\0\0\0\r\n\r\n"[..], b"GET /other HTTP/1.1\r\n\r\n", b"", b"GET /metr"] {
            let mut stream = UnixStream::connect(&socket)?;
            stream.write_all(said)?;
            if said.len() > 9 {
                let mut answer = String::new();
                stream.read_to_string(&mut answer)?;
                ensure!(answer.starts_with("HTTP/1.1 404"), "{answer}");
            }
        }
        ensure!(ask()?.len() == values.len());
        drop(server);
        // What is kept is written after it was given out.
        let since = Instant::now();
        while fs::read_dir(&cache)?.count() < 16 && since.elapsed() < Duration::from_secs(9) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

fn in_a_file(case: &Case) -> Result<()> {
    let store = small(case)?;
    let file = case.dir.join("metrics");
    let more = ["--metrics".as_ref(), file.as_os_str()];
    let mut server = Server::start("image", &store, &case.dir.join("socket"), &more)?;
    server.client()?.read_all()?;
    ensure!(server.end(nix::sys::signal::Signal::SIGTERM)? == 0);
    let values = parsed(&fs::read_to_string(&file)?)?;
    ensure!(values.get("chunkstore_read_bytes_total") == Some(&f64::from(1 << 20)), "{values:?}");
    Ok(())
}
