//! Outputs share the pages of their libraries, with each other and with the libraries' files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use statify_elf::{ElfFile, PAGE};
use statify_format::manifest::{EmbeddedFile, FileKind, Manifest};
use statify_tests::case::{Case, Cases};

pub fn add(cases: &mut Cases) {
    cases.check("sharing/libraries-of-unlike-programs", |case| unlike(case, &[]));
    cases.check("sharing/libraries-of-unlike-programs-fixed", |case| unlike(case, &["--fixed"]));
    cases.check("sharing/own-pages-are-few", own_pages);
    cases.check("sharing/aligned-with-holes", holes);
}

/// Two programs that have nothing in common but the C library: thread-local variables, a library more, and what the loader
/// keeps of both differ.
fn unlike(case: &Case, options: &[&str]) -> Result<()> {
    let small = case.convert(&case.build("works", "small", &[])?, options)?;
    let (_, small) = read(&small)?;
    let large = case.convert(&large(case)?, options)?;
    let (_, large) = read(&large)?;
    for path in small.files.iter().skip(1).map(|file| &file.path) {
        let hash = |manifest: &Manifest| {
            let file = manifest.files.iter().find(|file| file.path == *path);
            file.map(|file| file.stored_blake3.clone()).context("it has another C library")
        };
        ensure!(hash(&small)? == hash(&large)?, "{} is stored in two ways", path.display());
    }
    Ok(())
}

fn large(case: &Case) -> Result<std::path::PathBuf> {
    let source = "__thread int counts[1000] = {1}; int *more(void) { return counts; }";
    case.library("libmore.so.1", source, &["-Wl,-soname,libmore.so.1"])?;
    let link = case.link(&["libmore.so.1"]);
    let link: Vec<_> =
        link.iter().map(String::as_str).chain(["-Wl,--no-as-needed", "-lm"]).collect();
    case.build("threads", "large", &[&["-O2", "-pthread"], &link[..]].concat())
}

fn read(output: &Path) -> Result<(Vec<u8>, Manifest)> {
    let bytes = fs::read(output)?;
    let manifest = Manifest::read(&ElfFile::parse(&bytes)?).context("no manifest")?;
    Ok((bytes, manifest))
}

/// Of the program and the loader's memory, pages that are not those of the program's file.
fn own_pages(case: &Case) -> Result<()> {
    let program = case.build("works", "small", &[])?;
    let (bytes, manifest) = read(&case.convert(&program, &[])?)?;
    let original = fs::read(program)?;
    ensure!(manifest.memory.iter().all(|memory| memory.stored_at.is_none()), "{manifest:?}");
    let file = manifest.files.first().context("no program")?;
    for memory in &file.memory {
        let (Some(at), Some(from)) = (memory.stored_at, memory.file_offset) else { continue };
        for page in (0..memory.size).step_by(PAGE as usize) {
            let stored = &bytes[(at + page) as usize..][..PAGE as usize];
            let mut plain = vec![0; PAGE as usize];
            let rest = original.get((from + page) as usize..).unwrap_or_default();
            let len = rest.len().min(PAGE as usize);
            plain[..len].copy_from_slice(&rest[..len]);
            ensure!(stored == plain, "the page at {:#x} is the output's own", from + page);
        }
    }
    Ok(())
}

/// Each library begins at its multiple, and what is between them takes no room on the disk.
fn holes(case: &Case) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    const ALIGN: u64 = 256 << 10;
    let program = case.build("works", "small", &[])?;
    let plain = case.convert(&program, &[])?;
    let aligned = case.dir.join("aligned");
    case.statify.convert::<&str>(&program, &aligned, &["--align", &ALIGN.to_string()])?;
    let (_, manifest) = read(&aligned)?;
    let libraries = manifest.files.iter().filter(|file| file.kind != FileKind::Program);
    let start =
        |file: &EmbeddedFile| file.memory.iter().filter_map(|memory| memory.stored_at).min();
    for file in libraries {
        ensure!(start(file).is_some_and(|at| at % ALIGN == 0), "{}", file.path.display());
    }
    let blocks = |path: &Path| Ok::<_, std::io::Error>(path.metadata()?.blocks() * 512);
    let (plain, aligned) = (blocks(&plain)?, blocks(&aligned)?);
    ensure!(aligned <= plain + (64 << 10), "{plain} bytes on the disk, and {aligned} aligned");
    Ok(())
}
