//! Images exchanged with casync: what it writes is read, and it reads what is written; and all that can be wrong with either.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};

use super::tool::{comes_back, cut, good, image, noise, refused};

const NOTHING: [&str; 0] = [];

pub fn add(cases: &mut Cases) {
    cases.needing(&["program:casync"]).check("exchange/from-casync", from_casync);
    cases.needing(&["program:casync"]).check("exchange/to-casync", to_casync);
    cases.needing(&["program:casync"]).check("exchange/resumed-by-casync", resumed);
    cases.needing(&["program:desync"]).check("exchange/with-desync", desync);
    cases.check("exchange/there-and-back", there_and_back);
    cases.check("exchange/a-tebibyte-of-zeros", zeros);
    cases.check("exchange/damaged", damaged);
}

/// An image with data of both kinds, zeros at all sorts of places, and an end that is odd.
fn some_image(case: &Case) -> Result<PathBuf> {
    let (one, two) = (noise(1, 700_000), b"what is written often ".repeat(50_000));
    let parts = [(5000, &one[..]), (2_000_000, &two[..]), (6_000_000, &one[..300_000])];
    image(&case.dir.join("image"), (8 << 20) + 333, &parts)
}

fn casync<A: AsRef<OsStr>>(case: &Case, arguments: impl IntoIterator<Item = A>) -> Result<String> {
    output(Command::new("casync").args(arguments).current_dir(&case.dir))
}

fn import(case: &Case, name: &str, store: &Path) -> Result<serde_json::Value> {
    let (caibx, castr) =
        (case.dir.join(format!("{name}.caibx")), case.dir.join(format!("{name}.castr")));
    let words = [caibx.as_os_str(), "--chunks".as_ref(), castr.as_os_str(), "--json".as_ref()];
    Ok(serde_json::from_str(&good("import", words, store)?)?)
}

fn export(
    case: &Case,
    label: &str,
    name: &str,
    store: &Path,
    more: &[&str],
) -> Result<serde_json::Value> {
    let (caibx, castr) =
        (case.dir.join(format!("{name}.caibx")), case.dir.join(format!("{name}.castr")));
    let words = [
        label.as_ref(),
        "--to".as_ref(),
        caibx.as_os_str(),
        "--chunks".as_ref(),
        castr.as_os_str(),
        "--json".as_ref(),
    ];
    let words = words.into_iter().chain(more.iter().map(OsStr::new));
    Ok(serde_json::from_str(&good("export", words, store)?)?)
}

fn from_casync(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let path = some_image(case)?;
    image(&case.dir.join("empty"), 0, &[])?;
    let sizes = "--chunk-size=4096:16384:65536";
    for (name, more) in [
        ("default", &[][..]),
        ("sizes", &[sizes]),
        ("sha256", &["--digest=sha256"]),
        ("both", &["--digest=sha256", sizes]),
    ] {
        let (caibx, castr) = (format!("{name}.caibx"), format!("--store={name}.castr"));
        let words = [&["make"], more, &[&castr, &caibx, "image"]].concat();
        casync(case, words)?;
        let report = import(case, name, &store)?;
        ensure!(report["image_bytes"] == (8 << 20) + 333, "{report}");
        comes_back(&path, name, &store, &case.dir)?;
        // The same once more is the same image, and nothing is new.
        ensure!(import(case, name, &store)?["new_chunks"] == 0);
    }
    casync(case, ["make", "--store=empty.castr", "empty.caibx", "empty"])?;
    // It makes no directory where it has no chunk.
    fs::create_dir_all(case.dir.join("empty.castr"))?;
    import(case, "empty", &store)?;
    comes_back(&case.dir.join("empty"), "empty", &store, &case.dir)?;
    good("verify", NOTHING, &store)?;
    // A directory is no image.
    fs::create_dir(case.dir.join("tree"))?;
    casync(case, ["make", "--store=tree.castr", "tree.caidx", "tree"])?;
    let words = ["tree.caidx", "tree.castr"].map(|name| case.dir.join(name));
    let words = [words[0].as_os_str(), "--chunks".as_ref(), words[1].as_os_str()];
    refused("import", words, &store, "of a directory")?;
    // What others compress by is said, not guessed at.
    casync(case, ["make", "--compression=xz", "--store=xz.castr", "xz.caibx", "image"])?;
    let words = ["xz.caibx", "xz.castr"].map(|name| case.dir.join(name));
    let words = [words[0].as_os_str(), "--chunks".as_ref(), words[1].as_os_str()];
    refused("import", words, &store, "something else than zstd")
}

