//! Stores that are damaged, forged, emptied and cleaned.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};

use super::forged::{self, Index, Record, hash, hex, put_pack};
use super::tool::{comes_back, cut, good, image, noise, refused, run};

const NOTHING: [&str; 0] = [];

pub fn add(cases: &mut Cases) {
    cases.check("store/damaged-packs", damaged_packs);
    cases.check("store/damaged-indexes", damaged_indexes);
    cases.check("store/forged-indexes", forged_indexes);
    cases.check("store/bombs", bombs);
    cases.check("store/of-somebody-else", of_somebody_else);
    cases.check("gc/keeps-what-is-needed", gc);
}

/// A store of one image, which is returned as well.
fn small(case: &Case) -> Result<(PathBuf, PathBuf)> {
    let store = case.dir.join("store");
    let path = image(&case.dir.join("image"), 1 << 20, &[(0, &noise(7, 500_000))])?;
    cut(&path, &store, &["--chunk", "16K"])?;
    Ok((store, path))
}

fn only(dir: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(dir)?;
    let first = entries.next().context("nothing is there")??;
    ensure!(entries.next().is_none(), "more than one is there");
    Ok(first.path())
}

/// Whatever happens to a pack: a sentence that names it, and no byte that is wrong.
fn damaged_packs(case: &Case) -> Result<()> {
    let (store, path) = small(case)?;
    let pack = only(&store.join("packs"))?;
    let bytes = fs::read(&pack)?;
    let middle = bytes.len() / 2;
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        bytes
    };
    let damages: [(&str, Vec<u8>, bool); 6] = [
        ("a bit of a chunk", flipped(middle), true),
        ("a bit of the header", flipped(3), false),
        ("a bit of an entry", flipped(20), false),
        ("cut off", bytes[..middle].to_vec(), true),
        ("empty", Vec::new(), true),
        ("something else", noise(8, bytes.len()), true),
    ];
    for (what, damaged, is_seen) in damages {
        fs::write(&pack, damaged)?;
        refused("verify", NOTHING, &store, "the pack").with_context(|| what.to_owned())?;
        if is_seen {
            refused("cat", ["image"], &store, "damaged").with_context(|| what.to_owned())?;
        }
    }
    // Cut again, the damaged pack would still be there.
    refused("verify", ["--remove"], &store, "the pack")?;
    ensure!(!pack.exists());
    refused("cat", ["image"], &store, "the pack")?;
    refused("verify", NOTHING, &store, "missing or damaged")?;
    // Cut again, everything is there again.
    cut(&path, &store, &["--chunk", "16K", "--replace"])?;
    comes_back(&path, "image", &store, &case.dir)?;
    good("verify", NOTHING, &store)?;
    Ok(())
}

fn damaged_indexes(case: &Case) -> Result<()> {
    let (store, path) = small(case)?;
    let index = only(&store.join("indexes"))?;
    let bytes = fs::read(&index)?;
    for at in [0, 9, 13, 30, 60, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&index, damaged)?;
        for (verb, arguments) in
            [("cat", &["image"][..]), ("ls", &[]), ("verify", &[]), ("gc", &[])]
        {
            refused(verb, arguments, &store, "damaged")?;
        }
    }
    fs::write(&index, &bytes[..bytes.len() / 2])?;
    refused("cat", ["image"], &store, "damaged")?;
    // The index of another image in its place.
    fs::write(&index, &bytes)?;
    let other = image(&case.dir.join("other"), 5000, &[(0, b"other")])?;
    cut(&other, &store, &[])?;
    for entry in fs::read_dir(store.join("indexes"))? {
        fs::write(entry?.path(), &bytes)?;
    }
    refused("cat", ["other"], &store, "another image")?;
    comes_back(&path, "image", &store, &case.dir)
}

