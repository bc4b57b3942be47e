//! What the report measures of files, against a plain count of the same.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;
use statify_tests::report::Done;

use crate::rootfs::disk::{Kind, Mounted};
use crate::rootfs::{guest, tool};

const SIZES: [usize; 4] = [4 << 10, 16 << 10, 64 << 10, 256 << 10];

pub fn add(cases: &mut Cases) {
    cases.check("report/chunks", chunks);
    cases.check("report/originals-that-are-not-there", without_originals);
    cases.needing(&["program:mkfs.ext4"]).check("report/chunks-of-an-image", image_chunks);
    cases.needing(Kind::Btrfs.needs()).add("report/physical-with-reflinks", reflinks);
    cases.needing(&["static-libc"]).check("report/tables-as-csv", csv);
}

/// A guest with what chunks are about: two equal files, zeros that are there and such that are not.
fn guest(case: &Case) -> Result<PathBuf> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let bytes: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 5).to_le_bytes()).collect();
    fs::write(root.path("etc/data"), &bytes)?;
    fs::write(root.path("etc/data-again"), &bytes)?;
    fs::hard_link(root.path("etc/data"), root.path("etc/data-too"))?;
    fs::write(root.path("etc/zeros"), vec![0; 100_000])?;
    let sparse = fs::File::create(root.path("etc/sparse"))?;
    sparse.write_all_at(&bytes[..10_000], 3 << 20)?;
    sparse.set_len(40 << 20)?;
    Ok(root.dir)
}

fn report<'a>(tree: &'a Path, more: &[&'a str]) -> Result<Value> {
    let more = more.iter().map(Path::new);
    let arguments = [Path::new("report"), tree, Path::new("--json")].into_iter().chain(more);
    Ok(serde_json::from_str(&tool::good(arguments)?)?)
}