fn to_casync(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let path = some_image(case)?;
    let bytes = fs::read(&path)?;
    let empty = image(&case.dir.join("empty"), 0, &[])?;
    for (name, kind, size) in [
        ("fixed", "--chunk", "64K"),
        ("small", "--chunk", "4K"),
        ("content", "--content-defined", "16K:64K:256K"),
        ("narrow", "--content-defined", "16K:20K:24K"),
    ] {
        cut(&path, &store, &[kind, size, "--index", name])?;
        for digest in ["sha512-256", "sha256"] {
            let exported = format!("{name}-{digest}");
            export(case, name, &exported, &store, &["--digest", digest])?;
            let (from, chunks) = (format!("{exported}.caibx"), format!("--store={exported}.castr"));
            casync(case, ["extract", &chunks, &from, "back"])?;
            ensure!(fs::read(case.dir.join("back"))? == bytes, "{exported}");
            fs::remove_file(case.dir.join("back"))?;
        }
    }
    cut(&empty, &store, &[])?;
    export(case, "empty", "none", &store, &[])?;
    casync(case, ["extract", "--store=none.castr", "none.caibx", "back"])?;
    ensure!(fs::read(case.dir.join("back"))?.is_empty());
    // What it had made itself it knows again.
    casync(case, ["make", "--store=own.castr", "own.caibx", "image"])?;
    import(case, "own", &store)?;
    let before = fs::read(case.dir.join("own.caibx"))?;
    ensure!(export(case, "own", "own", &store, &[])?["new_chunks"] == 0);
    ensure!(fs::read(case.dir.join("own.caibx"))? == before, "its index came back as another one");
    Ok(())
}

/// casync goes on in a directory of chunks that was begun here.
fn resumed(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let path = some_image(case)?;
    casync(case, ["make", "--store=theirs.castr", "theirs.caibx", "image"])?;
    import(case, "theirs", &store)?;
    export(case, "theirs", "ours", &store, &[])?;
    casync(case, ["make", "--store=ours.castr", "again.caibx", "image"])?;
    let count = |name: &str| -> Result<usize> {
        let folders = fs::read_dir(case.dir.join(name))?.collect::<Result<Vec<_>, _>>()?;
        let files = folders.iter().map(|folder| Ok(fs::read_dir(folder.path())?.count()));
        files.sum()
    };
    ensure!(count("ours.castr")? == count("theirs.castr")?, "chunks are named otherwise");
    comes_back(&path, "theirs", &store, &case.dir)
}

fn desync(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let path = some_image(case)?;
    let desync = |words: &[&str]| {
        output(Command::new("desync").args(words).current_dir(&case.dir).env("HOME", &case.dir))
    };
    fs::create_dir(case.dir.join("theirs.castr"))?;
    desync(&["make", "-s", "theirs.castr", "theirs.caibx", "image"])?;
    import(case, "theirs", &store)?;
    comes_back(&path, "theirs", &store, &case.dir)?;
    for (name, kind, size) in
        [("fixed", "--chunk", "64K"), ("content", "--content-defined", "16K:64K:256K")]
    {
        cut(&path, &store, &[kind, size, "--index", name])?;
        export(case, name, name, &store, &[])?;
        let (from, chunks) = (format!("{name}.caibx"), format!("{name}.castr"));
        desync(&["extract", "-s", &chunks, &from, "back"])?;
        ensure!(fs::read(case.dir.join("back"))? == fs::read(&path)?, "{name}");
        desync(&["verify", "-s", &chunks])?;
    }
    Ok(())
}

