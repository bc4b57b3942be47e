//! The size that a self-contained file cannot avoid: the file pages that the program's modules load.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use goblin::elf::header::header64::Header;
use goblin::elf::program_header::{PT_INTERP, PT_LOAD, program_header64::ProgramHeader};

const PAGE: u64 = 4096;

/// Sum over the modules' PT_LOAD segments of their file parts in bytes, each rounded outwards to pages.
pub fn bytes(program: &Path) -> Result<u64> {
    modules(program)?.iter().map(|module| file_pages(module)).sum()
}

/// The program, its libraries and its loader, as the loader itself lists them (`LD_TRACE_LOADED_OBJECTS`, ld.so(8)).
pub fn modules(program: &Path) -> Result<Vec<PathBuf>> {
    let interpreter = interpreter(program)?;
    let output = Command::new(&interpreter)
        .arg(program)
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .output()
        .with_context(|| format!("cannot run {}", interpreter.display()))?;
    if !output.status.success() {
        bail!("{} cannot list the libraries of {}", interpreter.display(), program.display());
    }
    let listing = String::from_utf8(output.stdout).context("the loader's listing")?;
    // "name => /path (0x...)" and, for the loader, "/path (0x...)"; the vDSO has no path.
    let paths = listing.lines().filter_map(|line| {
        let line = line.rsplit_once(" (0x")?.0.trim();
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        path.starts_with('/').then(|| PathBuf::from(path))
    });
    Ok(std::iter::once(program.to_owned()).chain(paths).collect())
}

/// Reads the headers alone: the measuring process has to stay small.
fn program_headers(path: &Path) -> Result<(File, Vec<ProgramHeader>)> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let header =
        Header::from_fd(&mut file).with_context(|| format!("ELF header of {}", path.display()))?;
    let segments = ProgramHeader::from_fd(&mut file, header.e_phoff, header.e_phnum.into())
        .with_context(|| format!("program headers of {}", path.display()))?;
    Ok((file, segments))
}

fn interpreter(program: &Path) -> Result<PathBuf> {
    let (mut file, segments) = program_headers(program)?;
    let segment = segments.iter().find(|segment| segment.p_type == PT_INTERP);
    let segment = segment.with_context(|| format!("{} is not dynamic", program.display()))?;
    file.seek(SeekFrom::Start(segment.p_offset))?;
    let mut name = Vec::new();
    file.take(segment.p_filesz).read_to_end(&mut name)?;
    let name = std::ffi::CString::from_vec_with_nul(name).context("PT_INTERP")?;
    Ok(PathBuf::from(name.into_string()?))
}

fn file_pages(path: &Path) -> Result<u64> {
    let (_, segments) = program_headers(path)?;
    let loaded =
        segments.iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_filesz > 0);
    Ok(loaded.map(|segment| pages(segment.p_offset, segment.p_filesz) * PAGE).sum())
}

/// Pages that `size` bytes from `offset` on touch.
fn pages(offset: u64, size: u64) -> u64 {
    offset.saturating_add(size).div_ceil(PAGE) - offset / PAGE
}
