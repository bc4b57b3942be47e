//! Signed images: what has no signature, or another's, is not taken. minisign itself is what keys and signatures are held against.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};

use super::server::Server;
use super::tool::{comes_back, cut, good, image, noise, refused};

pub fn add(cases: &mut Cases) {
    cases.needing(&["program:minisign"]).check("signatures/agree-with-minisign", agree);
    cases.needing(&["program:minisign"]).check("signatures/that-do-not-hold", do_not_hold);
    cases.needing(&["program:minisign"]).check("signatures/serve", serve);
    cases.needing(&["program:minisign"]).check("signatures/keys-that-are-none", bad_keys);
    cases.needing(&["program:minisign"]).check("signatures/gc-and-repack", gc);
}

/// A new key without a password: the secret and the public one.
fn key(case: &Case, name: &str) -> Result<(PathBuf, PathBuf)> {
    let (secret, public) = (case.dir.join(name), case.dir.join(format!("{name}.pub")));
    output(Command::new("minisign").args(["-G", "-W", "-s"]).arg(&secret).arg("-p").arg(&public))?;
    Ok((secret, public))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path")
}

fn only(dir: &Path) -> Result<PathBuf> {
    let entries: Vec<_> = fs::read_dir(dir)?.collect::<Result<_, _>>()?;
    ensure!(entries.len() == 1, "{} in {}", entries.len(), dir.display());
    Ok(entries[0].path())
}

fn small(case: &Case, name: &str, seed: u64) -> Result<PathBuf> {
    image(&case.dir.join(name), 1 << 20, &[(0, &noise(seed, 300_000))])
}

fn agree(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (secret, public) = key(case, "key")?;
    let path = small(case, "image", 1)?;
    cut(&path, &store, &["--sign-key", text(&secret)?])?;
    let minisign = || -> Result<String> {
        output(
            Command::new("minisign")
                .args(["-V", "-p"])
                .arg(&public)
                .arg("-m")
                .arg(only(&store.join("indexes"))?)
                .arg("-x")
                .arg(only(&store.join("signatures"))?),
        )
    };
    let said = minisign()?;
    ensure!(said.contains("file:image\tsha256:"), "{said}");
    // The key as a file, and as text.
    let line = fs::read_to_string(&public)?.lines().nth(1).context("a key")?.to_owned();
    for key in [text(&public)?, &line] {
        let copy = case.dir.join("copy");
        let words: [&OsStr; 5] =
            ["image".as_ref(), "--key".as_ref(), key.as_ref(), "-o".as_ref(), copy.as_os_str()];
        good("cat", words, &store)?;
        ensure!(fs::read(&copy)? == fs::read(&path)?);
        fs::remove_file(copy)?;
        good("verify", ["--key", key], &store)?;
    }
    // What minisign itself signs is taken, too, if it says what it is of.
    let index = only(&store.join("indexes"))?;
    let signature = only(&store.join("signatures"))?;
    let comment =
        said.split_once("Trusted comment: ").context("a comment")?.1.trim_end().to_owned();
    output(
        Command::new("minisign")
            .args(["-S", "-s"])
            .arg(&secret)
            .arg("-m")
            .arg(&index)
            .arg("-x")
            .arg(&signature)
            .args(["-t", comment.lines().next().unwrap_or_default()]),
    )?;
    good("verify", ["--key", text(&public)?], &store)?;
    // Cut again, or signed again, it is the same one.
    cut(&path, &store, &["--sign-key", text(&secret)?])?;
    good("sign", ["image", "--key", text(&secret)?], &store)?;
    minisign()?;
    comes_back(&path, "image", &store, &case.dir)
}

/// A sentence each, and no image.
fn do_not_hold(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (secret, public) = key(case, "key")?;
    let (_, other_public) = key(case, "other")?;
    let path = small(case, "image", 1)?;
    let key = ["image", "--key", text(&public)?];
    cut(&path, &store, &[])?;
    refused("cat", key, &store, "nobody has signed it with this key")?;
    refused("verify", ["--key", text(&public)?], &store, "nobody has signed it")?;
    good("sign", ["image", "--key", text(&secret)?], &store)?;
    good("cat", key, &store)?;
    refused("cat", ["image", "--key", text(&other_public)?], &store, "nobody has signed it")?;
    // Too old, as an earlier image of the name would be.
    let at_least = |time| [key[0], key[1], key[2], "--at-least", time];
    good("cat", at_least("2020-01-01T00:00:00Z"), &store)?;
    refused("cat", at_least("2999-01-01T00:00:00Z"), &store, "--at-least")?;
    // Damaged, emptied, or another's.
    let signature = only(&store.join("signatures"))?;
    let sound = fs::read(&signature)?;
    for at in [0, 40, 60, 120, 200, 260, sound.len() - 3] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(&signature, bytes)?;
        // The first line is anybody's.
        if at > 40 {
            refused("cat", key, &store, "is not taken")?;
        }
    }
    for bytes in [&b""[..], b"\xff\xfe", b"a\nb\nc\nd\n", &noise(1, 4096)] {
        fs::write(&signature, bytes)?;
        refused("cat", key, &store, "is not taken")?;
    }
    fs::write(&signature, &sound)?;
    // Another image in its place, whose signature lies beside it.
    let other = small(case, "other-image", 2)?;
    let index = only(&store.join("indexes"))?;
    let first = fs::read(&index)?;
    cut(&other, &store, &["--sign-key", text(&secret)?])?;
    for entry in fs::read_dir(store.join("indexes"))? {
        let path = entry?.path();
        if path != index {
            fs::copy(&path, &index)?;
        }
    }
    refused("cat", key, &store, "image")?;
    fs::write(&index, &first)?;
    good("cat", key, &store)?;
    // Signed under another name by the same key.
    let line = |name: &str| format!("timestamp:1\tfile:{name}\tsha256:{}", "0".repeat(64));
    for (comment, words) in
        [(line("stranger"), "signed as \"stranger\""), ("nothing".into(), "does not say")]
    {
        output(
            Command::new("minisign")
                .args(["-S", "-s"])
                .arg(&secret)
                .arg("-m")
                .arg(&index)
                .arg("-x")
                .arg(&signature)
                .args(["-t", &comment]),
        )?;
        refused("cat", key, &store, words)?;
    }
    Ok(())
}