fn there_and_back(case: &Case) -> Result<()> {
    let (store, other) = (case.dir.join("store"), case.dir.join("other"));
    let path = some_image(case)?;
    for (name, kind, size) in [
        ("fixed", "--chunk", "64K"),
        ("content", "--content-defined", "4K:16K:64K"),
        ("even", "--content-defined", "16K:16K:16K"),
    ] {
        cut(&path, &store, &[kind, size, "--index", name])?;
        let report = export(case, name, name, &store, &[])?;
        ensure!(report["image_bytes"] == (8 << 20) + 333, "{report}");
        ensure!(export(case, name, name, &store, &[])?["new_chunks"] == 0);
        import(case, name, &other)?;
        comes_back(&path, name, &other, &case.dir)?;
        // Chunks are neither copied nor named anew where they are there. (Even ones come back as those of a fixed size.)
        fs::rename(case.dir.join(format!("{name}.caibx")), case.dir.join("again.caibx"))?;
        fs::rename(case.dir.join(format!("{name}.castr")), case.dir.join("again.castr"))?;
        ensure!(import(case, "again", &store)?["new_chunks"] == 0);
        comes_back(&path, "again", &store, &case.dir)?;
        good("rm", ["again"], &store)?;
        fs::remove_dir_all(case.dir.join("again.castr"))?;
    }
    let said = good("ls", NOTHING, &other)?;
    ensure!(said.contains("chunks of 64K\n") && said.contains("4K:16K:64K"), "{said}");
    Ok(())
}

fn zeros(case: &Case) -> Result<()> {
    let (store, other) = (case.dir.join("store"), case.dir.join("other"));
    let bytes = noise(1, 100_000);
    let path = image(&case.dir.join("image"), 1 << 40, &[(1 << 39, &bytes)])?;
    let since = Instant::now();
    for (name, kind, size) in [("a", "--chunk", "4M"), ("b", "--content-defined", "256K:1M:4M")] {
        cut(&path, &store, &[kind, size, "--index", name])?;
        export(case, name, name, &store, &[])?;
        let report = import(case, name, &other)?;
        ensure!(report["data_bytes"].as_u64().is_some_and(|bytes| bytes < 16 << 20), "{report}");
    }
    ensure!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    Ok(())
}

/// Whatever is wrong with theirs: a sentence, and no image.
fn damaged(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let other = case.dir.join("other");
    let path = image(&case.dir.join("image"), 300_000, &[(0, &noise(1, 300_000))])?;
    cut(&path, &store, &[])?;
    export(case, "image", "a", &store, &[])?;
    let (caibx, castr) = (case.dir.join("a.caibx"), case.dir.join("a.castr"));
    let words = [caibx.as_os_str(), "--chunks".as_ref(), castr.as_os_str()];
    let folder = fs::read_dir(&castr)?.next().context("a folder")??.path();
    let chunk = fs::read_dir(&folder)?.next().context("a chunk")??.path();
    let frame = fs::read(&chunk)?;
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 3)?;
    let flipped = |at: usize| {
        let mut frame = frame.clone();
        frame[at] ^= 1;
        frame
    };
    for (what, bytes, words_of) in [
        ("a bit", flipped(frame.len() / 2), "damaged"),
        ("cut off", frame[..frame.len() - 3].to_vec(), "damaged"),
        ("a bomb", bomb, "damaged"),
        ("another chunk", zstd::bulk::compress(&noise(2, 65536), 3)?, "damaged"),
        ("no frame", noise(3, 1000), "something else than zstd"),
        ("too large", noise(3, 1 << 20), "larger than the index says"),
    ] {
        fs::write(&chunk, bytes)?;
        refused("import", words, &other, words_of).context(what)?;
    }
    fs::remove_file(&chunk)?;
    refused("import", words, &other, "is missing")?;
    std::os::unix::fs::symlink("/dev/zero", &chunk)?;
    refused("import", words, &other, "is missing")?;
    fs::remove_file(&chunk)?;
    fs::write(&chunk, &frame)?;
    let index = fs::read(&caibx)?;
    let at = |at: usize, word: u64| {
        let mut bytes = index.clone();
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        bytes
    };
    for bytes in [
        Vec::new(),
        index[..index.len() - 1].to_vec(),
        index[..100].to_vec(),
        at(0, 0),
        at(24, u64::MAX),
        at(64, u64::MAX),
        at(64, 0),
        at(40, 1 << 26),
        at(index.len() - 16, 1),
    ] {
        fs::write(&caibx, bytes)?;
        refused("import", words, &other, "no index of an image that can be imported")?;
    }
    ensure!(good("ls", NOTHING, &other)?.is_empty());
    fs::write(&caibx, &index)?;
    import(case, "a", &other)?;
    comes_back(&path, "a", &other, &case.dir)?;
    refused(
        "import",
        [castr.as_os_str(), "--chunks".as_ref(), castr.as_os_str()],
        &other,
        "cannot be read",
    )
}
