//! Tar archives for tests: packed and unpacked by GNU tar, taken to pieces, and made byte by byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Of all in an archive.
const BLOCK: usize = 512;
/// So that GNU tar keeps all that belongs to a file.
const ALL: &[&str] = &["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"];

/// Packs what is in `dir`, in the order of the names.
pub fn pack(dir: &Path, archive: &Path, flags: &[&str]) -> Result<()> {
    let mut command = Command::new("tar");
    // The older formats have no place for attributes.
    let is_pax = !flags.iter().any(|flag| flag.contains("gnu"));
    command
        .args(if is_pax { ALL } else { &["--numeric-owner"] })
        .arg("--sort=name")
        .args(flags)
        .arg("-cf")
        .arg(archive)
        .arg("-C")
        .arg(dir);
    run(command.arg("."))
}

/// Unpacks an archive into the directory `dir`, which is made if it is not there.
pub fn unpack(archive: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let mut command = Command::new("tar");
    run(command.args(ALL).args(["-p", "-xf"]).arg(archive).arg("-C").arg(dir))
}

/// Runs a command that must end well.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {said}", output.status);
    Ok(())
}

/// A member: all its headers, and its contents.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Headers with their extensions.
    pub head: Vec<u8>,
    /// The contents, without what fills the last block.
    pub contents: Vec<u8>,
}

/// Takes an archive without compression to pieces.
pub fn pieces(archive: &[u8]) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut head = Vec::new();
    let mut at = 0;
    while let Some(block) = archive.get(at..at + BLOCK).filter(|block| block[0] != 0) {
        at += BLOCK;
        let size = if block[124] & 0x80 == 0 {
            let digits = std::str::from_utf8(&block[124..135])?;
            usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8)?
        } else {
            block[128..136].iter().fold(0, |size, &byte| size << 8 | usize::from(byte))
        };
        let contents = archive.get(at..at + size).context("it is cut off")?;
        let whole = size.next_multiple_of(BLOCK);
        head.extend(block);
        if b"xgLK".contains(&block[156]) {
            head.extend(&archive[at..at + whole]);
        } else {
            pieces.push(Piece { head: std::mem::take(&mut head), contents: contents.to_vec() });
        }
        at += whole;
    }
    Ok(pieces)
}

/// A member with this name, type and link, whose header says `size` and which has `contents`.
pub fn member(name: &str, kind: u8, link: &str, size: u64, contents: &[u8]) -> Vec<u8> {
    let mut header = [0; BLOCK];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000755\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    if size < 1 << 33 {
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        header[124] = 0x80;
        header[128..136].copy_from_slice(&size.to_be_bytes());
    }
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    set_sum(&mut header);
    let mut all = header.to_vec();
    all.extend(contents);
    all.resize(all.len().next_multiple_of(BLOCK), 0);
    all
}

/// Puts the right checksum into a header.
pub fn set_sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..BLOCK].iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An archive with more members in front of its end.
pub fn with(archive: &[u8], more: &[Vec<u8>]) -> Vec<u8> {
    let end = archive.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let mut all = archive[..end.next_multiple_of(BLOCK)].to_vec();
    more.iter().for_each(|member| all.extend(member));
    all.extend([0; 2 * BLOCK]);
    all
}
