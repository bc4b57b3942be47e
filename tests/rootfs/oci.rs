//! Image layouts in place of a directory: made here of layers that GNU tar packs, put together here
//! again, and by umoci and skopeo where these are.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use statify_tests::case::{Case, Cases};

use crate::rootfs::archives::{arguments, convert, nothing_left};
use crate::rootfs::guest::{self, shell};
use crate::rootfs::packed::{self, member};
use crate::rootfs::{snapshot, tool};

const OCI: &str = "application/vnd.oci.image.";

pub fn add(cases: &mut Cases) {
    for (name, test) in [
        ("oci/as-the-merged-directory", merged as fn(&Case) -> Result<()>),
        ("oci/archive", archive),
        ("oci/hostile", hostile),
    ] {
        // Only root can unpack owners.
        cases.needing(&["root"]).check(name, test);
    }
    cases
        .needing(&["root", "program:umoci", "program:skopeo"])
        .check("oci/umoci-and-skopeo", others);
}

/// Through a program such as gzip.
fn filter(program: &str, flags: &[&str], bytes: &[u8]) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("no pipe")?;
    let bytes = bytes.to_vec();
    // What the filter refuses to read is seen by its status.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output()?;
    let _ = writing.join();
    ensure!(output.status.success(), "{program}: {}", output.status);
    Ok(output.stdout)
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Adds a blob.
fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = sha256(bytes);
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
}

fn new_layout(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("blobs/sha256"))?;
    Ok(fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?)
}

/// Adds an image of these layers, archives without compression, each to be compressed by a program.
fn image(layout: &Path, layers: &[(&[u8], &str)], name: &str) -> Result<Value> {
    let mut descriptors = Vec::new();
    for (bytes, program) in layers {
        let (kind, bytes) = match *program {
            "gzip" => ("layer.v1.tar+gzip", filter("gzip", &["-nc"], bytes)?),
            "zstd" => ("layer.v1.tar+zstd", zstd::encode_all(*bytes, 0)?),
            _ => ("layer.v1.tar", bytes.to_vec()),
        };
        let mut layer = blob(layout, &format!("{OCI}{kind}"), &bytes)?;
        layer["annotations"] = json!({ "of": "a layer" });
        descriptors.push(layer);
    }
    let ids: Vec<_> = layers.iter().map(|(bytes, _)| sha256(bytes)).collect();
    let config = json!({
        "created": "2020-01-02T03:04:05Z", "architecture": "amd64", "os": "linux",
        "config": { "Entrypoint": ["/usr/bin/three"], "Own": [1, 2] },
        "rootfs": { "type": "layers", "diff_ids": ids },
        "history": ids.iter().map(|_| json!({ "created_by": "the test" })).collect::<Vec<_>>(),
        "x-own": { "kept": true },
    });
    let config = blob(layout, &format!("{OCI}config.v1+json"), &serde_json::to_vec(&config)?)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": format!("{OCI}manifest.v1+json"),
        "config": config, "layers": descriptors, "annotations": { "of": "the manifest" },
    });
    let bytes = serde_json::to_vec(&manifest)?;
    let mut descriptor = blob(layout, &format!("{OCI}manifest.v1+json"), &bytes)?;
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    Ok(descriptor)
}

fn write_index(layout: &Path, manifests: &[Value]) -> Result<()> {
    let index = json!({ "schemaVersion": 2, "manifests": manifests, "annotations": { "a": "b" } });
    Ok(fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)?)
}

