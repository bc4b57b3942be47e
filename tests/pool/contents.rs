//! What is in a pool, and what an output maps of it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use statify_elf::ElfFile;
use statify_format::manifest::{FileKind, Manifest, hex};
use statify_tests::case::{Case, Cases, run};
use statify_tests::compare::said;
use statify_tests::process::End;

use super::place::{Place, convert, expect_used, files, mapped};

pub fn add(cases: &mut Cases) {
    let mut add = |name: &str, test: fn(&Case) -> Result<()>| {
        cases.needing(&["root"]).check(&format!("contents/{name}"), test);
    };
    add("libraries-under-their-hashes", libraries);
    add("code-is-one-file's-in-all-outputs", |case| shared(case, &[]));
    add("code-is-one-file's-in-all-outputs-fixed", |case| shared(case, &["--fixed"]));
    add("outputs-do-not-depend-on-it", reproducible);
    add("what-is-damaged-is-replaced", replaced);
    add("reached-by-a-link", link);
    add("not-with-another-root", other_root);
}

/// The pool has whole libraries, readable for all; the output says which.
fn libraries(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let output = convert(case, &place.pool(), &[])?;
    let bytes = fs::read(output)?;
    let manifest = Manifest::read(&ElfFile::parse(&bytes)?).context("no manifest")?;
    ensure!(manifest.options.pool.as_deref() == Some(&place.pool()), "{:?}", manifest.options);
    let pooled = manifest.files.iter().filter(|file| file.pooled.is_some());
    let mut named = BTreeSet::new();
    for file in pooled {
        ensure!(file.kind != FileKind::Program, "the program is in it");
        let path = place.pool().join(&file.sha256);
        let (own, library) = (fs::read(&path)?, fs::read(&file.path)?);
        ensure!(own == library, "{} is not {}", path.display(), file.path.display());
        ensure!(hex(&Sha256::digest(&own)) == file.sha256, "{}", file.sha256);
        ensure!(path.metadata()?.mode() & 0o7777 == 0o444, "{:o}", path.metadata()?.mode());
        named.insert(path);
    }
    ensure!(named.len() >= 2, "loader and C library are not in it");
    let there: BTreeSet<_> = files(&place.pool())?.into_iter().collect();
    ensure!(there == named, "{there:?} are there, {named:?} are named");
    Ok(())
}

/// Two programs map the C library's code from the same inode.
fn shared(case: &Case, options: &[&str]) -> Result<()> {
    let place = Place::new()?;
    let one = convert(case, &place.pool(), options)?;
    let other = case.build("maps", "other", &["-O2"])?;
    let pool = place.pool();
    let pool = pool.to_str().context("a path that is no text")?;
    let other = case.convert(&other, &[&["--pool", pool], options].concat())?;
    let code = |program: &Path| -> Result<BTreeSet<String>> {
        let lines = mapped(&mut case.command(program), &place.pool())?;
        let code = lines.iter().filter(|line| line.contains("r-xp"));
        Ok(code.filter_map(|line| line.split_whitespace().nth(4)).map(str::to_owned).collect())
    };
    let (one, other) = (code(&one)?, code(&other)?);
    ensure!(!one.is_empty() && one == other, "{one:?}, {other:?}");
    Ok(())
}

/// Whether the pool is empty or full, the output is the same; one that is used by other ways is.
fn reproducible(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let first = fs::read(convert(case, &place.pool(), &["--force"])?)?;
    let second = fs::read(convert(case, &place.pool(), &["--force"])?)?;
    ensure!(first == second, "it differs with what is in the pool");
    Ok(())
}

/// What does not hold what its name says, or would not be taken at a start, is written again; nothing else is left there.
fn replaced(case: &Case) -> Result<()> {
    let place = Place::new()?;
    convert(case, &place.pool(), &[])?;
    let before = files(&place.pool())?;
    let contents: Vec<Vec<u8>> = before.iter().map(fs::read).collect::<Result<_, _>>()?;
    let [first, second, ..] = &before[..] else { anyhow::bail!("{before:?}") };
    let mut damaged = contents[0].clone();
    damaged[5000] ^= 1;
    fs::write(first, damaged)?;
    chown(second, Some(65534), None)?;
    fs::set_permissions(second, Permissions::from_mode(0o664))?;
    let output = convert(case, &place.pool(), &["--force"])?;
    ensure!(files(&place.pool())? == before, "other files are there now");
    for (path, contents) in before.iter().zip(&contents) {
        ensure!(fs::read(path)? == *contents, "{} is still damaged", path.display());
        let metadata = path.metadata()?;
        ensure!((metadata.uid(), metadata.mode() & 0o7777) == (0, 0o444), "{metadata:?}");
    }
    expect_used(&mut case.command(output), &place.pool())
}

/// A link that leads to the pool is followed at the conversion, not at each start.
fn link(case: &Case) -> Result<()> {
    let place = Place::new()?;
    fs::create_dir(place.pool())?;
    let link = place.path().join("link");
    std::os::unix::fs::symlink(place.pool(), &link)?;
    let output = convert(case, &link, &[])?;
    fs::remove_file(link)?;
    expect_used(&mut case.command(output), &place.pool())
}

fn other_root(case: &Case) -> Result<()> {
    let program = case.build("maps", "maps", &["-O1"])?;
    let mut command = case.statify.command::<&str>([]);
    command.arg(program).args(["-o", "out", "--root", "/", "--pool", "/var/lib/pool"]);
    let outcome = run(command.current_dir(&case.dir))?;
    ensure!(outcome.end == End::Exit(2), "{}\n{}", outcome.end, said(&outcome));
    Ok(())
}
