//! Programs that are cut short or have bits flipped: statify may convert them or refuse them, and nothing else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use goblin::elf::Elf;
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits};

use crate::bad_input::attempt::{Listing, finish, start, statify};

/// What a byte is changed by, each bit at least once: signs, low bits, everything.
const FLIPS: [u8; 3] = [0x80, 0x01, 0xff];
const SMALL: [&str; 5] =
    ["-O1", "-s", "-Wl,-z,norelro", "-Wl,-z,noseparate-code", "-Wl,--build-id=none"];
/// Tests that share the bytes of the headers, so that they can run side by side.
const PARTS: usize = 8;
/// Flips at random places behind the headers, for each of [`PARTS`] tests.
const RANDOM: usize = 50;

pub fn add(cases: &mut Cases) {
    cases.check("corrupted/truncated", truncated);
    cases.check("corrupted/library-headers", library_headers);
    for part in 0..PARTS {
        cases.check(&format!("corrupted/headers/{part}"), move |case| {
            let original = small_program(case)?;
            let end = headers_end(&original)?;
            let places = (part..end).step_by(PARTS);
            let flips = places.flat_map(|at| FLIPS.map(|flip| (at, flip)));
            each(case, &original, flips)
        });
        cases.check(&format!("corrupted/anywhere/{part}"), move |case| {
            let original = small_program(case)?;
            let end = headers_end(&original)?;
            let mut random = SplitMix(part as u64);
            let flips = (0..RANDOM).map(|_| {
                let at = end + random.below(original.len() - end);
                (at, random.below(255) as u8 + 1)
            });
            each(case, &original, flips)
        });
    }
}

/// As for programs, with a library that the program needs.
fn library_headers(case: &Case) -> Result<()> {
    let (program, library) = (case.dir.join("program"), case.dir.join("libvalue.so"));
    case.library("libvalue.so", "int value = 1;", &SMALL[1..])?;
    let link = case.link(&["libvalue.so"]);
    let flags: Vec<_> = ["-DVALUE"].into_iter().chain(link.iter().map(String::as_str)).collect();
    case.build("plain", "program", &flags)?;
    let original = fs::read(&library)?;
    let mut wrong = Vec::new();
    for at in (0..headers_end(&original)?).step_by(5) {
        let mut bytes = original.clone();
        bytes[at] ^= 0xff;
        fs::write(&library, bytes)?;
        if let Err(error) = only_converted_or_refused(case, &program) {
            wrong.push(format!("byte {at:#x}: {error:#}"));
        }
    }
    report(wrong)
}

/// A program with few and small parts, so that most bytes of it mean something.
fn small_program(case: &Case) -> Result<Vec<u8>> {
    Ok(fs::read(case.build("plain", "original", &SMALL)?)?)
}

fn headers_end(bytes: &[u8]) -> Result<usize> {
    let header = Elf::parse(bytes)?.header;
    Ok(usize::from(header.e_ehsize) + usize::from(header.e_phnum) * usize::from(header.e_phentsize))
}

/// Changes one byte at a time.
fn each(case: &Case, original: &[u8], flips: impl Iterator<Item = (usize, u8)>) -> Result<()> {
    let mut wrong = Vec::new();
    for (at, flip) in flips {
        let mut bytes = original.to_vec();
        bytes[at] ^= flip;
        if let Err(error) = only_converted_or_refused(case, &mutant(case, &bytes)?) {
            wrong.push(format!("byte {at:#x} xor {flip:#04x}: {error:#}"));
        }
    }
    report(wrong)
}

fn truncated(case: &Case) -> Result<()> {
    let original = small_program(case)?;
    let headers = headers_end(&original)?;
    let lengths =
        (0..headers).step_by(7).chain((headers..original.len()).step_by(original.len() / 100));
    let mut wrong = Vec::new();
    for length in lengths {
        if let Err(error) = only_converted_or_refused(case, &mutant(case, &original[..length])?) {
            wrong.push(format!("cut to {length} bytes: {error:#}"));
        }
    }
    report(wrong)
}

fn report(wrong: Vec<String>) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = wrong.iter().take(10).map(String::as_str).collect();
    bail!("{} cases went wrong, the first of them:\n    {}", wrong.len(), shown.join("\n    "))
}

fn mutant(case: &Case, bytes: &[u8]) -> Result<PathBuf> {
    let program = case.dir.join("mutant");
    fs::write(&program, bytes)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    Ok(program)
}

fn only_converted_or_refused(case: &Case, program: &Path) -> Result<()> {
    let before = Listing::of(&case.dir)?;
    let mut command = statify(case, program, &["--timeout", "2"]);
    let outcome = finish(case, start(case, &mut command, Limits::seconds(20))?)?;
    let message = outcome.stderr_text();
    match outcome.end {
        End::Exit(0) => remove(&case.dir.join("out"))?,
        End::Exit(1) => ensure!(message.starts_with("statify: "), "no message: {message:?}"),
        end => bail!("{end}: {message}"),
    }
    Listing::of(&case.dir)?.must_equal(&before)
}

fn remove(out: &Path) -> Result<()> {
    fs::remove_file(out).context("exit status 0 and no OUT")
}

/// The generator of Steele, Lea and Flood (2014): the same numbers in every run.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