/// The layers of a small guest: what was taken away, replaced and added since.
fn layers(case: &Case) -> Result<[Vec<u8>; 3]> {
    let root = guest::tiny(case.dir.join("first"))?;
    shell(
        &root.dir,
        "cp usr/bin/one usr/bin/gone; ln usr/bin/two usr/bin/two-too; ln usr/bin/three usr/bin/three-too; mkdir -p opt/old/b; touch opt/old/a opt/old/b/c
         cp usr/bin/one usr/sbin/gone
         touch -d '2001-02-03 04:05:06.789' usr/bin/three usr/bin; chown 12:34 usr/bin/three usr/sbin
         mknod dev/null c 1 3; chmod 1775 usr/sbin",
    )?;
    guest::attribute(&root.path("usr/bin/three"), "user.note", b"kept")?;
    let pack = |name: &str, flags: &[&str]| -> Result<Vec<u8>> {
        let archive = case.dir.join(format!("{name}.tar"));
        packed::pack(&case.dir.join(name), &archive, flags)?;
        Ok(fs::read(archive)?)
    };
    shell(
        &case.dir,
        "mkdir -p second/usr/bin second/usr/sbin second/opt/old third/usr/bin third/etc
         touch second/usr/bin/.wh.gone second/opt/old/.wh..wh..opq second/opt/old/new second/usr/sbin/.wh..wh..opq
         cp /bin/cat second/usr/bin/two; chmod 711 second/usr/bin/two; chown 5:6 second/usr/bin/two
         touch -d 2011-11-11 second/usr/bin second/opt/old
         cp /bin/true third/usr/bin/gone; touch third/etc/.wh.nothing",
    )?;
    Ok([pack("first", &[])?, pack("second", &["--format=pax"])?, pack("third", &["--format=gnu"])?])
}

/// A layout with that image, one for another machine, and what belongs to neither.
pub fn layout(case: &Case) -> Result<PathBuf> {
    let dir = case.dir.join("layout");
    new_layout(&dir)?;
    let [first, second, third] = layers(case)?;
    let image = image(&dir, &[(&first, "gzip"), (&second, ""), (&third, "zstd")], "latest")?;
    let mut other = blob(&dir, &format!("{OCI}manifest.v1+json"), br#"{"layers":[],"config":{}}"#)?;
    other["platform"] = json!({ "os": "linux", "architecture": "arm64" });
    let mut same = image.clone();
    same["annotations"] = json!({ "org.opencontainers.image.ref.name": "1.0" });
    same["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let inner = json!({ "schemaVersion": 2, "manifests": [same] });
    let inner = blob(&dir, &format!("{OCI}index.v1+json"), &serde_json::to_vec(&inner)?)?;
    write_index(&dir, &[other, image, inner])?;
    Ok(dir)
}

/// Every file of a layout, by its path.
pub fn files(layout: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let seen = snapshot::of(layout)?.into_iter();
    let is_file = |seen: &snapshot::Seen| seen.traits.0 & 0o170000 == 0o100000;
    Ok(seen.filter(|(_, seen)| is_file(seen)).map(|(path, seen)| (path, seen.contents)).collect())
}

fn json_of(layout: &Path, descriptor: &Value) -> Result<Value> {
    let digest = descriptor["digest"].as_str().context("no digest")?;
    Ok(serde_json::from_slice(&fs::read(layout.join("blobs").join(digest.replace(':', "/")))?)?)
}

/// Puts the layers of the `number`th image together, as the specification says it, by GNU tar and rm.
pub fn merge(layout: &Path, number: usize, to: &Path) -> Result<usize> {
    fs::create_dir(to)?;
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    let manifest = json_of(layout, &index["manifests"][number])?;
    let config = json_of(layout, &manifest["config"])?;
    let layers = manifest["layers"].as_array().context("no layers")?;
    for (layer, id) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().context("no ids")?)
    {
        let digest = layer["digest"].as_str().context("no digest")?.replace(':', "/");
        let bytes = fs::read(layout.join("blobs").join(digest))?;
        ensure!(layer["size"] == bytes.len(), "another size");
        let bytes = match layer["mediaType"].as_str().and_then(|kind| kind.rsplit('+').next()) {
            Some("gzip") => filter("gzip", &["-dc"], &bytes)?,
            Some("zstd") => zstd::decode_all(&bytes[..])?,
            _ => bytes,
        };
        ensure!(*id == sha256(&bytes), "a diff_id is wrong");
        let archive = to.with_extension("tar");
        fs::write(&archive, bytes)?;
        let new = to.with_extension("new");
        packed::unpack(&archive, &new)?;
        for path in snapshot::of(&new)?.keys() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(gone) = name.strip_prefix(".wh.") else { continue };
            let dir = to.join(path.parent().context("no directory")?);
            match gone {
                ".wh..opq" => shell(&dir, "rm -rf -- * .[!.]*")?,
                gone => shell(&dir, &format!("rm -rf -- '{gone}'"))?,
            }
        }
        packed::unpack(&archive, to)?;
        shell(to, "find . -name '.wh.*' | while read -r path; do
            touch -r \"$(dirname \"$path\")\" ../times; rm \"$path\"; touch -r ../times \"$(dirname \"$path\")\"; done")?;
        fs::remove_dir_all(new)?;
    }
    Ok(layers.len())
}