/// Indexes with a hash that is right and contents that are not.
fn forged_indexes(case: &Case) -> Result<()> {
    let (store, path) = small(case)?;
    let chunk = Record { name: [7; 32], pack: 0, offset: 64, stored: 100, len: 65536 };
    let good_one = Index::of_one(chunk, [9; 32]);
    let forged = |change: &dyn Fn(&mut Index)| {
        let mut index = good_one.clone();
        change(&mut index);
        index
    };
    for (index, words) in [
        (forged(&|index| index.count = Some(1 << 40)), "cut off"),
        (forged(&|index| (index.count, index.image_len) = (Some(1 << 40), 1 << 56)), "cut off"),
        (forged(&|index| index.image_len = 1 << 56), "size"),
        (forged(&|index| index.positions = vec![5]), "not there"),
        (forged(&|index| index.packs.clear()), "no pack"),
        (forged(&|index| index.chunks[0].stored = u32::MAX), "no pack"),
        (forged(&|index| index.chunks[0].len = 1 << 30), "size"),
        (forged(&|index| index.chunk_size = 1 << 30), "chunk size"),
        (forged(&|index| index.chunk_size = 0), "chunk size"),
        (forged(&|index| (index.chunk_size, index.bounds) = (0, [1, 2, 3])), "chunk size"),
        (
            forged(&|index| {
                (index.chunk_size, index.bounds) = (0, [1024, 65536, 65536]);
                (index.positions, index.holes) = (vec![0, u32::MAX], vec![u64::MAX]);
            }),
            "size",
        ),
    ] {
        index.put("image", &store)?;
        refused("cat", ["image"], &store, words)?;
    }
    // One that has itself for a pack.
    good_one.put("image", &store)?;
    fs::write(store.join("packs").join(hex(&[9; 32])), good_one.to_bytes("image"))?;
    refused("cat", ["image"], &store, "damaged")?;
    refused("verify", NOTHING, &store, "damaged")?;
    refused("verify", ["--remove"], &store, "damaged")?;
    // The image cut again is there again.
    cut(&path, &store, &["--chunk", "16K", "--replace"])?;
    comes_back(&path, "image", &store, &case.dir)?;
    good("verify", NOTHING, &store)?;
    Ok(())
}

/// Chunks that become much larger than they say.
fn bombs(case: &Case) -> Result<()> {
    let (store, _) = small(case)?;
    let bomb = zstd::bulk::compress(&vec![0; 512 << 20], 1)?;
    ensure!(bomb.len() < 1 << 20);
    let name = hash(&[0; 65536]);
    let pack = put_pack(&forged::pack(name, 65536, &bomb), &store)?;
    let chunk = Record { name, pack: 0, offset: 64, stored: bomb.len() as u32, len: 65536 };
    Index::of_one(chunk, pack).put("bomb", &store)?;
    let since = std::time::Instant::now();
    refused("cat", ["bomb"], &store, "cannot be decompressed to its size")?;
    refused("verify", NOTHING, &store, "is not what its name says")?;
    ensure!(since.elapsed().as_secs() < 5, "{:?}", since.elapsed());
    Ok(())
}

fn of_somebody_else(case: &Case) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let (store, path) = small(case)?;
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777))?;
    refused("cut", [&path], &store, "machines boot from what is in it")?;
    refused("cat", ["image"], &store, "machines boot from what is in it")
}

fn gc(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    let one = image(&case.dir.join("one"), 1 << 20, &[(0, &noise(1, 1 << 20))])?;
    let two = image(&case.dir.join("two"), 1 << 20, &[(0, &noise(2, 1 << 20))])?;
    for path in [&one, &two] {
        cut(path, &store, &[])?;
    }
    good("rm", ["one"], &store)?;
    // What is replaced stays for as long as what is removed.
    cut(&one, &store, &["--index", "two", "--replace"])?;
    ensure!(good("gc", NOTHING, &store)?.starts_with("0 packs removed, 1 needed, 1 not"));
    cut(&two, &store, &["--replace"])?;
    ensure!(run("cat", ["one"], &store)?.stderr_text().contains("no index"));
    ensure!(good("gc", NOTHING, &store)?.starts_with("0 packs removed, 1 needed, 1 not"));
    ensure!(good("gc", ["--keep", "0"], &store)?.starts_with("1 packs removed, 1 needed"));
    comes_back(&two, "two", &store, &case.dir)?;
    ensure!(cut(&one, &store, &[])?["new_chunks"] == 16);
    comes_back(&one, "one", &store, &case.dir)?;
    good("verify", NOTHING, &store)?;
    Ok(())
}
