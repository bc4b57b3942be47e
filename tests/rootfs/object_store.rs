//! A cache in an object store: what is in it serves everyone with the key, what others put there serves
//! nobody, and a store that fails costs nothing but its hits.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Outcome, Running};
use statify_tests::s3_server::{BUCKET, KEY, SECRET, Server};

use crate::rootfs::{guest, snapshot, tool};

const TOKEN: &str = "a-token-that-nobody-sees";
const CACHE_KEY: &str = "0123456789abcdef0123456789abcdef-shared";

pub fn add(cases: &mut Cases) {
    for (name, test) in [
        ("object-store/same-bytes", same_bytes as fn(&Case, Server) -> Result<()>),
        ("object-store/damaged", damaged),
        ("object-store/forged", forged),
        ("object-store/dies", dies),
        ("object-store/hangs", hangs),
        ("object-store/refuses", refuses),
        ("object-store/read-only", read_only),
        ("object-store/shared-by-two-runs", shared),
    ] {
        cases.needing(&["s3-server"]).check(name, move |case| test(case, Server::start(&[])?));
    }
    cases.needing(&["s3-server", "program:openssl"]).check("object-store/encrypted", encrypted);
    cases.check("object-store/not-there", not_there);
    cases.check("object-store/wrong-settings", wrong_settings);
}

/// A file with the cache's key.
fn key_file(case: &Case, name: &str, text: &str) -> Result<PathBuf> {
    let path = case.dir.join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

/// The command that converts `root` to `name` with the cache.
fn convert(case: &Case, endpoint: &str, root: &Path, name: &str) -> Result<Command> {
    let key = key_file(case, "key", CACHE_KEY)?;
    convert_with(case, endpoint, root, name, (BUCKET, &key))
}

/// The same with another bucket or key.
fn convert_with(
    case: &Case,
    endpoint: &str,
    root: &Path,
    name: &str,
    (bucket, key): (&str, &Path),
) -> Result<Command> {
    let out = case.dir.join(name);
    let cache = format!("s3://{bucket}/fleet/one");
    let mut command = tool::command([
        "convert".as_ref(),
        root.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--quiet".as_ref(),
        "--cache".as_ref(),
        cache.as_ref(),
        "--cache-key".as_ref(),
        key.as_os_str(),
    ])?;
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "eu-central-1");
    command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
    Ok(command)
}

/// Runs it to its end; nothing secret may be said.
fn finish(command: &mut Command) -> Result<Outcome> {
    let outcome = tool::finish(command)?;
    let said = outcome.stdout_text() + &outcome.stderr_text();
    for secret in [KEY, SECRET, TOKEN, CACHE_KEY, "X-Amz"] {
        ensure!(!said.contains(secret), "{secret:?} is said: {said}");
    }
    Ok(outcome)
}

/// How many of a conversion's programs came from the cache, and how many there are.
fn hits(out: &Path) -> Result<(usize, usize)> {
    let json = tool::good(["report".as_ref(), out.as_os_str(), "--json".as_ref()])?;
    let report: Value = serde_json::from_str(&json)?;
    let programs = report["programs"].as_array().context("no programs")?;
    let cached = programs.iter().filter(|program| program["cached"] == true).count();
    Ok((cached, programs.len()))
}

/// Converts and expects no word about it; returns the copy and whether none or all came from the cache.
fn good(case: &Case, server: &Server, root: &Path, name: &str) -> Result<(PathBuf, bool)> {
    let outcome = finish(&mut convert(case, &server.endpoint, root, name)?)?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
    ensure!(outcome.stderr.is_empty(), "{}", outcome.stderr_text());
    let out = case.dir.join(name);
    let (cached, all) = hits(&out)?;
    ensure!(all > 0 && (cached == 0 || cached == all), "{cached} of {all} from the cache");
    Ok((out, cached > 0))
}

/// Converts and expects a sentence about the cache, and everything to be as without one.
fn bad(case: &Case, endpoint: &str, root: &Path, name: &str, words: &str) -> Result<()> {
    let outcome = finish(&mut convert(case, endpoint, root, name)?)?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
    let said = outcome.stderr_text();
    ensure!(said.lines().count() == 1 && said.contains(words), "no {words:?} in: {said}");
    ensure!(said.contains(&format!("s3://{BUCKET}/fleet/one: ")), "{said}");
    snapshot::same(&snapshot::of(&case.dir.join(name))?, &uncached(case, root)?, true)
}

