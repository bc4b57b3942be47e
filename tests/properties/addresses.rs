//! Addresses differ from start to start, unless they were to be fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
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
    cases.check("addresses/fixed", fixed);
    cases.check("addresses/fixed-equal-in-two-programs", fixed_equal_in_two_programs);
}

/// The modules other than the program.
fn libraries(case: &Case) -> Vec<&'static str> {
    match case.toolchain {
        Toolchain::Machine => vec!["libshared.so", "libc.so.6", "ld-linux-x86-64.so.2"],
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
