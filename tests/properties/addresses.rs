//! Addresses differ from start to start, unless they were to be fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::libc;
use statify_elf::ElfFile;
use statify_format::parameters::Parameters;
use statify_tests::case::{Case, Cases, output};
use statify_tests::old_kernel::refuse_calls;
use statify_tests::toolchain::Toolchain;

const STARTS: usize = 20;
/// The break has 13 bits of randomness, so that two of 20 may well be equal; five may not.
const DIFFERENT: usize = 16;

const OTHERS: [&str; 4] = ["stack", "heap", "tls", "mmap"];

pub fn add(cases: &mut Cases) {
    let mut randomly = cases.needing(&["randomisation"]);
    randomly.check("addresses/pie", |case| randomised(case, &["-O2", "-fPIE", "-pie"], true));
    randomly.check("addresses/non-pie", |case| {
        randomised(case, &["-O2", "-fno-pie", "-no-pie"], false)
    });
    for (name, flags) in [("small", &[][..]), ("large", &["-DLARGE=6000000"])] {
        cases
            .needing(&["randomisation"])
            .check(&format!("addresses/bits/{name}"), move |case| bits(case, flags));
    }
    cases
        .needing(&["randomisation"])
        .check("addresses/bits/of-a-file-that-cannot-be-read", unreadable);
    cases.needing(&["randomisation"]).check("addresses/distances", distances);
    cases.check("addresses/library-that-counts-a-distance", counted);
    cases
        .needing(&["program:ld.lld", "randomisation"])
        .check("addresses/library-of-large-alignment", aligned);
    cases.check("addresses/fixed", fixed);
    cases.check("addresses/fixed-equal-in-two-programs", fixed_equal_in_two_programs);
}

/// The modules other than the program.
fn libraries(case: &Case) -> Vec<&'static str> {
    match case.toolchain {
        Toolchain::Machine => vec!["libshared.so", "libc.so.6", "ld-linux-x86-64.so.2"],
        Toolchain::Narrow => vec!["libshared.so", "libc.so.6", "ld-linux.so.2"],
        Toolchain::Musl => vec!["libshared.so", "ld-musl-x86_64.so.1"],
    }
}

/// The addresses seen of each thing.
type Seen = BTreeMap<String, BTreeSet<String>>;

fn program(case: &Case, name: &str, flags: &[&str]) -> Result<std::path::PathBuf> {
    case.library("libshared.so", "int shared = 1;", &["-Wl,-soname,libshared.so"])?;
    let link = case.link(&["libshared.so"]);
    let flags: Vec<_> = flags.iter().copied().chain(link.iter().map(String::as_str)).collect();
    case.build("addresses", name, &flags)
}

fn starts(case: &Case, program: &Path) -> Result<Seen> {
    let mut seen = Seen::new();
    for _ in 0..STARTS {
        for line in case.output(program)?.lines() {
            let (what, address) = line.split_once(' ').context("expected a name and an address")?;
            seen.entry(what.into()).or_default().insert(address.into());
        }
    }
    Ok(seen)
}

fn count(seen: &Seen, what: &str) -> Result<usize> {
    Ok(seen.get(what).with_context(|| format!("{what} was not seen"))?.len())
}

fn differ<'a>(seen: &Seen, things: impl IntoIterator<Item = &'a str>) -> Result<()> {
    for what in things {
        let count = count(seen, what)?;
        ensure!(
            count >= DIFFERENT,
            "{what}: only {count} addresses in {STARTS} starts: {:?}",
            seen[what]
        );
    }
    Ok(())
}

fn constant<'a>(seen: &Seen, things: impl IntoIterator<Item = &'a str>) -> Result<()> {
    for what in things {
        ensure!(count(seen, what)? == 1, "{what}: addresses differ: {:?}", seen[what]);
    }
    Ok(())
}

pub fn randomised(case: &Case, flags: &[&str], program_moves: bool) -> Result<()> {
    let program = program(case, "program", flags)?;
    let seen = starts(case, &case.convert(&program, &[])?)?;
    differ(&seen, libraries(case).into_iter().chain(OTHERS))?;
    if program_moves {
        differ(&seen, ["program"])?;
    } else {
        constant(&seen, ["program"])?;
    }
    Ok(())
}

/// What is to be as random as in the original, but for two bits; and how many starts tell.
const RANDOM: [&str; 4] = ["program", "libc.so.6", "heap", "mmap"];
const MANY: usize = 60;

/// The addresses of [`RANDOM`] at each start.
fn addresses(case: &Case, program: &Path) -> Result<Vec<[u64; 4]>> {
    let start = |_| {
        let said = case.output(program)?;
        let address = |what: &&str| {
            let line = said.lines().find(|line| line.split(' ').next() == Some(what));
            let text = line.and_then(|line| line.split_once("0x")).context("no address")?.1;
            Ok(u64::from_str_radix(text, 16)?)
        };
        let all: Vec<u64> = RANDOM.iter().map(address).collect::<Result<_>>()?;
        Ok([all[0], all[1], all[2], all[3]])
    };
    (0..MANY).map(start).collect()
}

/// How many bits of the addresses are as often set as not.
fn random_bits(addresses: &[[u64; 4]], index: usize) -> usize {
    let is_random = |bit: &u32| {
        let set = addresses.iter().filter(|start| start[index] >> bit & 1 == 1).count();
        (MANY / 5..=MANY - MANY / 5).contains(&set)
    };
    (0..48).filter(is_random).count()
}