/// What comes out without a cache.
fn uncached(case: &Case, root: &Path) -> Result<snapshot::Snapshot> {
    let out = case.dir.join("uncached");
    tool::good(["convert".as_ref(), root.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    let snapshot = snapshot::of(&out)?;
    fs::remove_dir_all(&out)?;
    Ok(snapshot)
}

fn same_bytes(case: &Case, mut server: Server) -> Result<()> {
    let root = guest::small(case)?;
    let expected = uncached(case, &root.dir)?;
    let (one, from_cache) = good(case, &server, &root.dir, "one")?;
    ensure!(!from_cache, "something came from an empty cache");
    snapshot::same(&snapshot::of(&one)?, &expected, true)?;
    let entries = server.order("count fleet/one/entries/")?;
    ensure!(entries >= 20 && server.order("count fleet/one/recipes/")? <= entries, "{entries}");
    // Another builder has the same guest elsewhere.
    let elsewhere = case.dir.join("elsewhere");
    guest::copy(&root.dir, &elsewhere)?;
    let (two, from_cache) = good(case, &server, &elsewhere, "two")?;
    ensure!(from_cache, "nothing came from the cache");
    snapshot::same(&snapshot::of(&two)?, &expected, true)
}

fn damaged(case: &Case, mut server: Server) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let expected = uncached(case, &root.dir)?;
    good(case, &server, &root.dir, "one")?;
    let orders =
        ["flip recipes/", "cut recipes/", "swap recipes/", "flip entries/", "cut entries/"];
    for (turn, order) in orders.iter().enumerate() {
        ensure!(server.order(order)? == 2);
        let (out, from_cache) = good(case, &server, &root.dir, &format!("damaged-{turn}"))?;
        ensure!(!from_cache, "something came from a damaged cache: {order}");
        snapshot::same(&snapshot::of(&out)?, &expected, true)?;
        // What was damaged was replaced.
        let (out, from_cache) = good(case, &server, &root.dir, &format!("repaired-{turn}"))?;
        ensure!(from_cache, "the cache was not repaired: {order}");
        snapshot::same(&snapshot::of(&out)?, &expected, true)?;
    }
    Ok(())
}

fn forged(case: &Case, mut server: Server) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    good(case, &server, &root.dir, "one")?;
    // Sound entries where others belong.
    ensure!(server.order("swap entries/")? == 2);
    let (_, from_cache) = good(case, &server, &root.dir, "two")?;
    ensure!(!from_cache, "an entry served another program");
    ensure!(good(case, &server, &root.dir, "three")?.1);
    // Under names that are not their tags, as who has no key would give them.
    ensure!(server.order("rename entries/")? == 2);
    let (_, from_cache) = good(case, &server, &root.dir, "renamed")?;
    ensure!(!from_cache, "an entry without its tag served");
    // Entries of someone who may write to the bucket, and does not know the key.
    let other = key_file(case, "other", &"x".repeat(32))?;
    let with = (BUCKET, other.as_path());
    let mut command = convert_with(case, &server.endpoint, &root.dir, "four", with)?;
    ensure!(finish(&mut command)?.end == End::Exit(0));
    ensure!(hits(&case.dir.join("four"))?.0 == 0, "another key's entries served");
    ensure!(good(case, &server, &root.dir, "five")?.1);
    Ok(())
}

fn dies(case: &Case, mut server: Server) -> Result<()> {
    let root = guest::small(case)?;
    server.order("requests 30")?;
    bad(case, &server.endpoint, &root.dir, "one", " came to nothing (")?;
    let status = server.wait()?;
    ensure!(status.success(), "the server did not die by itself: {status}");
    ensure!(hits(&case.dir.join("one"))?.0 == 0);
    Ok(())
}

fn hangs(case: &Case, server: Server) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    kill(server.pid(), Signal::SIGSTOP)?;
    let since = Instant::now();
    bad(case, &server.endpoint, &root.dir, "one", "it did not answer in time")?;
    let took = since.elapsed();
    ensure!(took < Duration::from_secs(30), "it took {took:?}");
    Ok(())
}

fn refuses(case: &Case, server: Server) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let refused = |name: &str, value: &str, words: &str| {
        let mut command = convert(case, &server.endpoint, &root.dir, "out")?;
        tool::refused(&finish(command.env(name, value))?, words)
    };
    refused("AWS_SECRET_ACCESS_KEY", "wrong", "refuses these credentials (SignatureDoesNotMatch)")?;
    refused("AWS_ACCESS_KEY_ID", "WRONG", "refuses these credentials (InvalidAccessKeyId)")?;
    let key = key_file(case, "key", CACHE_KEY)?;
    let with = ("nobody-has-this", key.as_path());
    let mut command = convert_with(case, &server.endpoint, &root.dir, "out", with)?;
    tool::refused(&finish(&mut command)?, "has no such bucket (NoSuchBucket)")?;
    // Part of what is signed, and of the address that is asked.
    let mut command = convert(case, &server.endpoint, &root.dir, "out")?;
    let outcome = finish(command.env("AWS_SESSION_TOKEN", TOKEN))?;
    ensure!(outcome.end == End::Exit(0) && outcome.stderr.is_empty(), "{outcome:?}");
    Ok(())
}