fn merged(case: &Case) -> Result<()> {
    let layout = layout(case)?;
    let before = files(&layout)?;
    let (out, root) = (case.dir.join("out"), case.dir.join("root"));
    merge(&layout, 1, &root)?;
    convert(case, &root, &case.dir.join("directory"))?;
    convert(case, &layout, &out)?;
    ensure!(files(&layout)? == before, "the input was changed");
    let after = files(&out)?;
    for (path, contents) in &after {
        if path.starts_with("blobs") {
            let digest = sha256(contents).replace(':', "/");
            ensure!(*path == Path::new("blobs").join(digest), "{} is damaged", path.display());
        }
    }
    for (path, contents) in before.iter().filter(|(path, _)| path.starts_with("blobs")) {
        ensure!(after.get(path) == Some(contents), "{} was changed", path.display());
    }
    // Layer, configuration, manifest, inner index.
    ensure!(after.len() == before.len() + 4, "{} files", after.len());
    let index: Value = serde_json::from_slice(&after[Path::new("index.json")])?;
    let old: Value = serde_json::from_slice(&before[Path::new("index.json")])?;
    ensure!(index["manifests"][0] == old["manifests"][0], "the other image was changed");
    ensure!(index["annotations"] == old["annotations"]);
    let inner = json_of(&out, &index["manifests"][2])?;
    ensure!(inner["manifests"][0]["digest"] == index["manifests"][1]["digest"], "the inner index");
    let manifest = json_of(&out, &index["manifests"][1])?;
    ensure!(manifest["annotations"]["of"] == "the manifest");
    ensure!(manifest["layers"][3]["mediaType"] == format!("{OCI}layer.v1.tar+zstd"));
    let config = json_of(&out, &manifest["config"])?;
    ensure!(config["x-own"]["kept"] == true && config["config"]["Own"] == json!([1, 2]));
    ensure!(
        config["created"] == "2020-01-02T03:04:05Z"
            && config["history"][3]["created"] == config["created"]
    );
    ensure!(merge(&out, 1, &case.dir.join("after"))? == 4, "layers");
    let directory = snapshot::of(&case.dir.join("directory"))?;
    snapshot::same(&snapshot::of(&case.dir.join("after"))?, &directory, true)?;
    let again = case.dir.join("again");
    convert(case, &layout, &again)?;
    ensure!(files(&again)? == after, "another layout");
    // All is converted now: there is nothing to add.
    let third = case.dir.join("third-time");
    convert(case, &out, &third)?;
    ensure!(files(&third)? == after, "a converted image was changed");
    Ok(())
}