fn as_random(case: &Case, original: &Path, converted: &Path) -> Result<()> {
    let (theirs, ours) = (addresses(case, original)?, addresses(case, converted)?);
    for (index, what) in RANDOM.iter().enumerate() {
        let (theirs, ours) = (random_bits(&theirs, index), random_bits(&ours, index));
        ensure!(ours + 2 >= theirs, "{what}: {ours} random bits, in the original {theirs}");
    }
    let distances: BTreeSet<u64> = ours.iter().map(|[a, b, ..]| a.wrapping_sub(*b)).collect();
    ensure!(distances.len() == MANY, "{} distances in {MANY} starts", distances.len());
    Ok(())
}

fn bits(case: &Case, flags: &[&str]) -> Result<()> {
    let program = program(case, "program", &[&["-O2", "-fPIE", "-pie"], flags].concat())?;
    as_random(case, &program, &case.convert(&program, &[])?)
}

/// Between any two libraries.
fn distances(case: &Case) -> Result<()> {
    let program = program(case, "program", &["-O2", "-fPIE", "-pie"])?;
    for (flags, least) in [(&[][..], DIFFERENT), (&["--aslr", "kernel"], 1)] {
        let converted = case.convert(&program, &[flags, &["--force"]].concat())?;
        let mut seen: BTreeMap<(&str, &str), BTreeSet<u64>> = BTreeMap::new();
        for _ in 0..STARTS {
            let said = case.output(&converted)?;
            let address = |what: &str| {
                let line = said.lines().find(|line| line.split(' ').next() == Some(what));
                let text = line.and_then(|line| line.split_once("0x")).context("no address")?.1;
                Ok::<_, anyhow::Error>(u64::from_str_radix(text, 16)?)
            };
            let libraries = libraries(case);
            for pair in libraries.windows(2) {
                let distance = address(pair[0])?.wrapping_sub(address(pair[1])?);
                seen.entry((pair[0], pair[1])).or_default().insert(distance);
            }
        }
        for (pair, distances) in seen {
            let count = distances.len();
            let right = if least == 1 { count == 1 } else { count >= least };
            ensure!(right, "{flags:?}: {pair:?}: {count} distances in {STARTS} starts");
        }
    }
    Ok(())
}

/// A library that holds how far another lies from it (R_X86_64_PC32 in its data): they keep their distance.
fn counted(case: &Case) -> Result<()> {
    case.library("libshared.so", "int shared = 42;", &["-Wl,-soname,libshared.so"])?;
    let source = "extern int shared; \
                  __asm__(\".data\\n.balign 4\\nhere: .long shared - here\\n.text\"); \
                  extern const int here __attribute__((visibility(\"hidden\"))); \
                  int *found(void) { return (int *)((const char *)&here + here); }";
    let link = case.link(&["libshared.so"]);
    let mut flags: Vec<&str> = vec!["-Wl,-soname,libcounts.so"];
    flags.extend(link.iter().map(String::as_str));
    case.library("libcounts.so", source, &flags)?;
    let link = case.link(&["libcounts.so", "libshared.so"]);
    let mut flags: Vec<&str> = vec!["-O2"];
    flags.extend(link.iter().map(String::as_str));
    let program = case.build("counted", "program", &flags)?;
    let converted = case.convert(&program, &[])?;
    for program in [&program, &converted] {
        ensure!(case.output(program)? == "42\n", "{}", program.display());
    }
    let elf = fs::read(&converted)?;
    let groups = Parameters::read(&ElfFile::parse(&elf)?)?.groups().count();
    ensure!(groups == 1, "{groups} groups");
    Ok(())
}

/// What GNU ld makes with such an alignment is mostly a hole.
fn aligned(case: &Case) -> Result<()> {
    let flags = ["-fuse-ld=lld", "-Wl,-z,max-page-size=0x10000000", "-Wl,-soname,libaligned.so"];
    case.library("libaligned.so", "int aligned = 1;", &flags)?;
    case.library("libshared.so", "int shared = 1;", &["-Wl,-soname,libshared.so"])?;
    let link = case.link(&["libaligned.so", "libshared.so"]);
    let mut flags: Vec<&str> = vec!["-O2", "-fPIE", "-pie", "-Wl,--no-as-needed"];
    flags.extend(link.iter().map(String::as_str));
    // The others' addresses are as random as ever.
    let program = case.build("addresses", "program", &flags)?;
    as_random(case, &program, &case.convert(&program, &[])?)
}

/// Then nothing is mapped from it by its path.
fn unreadable(case: &Case) -> Result<()> {
    let program = program(case, "program", &["-O2", "-fPIE", "-pie", "-DLARGE=6000000"])?;
    let converted = case.convert(&program, &[])?;
    let mut seen = BTreeSet::new();
    for _ in 0..DIFFERENT {
        let mut command = case.command(&converted);
        refuse_calls(&mut command, &[libc::SYS_openat], libc::EACCES)?;
        let said = output(&mut command)?;
        seen.insert(said.lines().next().context("nothing was said")?.to_owned());
    }
    ensure!(seen.len() == DIFFERENT, "{seen:?}");
    Ok(())
}

pub fn fixed(case: &Case) -> Result<()> {
    let program = program(case, "program", &["-O2"])?;
    let seen = starts(case, &case.convert(&program, &["--fixed"])?)?;
    constant(&seen, libraries(case))?;
    differ(&seen, ["stack"])
}

pub fn fixed_equal_in_two_programs(case: &Case) -> Result<()> {
    let mut seen = Vec::new();
    for (name, flags) in [("first", ["-O2", "-lm"]), ("second", ["-O0", "-g"])] {
        let program = program(case, name, &flags)?;
        seen.push(starts(case, &case.convert(&program, &["--fixed"])?)?);
    }
    for library in libraries(case) {
        let (first, second) = (&seen[0][library], &seen[1][library]);
        ensure!(
            first == second,
            "{library}: at {first:?} in one program, at {second:?} in another"
        );
    }
    Ok(())
}