fn serve(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (secret, public) = key(case, "key")?;
    let path = small(case, "image", 1)?;
    cut(&path, &store, &[])?;
    let socket = case.dir.join("socket");
    let nbd = format!("unix:{}", socket.display());
    refused(
        "serve",
        ["image", "--nbd", &nbd, "--key", text(&public)?],
        &store,
        "nobody has signed",
    )?;
    ensure!(!socket.exists());
    good("sign", ["image", "--key", text(&secret)?], &store)?;
    let server = Server::start("image", &store, &socket, &["--key".as_ref(), public.as_os_str()])?;
    ensure!(server.client()?.read_all()? == fs::read(&path)?);
    Ok(())
}

fn bad_keys(case: &Case) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let store = case.dir.join("store");
    let (secret, public) = key(case, "key")?;
    let path = small(case, "image", 1)?;
    let sign = |key: &Path, words: &str| {
        let arguments = [path.as_os_str(), "--sign-key".as_ref(), key.as_os_str()];
        refused("cut", arguments, &store, words)
    };
    sign(&case.dir.join("none"), "No such file")?;
    sign(&public, "others than you may read")?;
    fs::set_permissions(&public, fs::Permissions::from_mode(0o600))?;
    sign(&public, "none of minisign's")?;
    let sound = fs::read_to_string(&secret)?;
    let damaged = case.dir.join("damaged");
    let line = sound.find('\n').context("a line")? + 1;
    for (at, words) in
        [(line, "none of minisign's"), (line + 90, "cannot be"), (line + 160, "cannot be")]
    {
        let mut bytes = sound.clone().into_bytes();
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        fs::write(&damaged, bytes)?;
        fs::set_permissions(&damaged, fs::Permissions::from_mode(0o600))?;
        sign(&damaged, words)?;
    }
    // One with a password, and nobody to ask.
    let other = sound.replacen("RWQAAEIy", "RWRTY0Iy", 1);
    fs::write(&damaged, other)?;
    sign(&damaged, "no terminal to ask for it")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644))?;
    sign(&secret, "others than you may read")?;
    let is_empty = fs::read_dir(store.join("indexes")).map_or(true, |mut all| all.next().is_none());
    ensure!(is_empty, "something was cut");
    Ok(())
}

/// Signatures go with their images, and repacking keeps them, or leaves alone what it cannot sign.
fn gc(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let (secret, public) = key(case, "key")?;
    let (other, _) = key(case, "other")?;
    let signed = ["--sign-key", text(&secret)?];
    // A pack of which the second image needs a part only.
    let path = image(&case.dir.join("both"), 4 << 20, &[(0, &noise(1, 4 << 20))])?;
    let part = image(&case.dir.join("part"), 1 << 20, &[(0, &noise(1, 1 << 20))])?;
    cut(&path, &store, &signed)?;
    cut(&part, &store, &signed)?;
    let signatures = || fs::read_dir(store.join("signatures")).map(Iterator::count);
    ensure!(signatures()? == 2);
    good("rm", ["both"], &store)?;
    good("gc", ["--keep", "0"], &store)?;
    ensure!(signatures()? == 1);
    let repack = ["--keep", "0", "--repack", "50"];
    ensure!(good("gc", repack, &store)?.contains("1 packs stay as they are"));
    let by_other = [&repack[..], &["--sign-key", text(&other)?]].concat();
    ensure!(good("gc", by_other, &store)?.contains("1 packs stay as they are"));
    let by_own = [&repack[..], &signed].concat();
    let said = good("gc", by_own, &store)?;
    ensure!(
        said.contains("1 packs made into 1, for 1 images") && said.contains("1 packs removed"),
        "{said}"
    );
    good("verify", ["--key", text(&public)?], &store)?;
    ensure!(signatures()? == 1);
    comes_back(&part, "part", &store, &case.dir)
}