/// Chunks, different ones, their bytes, chunks of zeros.
fn count(tree: &Path, size: usize) -> Result<[u64; 4]> {
    let (mut counts, mut seen, mut files) = ([0; 4], HashSet::new(), HashSet::new());
    let mut left = vec![tree.to_owned()];
    while let Some(path) = left.pop() {
        let stat = path.symlink_metadata()?;
        if stat.is_dir() && path.file_name().is_none_or(|name| name != ".rootfs-tools") {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
        if !stat.is_file() || !files.insert(stat.ino()) {
            continue;
        }
        for chunk in fs::read(&path)?.chunks(size) {
            if chunk.iter().all(|&byte| byte == 0) {
                counts[3] += 1;
                continue;
            }
            counts[0] += 1;
            if seen.insert(Sha256::digest(chunk)) {
                counts[1] += 1;
                counts[2] += chunk.len() as u64;
            }
        }
    }
    Ok(counts)
}

fn reported(unique: &Value) -> [Option<u64>; 4] {
    ["chunks", "unique_chunks", "unique_bytes", "zero_chunks"].map(|field| unique[field].as_u64())
}

fn chunks(case: &Case) -> Result<()> {
    let root = guest(case)?;
    let before = SIZES.map(|size| count(&root, size));
    let out = case.dir.join("out");
    let backup = case.dir.join("backup");
    tool::good(["convert".as_ref(), root.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    tool::good([
        "convert".as_ref(),
        root.as_os_str(),
        "--in-place".as_ref(),
        "--backup".as_ref(),
        backup.as_os_str(),
    ])?;
    // Once with the originals in the tree that it is a copy of, which are converted now, once in the backup.
    let lost = report(&out, &["--chunks"])?;
    ensure!(
        lost["originals_missing"].is_string() && lost["chunks"]["sizes"][0]["original"].is_null()
    );
    let kept = report(&root, &["--chunks"])?;
    ensure!(kept["originals_missing"].is_null(), "{}", kept["originals_missing"]);
    for (index, (size, before)) in SIZES.into_iter().zip(before).enumerate() {
        let row = &kept["chunks"]["sizes"][index];
        ensure!(row["size"] == size, "{row}");
        ensure!(reported(&row["original"]) == before?.map(Some), "{size}: original {row}");
        ensure!(reported(&row["converted"]) == count(&root, size)?.map(Some), "{size}: {row}");
        ensure!(row["converted"] == lost["chunks"]["sizes"][index]["converted"], "{size}: {lost}");
        let number = |side: &str| row[side]["unique_chunks"].as_f64().context("no number");
        ensure!(row["chunk_times"].as_f64() == Some(number("converted")? / number("original")?));
    }
    tool::good(["restore".as_ref(), root.as_os_str()])?;
    let found = report(&out, &["--chunks"])?;
    for index in 0..SIZES.len() {
        let (now, then) = (&found["chunks"]["sizes"][index], &kept["chunks"]["sizes"][index]);
        ensure!(now["original"] == then["original"], "{now} {then}");
    }
    Ok(())
}

fn without_originals(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let no_backup = "--no-backup".as_ref();
    tool::good(["convert".as_ref(), root.dir.as_os_str(), "--in-place".as_ref(), no_backup])?;
    let said = report(&root.dir, &["--chunks"])?;
    let sentence = said["originals_missing"].as_str().context("no sentence")?;
    ensure!(sentence.contains("its original was not kept"), "{sentence}");
    ensure!(said["chunks"]["sizes"][3]["converted"]["unique_chunks"].as_u64() > Some(0));
    Ok(())
}

fn image_chunks(case: &Case) -> Result<()> {
    let root = guest(case)?;
    let (out, backup) = (case.dir.join("out"), case.dir.join("backup"));
    let scratch = case.dir.join("scratch");
    fs::create_dir(&scratch)?;
    tool::good(["convert".as_ref(), root.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    let measure = |tree: &Path| -> Result<Value> {
        let arguments = ["report".as_ref(), tree.as_os_str(), "--json".as_ref()];
        let mut command = tool::command(arguments)?;
        let outcome = tool::finish(command.arg("--image-chunks").env("TMPDIR", &scratch))?;
        ensure!(outcome.end == End::Exit(0), "{}", outcome.stderr_text());
        ensure!(fs::read_dir(&scratch)?.next().is_none(), "something stayed behind");
        Ok(serde_json::from_str(&outcome.stdout_text())?)
    };
    let from_source = measure(&out)?;
    tool::good([
        "convert".as_ref(),
        root.as_os_str(),
        "--in-place".as_ref(),
        "--backup".as_ref(),
        backup.as_os_str(),
    ])?;
    let from_backup = measure(&root)?;
    for (index, size) in SIZES.into_iter().enumerate() {
        for side in ["original", "converted"] {
            let number = |report: &Value| {
                let unique = &report["image_chunks"]["sizes"][index][side]["unique_bytes"];
                unique.as_f64().context("no number")
            };
            let (one, other) = (number(&from_source)?, number(&from_backup)?);
            // Directories come in another order.
            ensure!((one / other - 1.0).abs() < 0.1, "{side}, {size}: {one} and {other}");
        }
    }
    // In the smallest chunks an image has what the files have, filled up to blocks, and its own tables.
    let files = count(&out, SIZES[0])?[1];
    let image = from_source["image_chunks"]["sizes"][0]["converted"]["unique_chunks"].as_u64();
    let image = image.context("no number")?;
    ensure!((files..files + 1000).contains(&image), "{files} in files, {image} in the image");
    // In clusters of a chunk a file's chunks are the image's.
    let mut command = tool::command(["report".as_ref(), out.as_os_str(), "--json".as_ref()])?;
    command.args(["--image-chunks", "--image-cluster", "65536"]).env("TMPDIR", &scratch);
    let outcome = tool::finish(&mut command)?;
    ensure!(outcome.end == End::Exit(0), "{}", outcome.stderr_text());
    let report: Value = serde_json::from_str(&outcome.stdout_text())?;
    let files = count(&out, SIZES[2])?[1];
    let image = report["image_chunks"]["sizes"][2]["converted"]["unique_chunks"].as_u64();
    let image = image.context("no number")?;
    ensure!((files..files + 300).contains(&image), "{files} in files, {image} in clusters");
    Ok(())
}

/// Two files that share all they have, on a file system that can: they count once.
fn reflinks(case: &Case) -> Result<Done> {
    let image = case.dir.join("btrfs");
    fs::File::create(&image)?.set_len(256 << 20)?;
    let made = Command::new("mkfs.btrfs").arg("-q").arg(&image).output()?;
    ensure!(made.status.success(), "{made:?}");
    let dir = case.dir.join("mounted");
    fs::create_dir(&dir)?;
    let _mounted = match Mounted::image(&image, &dir, "loop") {
        Err(reason) => return Done::not_here(format!("{reason:#}")),
        Ok(mounted) => mounted,
    };
    let root = guest::tiny(dir.join("guest"))?;
    let (mut noise, mut state) = (Vec::new(), 1u64);
    while noise.len() < 8 << 20 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        noise.extend(state.to_le_bytes());
    }
    fs::write(root.path("etc/noise"), &noise)?;
    guest::shell(&root.dir, "cp --reflink=always etc/noise etc/again; sync -f .")?;
    let out = dir.join("out");
    tool::good(["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    let image = report(&out, &[])?["image"].take();
    let number = |value: &Value| value.as_u64().with_context(|| format!("no number in {image}"));
    let physical = &image["physical"];
    let saved = |side: &str| -> Result<i64> {
        Ok(number(&image[side]["allocated"])? as i64 - number(&physical[side])? as i64)
    };
    // Some blocks of directories and the like may be counted otherwise.
    let (slack, noise) = (1 << 20, noise.len() as i64);
    ensure!((saved("original")? - noise).abs() < slack, "{image}");
    // Converted programs may share, too.
    ensure!(saved("converted")? > noise - slack, "{image}");
    let text = tool::good(["report".as_ref(), out.as_os_str()])?;
    ensure!(text.contains("what is shared counted once"), "{text}");
    Ok(Done::Passed)
}

/// The tables together say what the JSON does.
fn csv(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let bash = case.build("answer", "three.static", &["-static"])?;
    let still = bash.parent().context("no directory")?.to_str().context("no text")?;
    root.add(&case.build("answer", "lost", &[])?, "/usr/bin/lost")?;
    fs::write(root.path("/usr/lib64/other"), fs::read(root.path("/usr/bin/one"))?)?;
    let other = case.build("answer", "other", &["-Wl,--dynamic-linker=/lib64/other"])?;
    root.add(&other, "/usr/bin/other")?;
    let out = case.dir.join("out");
    let keep_going = "--keep-going".as_ref();
    let out_option = "--out".as_ref();
    tool::good([
        "convert".as_ref(),
        root.dir.as_os_str(),
        out_option,
        out.as_os_str(),
        keep_going,
    ])?;
    let json = report(&out, &["--chunks", "--compare-static", still])?;
    let mut tables = BTreeMap::new();
    for name in
        ["programs", "summary", "directories", "libraries", "distribution", "failures", "chunks"]
    {
        let wanted = format!("--csv={name}");
        let arguments = ["report".as_ref(), out.as_os_str(), wanted.as_ref(), "--chunks".as_ref()];
        tables.insert(name, tool::good(arguments)?);
    }
    let arguments = ["report".as_ref(), out.as_os_str(), "--csv=static".as_ref()];
    let compare = ["--compare-static".as_ref(), still.as_ref()];
    tables.insert("static", tool::good(arguments.into_iter().chain(compare))?);
    let whole = |value: &Value| value.as_u64().unwrap_or_default().to_string();
    let has = |table: &str, columns: &[String]| {
        let line = columns.join(",");
        let table = &tables[table];
        ensure!(table.lines().any(|known| known.starts_with(&line)), "no {line:?} in:\n{table}");
        Ok(())
    };
    let total = &json["table"]["total"];
    let sizes = [whole(&total["original"]), whole(&total["converted"])];
    has("summary", &["total".into(), String::new(), sizes[0].clone(), sizes[1].clone()])?;
    has("directories", &["/usr/bin".into(), whole(&json["directories"]["/usr/bin"]["programs"])])?;
    let library = &json["libraries"][0];
    let path = library["path"].as_str().context("no path")?;
    has("libraries", &[path.into(), whole(&library["programs"]), whole(&library["embedded"])])?;
    has("distribution", &["1".into(), "2".into(), whole(&json["distribution"][0]["programs"])])?;
    has("failures", &["other C library,1,/usr/bin/other".into()])?;
    let row = &json["chunks"]["sizes"][0];
    let [.., zero] = reported(&row["converted"]);
    ensure!(tables["chunks"].lines().any(|line| {
        line.starts_with("file,4096,") && line.contains(&format!(",{},", zero.unwrap_or_default()))
    }));
    let pair = &json["statics"]["programs"][0];
    ensure!(pair["name"] == "/usr/bin/three", "{}", json["statics"]);
    ensure!(pair["static"].as_u64() == Some(bash.metadata()?.len()), "{pair}");
    let sums =
        ["dynamic", "static", "converted"].map(|size| whole(&json["statics"]["total"][size]));
    has("static", &["total,,".into(), sums.join(",")])?;
    for table in tables.values() {
        let commas = |line: &str| line.matches(',').count();
        let head = commas(table.lines().next().context("no line")?);
        ensure!(table.lines().all(|line| commas(line) >= head), "{table}");
    }
    Ok(())
}