/// A tar archive of a layout, with docker's list of images.
fn archive(case: &Case) -> Result<()> {
    let layout = layout(case)?;
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    let manifest = json_of(&layout, &index["manifests"][1])?;
    let path =
        |blob: &Value| format!("blobs/{}", blob["digest"].as_str().unwrap_or("").replace(':', "/"));
    let layers: Vec<_> =
        manifest["layers"].as_array().context("layers")?.iter().map(path).collect();
    let docker =
        json!([{ "Config": path(&manifest["config"]), "RepoTags": ["a:b"], "Layers": layers }]);
    fs::write(layout.join("manifest.json"), serde_json::to_vec(&docker)?)?;
    let (from, to) = (case.dir.join("image.tar"), case.dir.join("out.tar"));
    packed::pack(&layout, &from, &[])?;
    convert(case, &from, &to)?;
    convert(case, &layout, &case.dir.join("out"))?;
    packed::unpack(&to, &case.dir.join("unpacked"))?;
    let unpacked = files(&case.dir.join("unpacked"))?;
    ensure!(unpacked == files(&case.dir.join("out"))?, "the archive has other files");
    let docker: Value = serde_json::from_slice(&unpacked[Path::new("manifest.json")])?;
    let new: Vec<_> = docker[0]["Layers"].as_array().context("layers")?.iter().collect();
    ensure!(new.len() == 4 && docker[0]["RepoTags"] == json!(["a:b"]));
    for path in new.into_iter().chain([&docker[0]["Config"]]) {
        ensure!(
            unpacked.contains_key(Path::new(path.as_str().unwrap_or(""))),
            "{path} is not there"
        );
    }
    Ok(())
}

/// What those who know images make of ours.
fn others(case: &Case) -> Result<()> {
    let dir = case.dir.join("layout");
    new_layout(&dir)?;
    let [first, second, third] = layers(case)?;
    // What is in the directory of Debian's versions knows no zstd.
    let image = image(&dir, &[(&first, "gzip"), (&second, "gzip"), (&third, "gzip")], "latest")?;
    write_index(&dir, &[image])?;
    let (out, root) = (case.dir.join("out"), case.dir.join("root"));
    merge(&dir, 0, &root)?;
    convert(case, &root, &case.dir.join("directory"))?;
    convert(case, &dir, &out)?;
    let bundle = case.dir.join("bundle");
    let name = format!("{}:latest", out.display());
    packed::run(Command::new("umoci").args(["unpack", "--image", &name]).arg(&bundle))?;
    let directory = snapshot::of(&case.dir.join("directory"))?;
    snapshot::same(&snapshot::of(&bundle.join("rootfs"))?, &directory, true).context("umoci")?;
    let copy = format!("dir:{}", case.dir.join("copy").display());
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "copy", "--quiet", &format!("oci:{name}"), &copy]);
    packed::run(&mut command)?;
    let manifest: Value = serde_json::from_slice(&fs::read(case.dir.join("copy/manifest.json"))?)?;
    ensure!(manifest["layers"].as_array().is_some_and(|layers| layers.len() == 4), "skopeo");
    Ok(())
}