fn read_only(case: &Case, mut server: Server) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    good(case, &server, &root.dir, "one")?;
    server.order("deny PUT")?;
    let (_, from_cache) = good(case, &server, &root.dir, "two")?;
    ensure!(from_cache, "nothing was read");
    root.add_program(Path::new("/bin/ls"), "/usr/bin/more")?;
    bad(case, &server.endpoint, &root.dir, "three", "(the answer was AccessDenied)")?;
    ensure!(hits(&case.dir.join("three"))?.0 >= 3, "nothing was read");
    Ok(())
}

fn shared(case: &Case, server: Server) -> Result<()> {
    let root = guest::small(case)?;
    let start = |name: &str| {
        let mut command = convert(case, &server.endpoint, &root.dir, name)?;
        Ok::<_, anyhow::Error>(Running::start(&mut command, b"", tool::LIMIT)?)
    };
    let (one, two) = (start("one")?, start("two")?);
    for running in [one, two] {
        let outcome = running.finish()?;
        ensure!(outcome.end == End::Exit(0), "{}", outcome.stderr_text());
        ensure!(outcome.stderr.is_empty(), "{}", outcome.stderr_text());
    }
    let (three, from_cache) = good(case, &server, &root.dir, "three")?;
    ensure!(from_cache, "nothing came from the cache");
    let three = snapshot::of(&three)?;
    snapshot::same(&snapshot::of(&case.dir.join("one"))?, &three, true)?;
    snapshot::same(&snapshot::of(&case.dir.join("two"))?, &three, true)
}

/// By the certificates that the machine trusts, and no others.
fn encrypted(case: &Case) -> Result<()> {
    let (certificate, private) = (case.dir.join("certificate"), case.dir.join("private"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=store", "-addext"])
        .args(["subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&private)
        .arg("-out")
        .arg(&certificate)
        .output();
    ensure!(made?.status.success(), "openssl makes no certificate");
    let server = Server::start(&[&certificate, &private])?;
    let root = guest::tiny(case.dir.join("guest"))?;
    bad(case, &server.endpoint, &root.dir, "stranger", "invalid peer certificate")?;
    for (name, expected) in [("one", 0), ("two", 4)] {
        let mut command = convert(case, &server.endpoint, &root.dir, name)?;
        let outcome = finish(command.env("SSL_CERT_FILE", &certificate))?;
        ensure!(outcome.end == End::Exit(0) && outcome.stderr.is_empty(), "{outcome:?}");
        let (cached, all) = hits(&case.dir.join(name))?;
        ensure!(cached == expected.min(all), "{cached} of {all} from the cache");
    }
    Ok(())
}

/// Nobody listens there.
fn not_there(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    drop(listener);
    bad(case, &endpoint, &root.dir, "one", "Connection refused")
}

fn wrong_settings(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let run = |endpoint: &str, change: &dyn Fn(&mut Command) -> Result<()>| {
        let mut command = convert(case, endpoint, &root.dir, "out")?;
        change(&mut command)?;
        finish(&mut command)
    };
    let local = "http://127.0.0.1:9";
    let refused = |outcome: &Outcome, words: &str| {
        tool::refused(outcome, words)?;
        ensure!(outcome.stderr_text().contains("s3://"), "{}", outcome.stderr_text());
        Ok(())
    };
    let same = |_: &mut Command| Ok(());
    refused(&run("http://store.example.org", &same)?, "is not encrypted (http)")?;
    refused(
        &run(&format!("https://{KEY}:{SECRET}@example.org"), &same)?,
        "user or password in it",
    )?;
    let nobody = |command: &mut Command| {
        command.env_remove("AWS_SECRET_ACCESS_KEY");
        Ok(())
    };
    refused(&run(local, &nobody)?, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")?;
    let open = |_: &mut Command| {
        let open = fs::Permissions::from_mode(0o644);
        Ok(fs::set_permissions(case.dir.join("key"), open)?)
    };
    tool::refused(&run(local, &open)?, "others than you may read or change it")?;
    let out = case.dir.join("out");
    for (cache, words) in
        [("s3://conversions/x", "--cache-key"), ("s3://No_Bucket/x", "no bucket can be called")]
    {
        let arguments = [
            "convert".as_ref(),
            root.dir.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
            "--cache".as_ref(),
            cache.as_ref(),
        ];
        let outcome = tool::run(arguments)?;
        let said = outcome.stderr_text();
        ensure!(outcome.end == End::Exit(2) && said.contains(words), "{}: {said}", outcome.end);
    }
    Ok(())
}