fn hostile(case: &Case) -> Result<()> {
    let outside = case.dir.join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "secret")?;
    let there = outside.to_string_lossy().into_owned();
    let [first, _, _] = layers(case)?;
    let good = case.dir.join("good");
    new_layout(&good)?;
    let first = packed::with(&first, &[member("esc", b'2', &there, 0, b"")]);
    let descriptor = image(&good, &[(&first, "")], "latest")?;
    write_index(&good, std::slice::from_ref(&descriptor))?;
    let out = case.dir.join("out");
    let refused = |layout: &Path, words: &str| -> Result<()> {
        tool::refused(&tool::run(arguments(case, layout, &out))?, words)
            .context(words.to_owned())?;
        ensure!(!out.exists());
        ensure!(
            fs::read(outside.join("secret"))? == b"secret" && fs::read_dir(&outside)?.count() == 1
        );
        nothing_left(&out)
    };
    let bad = case.dir.join("bad");
    let anew = || -> Result<()> {
        let _ = fs::remove_dir_all(&bad);
        guest::copy(&good, &bad)
    };
    // Layers that reach out, or name what has no name.
    for (second, words) in [
        (vec![member("../outside/.wh.secret", b'0', "", 0, b"")], "leads out"),
        (vec![member("usr/.wh...", b'0', "", 0, b"")], "removes what has no name"),
        (vec![member("usr/.wh..", b'0', "", 0, b"")], "removes what has no name"),
        (vec![member("esc/evil", b'0', "", 0, b"")], "cannot be unpacked"),
        (vec![member("a", b'1', "esc/secret", 0, b"")], "not there"),
    ] {
        anew()?;
        let second = packed::with(&[], &second);
        write_index(&bad, &[image(&bad, &[(&first, ""), (&second, "gzip")], "latest")?])?;
        refused(&bad, words)?;
    }
    // Whiteouts by way of a link stay inside.
    anew()?;
    let second =
        [member("esc/.wh.secret", b'0', "", 0, b""), member("esc/.wh..wh..opq", b'0', "", 0, b"")];
    let second = packed::with(&[], &second);
    write_index(&bad, &[image(&bad, &[(&first, ""), (&second, "")], "latest")?])?;
    convert(case, &bad, &out)?;
    ensure!(fs::read(outside.join("secret"))? == b"secret");
    fs::remove_dir_all(&out)?;
    // Descriptors that are not true.
    for (change, words) in [
        (("digest", json!("sha256:../../../outside/secret")), "no algorithm"),
        (("digest", json!(sha256(b"nothing"))), "is not in it"),
        (("size", json!(1)), "damaged"),
        (("mediaType", json!("of/nothing")), "no image for linux/amd64, but none"),
    ] {
        anew()?;
        let mut descriptor = descriptor.clone();
        descriptor[change.0] = change.1;
        write_index(&bad, &[descriptor])?;
        refused(&bad, words)?;
    }
    anew()?;
    let other = image(&bad, &[(&first, "gzip")], "other")?;
    write_index(&bad, &[descriptor.clone(), other])?;
    refused(&bad, "several images for linux/amd64: latest, other")?;
    tool::refused(
        &tool::run(
            arguments(case, &good, &out)
                .into_iter()
                .chain(["--platform".into(), "linux/arm64".into()]),
        )?,
        "no image for linux/arm64, but for linux/amd64",
    )?;
    for (name, words) in [("index.json", "no JSON"), ("oci-layout", "no JSON")] {
        anew()?;
        fs::write(bad.join(name), "{")?;
        refused(&bad, words)?;
    }
    // A byte of a blob.
    for path in files(&good)?.keys().filter(|path| path.starts_with("blobs")) {
        anew()?;
        let mut bytes = fs::read(bad.join(path))?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(bad.join(path), bytes)?;
        refused(&bad, "is damaged")?;
    }
    // A layer that is not what the configuration says.
    anew()?;
    let mut manifest = json_of(&bad, &descriptor)?;
    let other = packed::with(&first, &[member("x", b'0', "", 0, b"")]);
    manifest["layers"][0] = blob(&bad, &format!("{OCI}layer.v1.tar"), &other)?;
    let bytes = serde_json::to_vec(&manifest)?;
    write_index(&bad, &[blob(&bad, &format!("{OCI}manifest.v1+json"), &bytes)?])?;
    refused(&bad, "is damaged")?;
    // An archive of a layout whose blobs are elsewhere.
    let archive = case.dir.join("archive.tar");
    let members = [
        member("oci-layout", b'0', "", 30, br#"{"imageLayoutVersion":"1.0.0"}"#),
        member("blobs", b'2', &there, 0, b""),
    ];
    fs::write(&archive, packed::with(&[], &members))?;
    refused(&archive, "neither a file nor a directory")?;
    // Into itself.
    let inside = good.join("out");
    tool::refused(&tool::run(arguments(case, &good, &inside))?, "lies in")
}
