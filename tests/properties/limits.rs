//! Resource limits: a converted program lives where its original does.

use std::os::unix::process::CommandExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use statify_tests::case::{Case, Cases, run};
use statify_tests::process::End;

/// Limits are found to this many bytes.
const STEP: u64 = 4 << 10;
/// Enough for everything here, and where the search for the least begins.
const PLENTY: u64 = 256 << 20;

/// What a converted program may need beyond its original, in bytes, and why.
const LIMITS: &[(&str, Resource, u64)] = &[
    // The starter and its tables; what the loader's memory leaves free among the libraries' addresses.
    ("address-space", Resource::RLIMIT_AS, 320 << 10),
    // Read-only data is mapped writable together with what is patched, and made read-only then:
    // for each library up to 1 MiB (Linux counts such pages from 4.7 on).
    ("data", Resource::RLIMIT_DATA, 1 << 20),
    ("stack", Resource::RLIMIT_STACK, 0),
];

pub fn add(cases: &mut Cases) {
    for (form, flags) in [
        ("pie", &["-O2", "-pthread"][..]),
        ("non-pie", &["-O2", "-pthread", "-fno-pie", "-no-pie"]),
    ] {
        for (name, resource, allowance) in LIMITS {
            cases.check(&format!("limits/{name}/{form}"), move |case| {
                least(case, flags, *resource, *allowance)
            });
        }
        cases.check(&format!("limits/stack-unlimited/{form}"), move |case| {
            let program = case.build("works", "program", flags)?;
            for options in [&[][..], &["--fixed"]] {
                let converted = case.dir.join(format!("converted{}", options.len()));
                case.statify.convert(&program, &converted, options)?;
                let end = works(case, &converted, Resource::RLIMIT_STACK, RLIM_INFINITY)?;
                ensure!(end == End::Exit(0), "{end} {options:?}");
            }
            Ok(())
        });
    }
}

fn works(case: &Case, program: &Path, resource: Resource, limit: u64) -> Result<End> {
    let mut command = case.command(program);
    // SAFETY: setrlimit(2) only, between fork and exec.
    unsafe {
        command.pre_exec(move || Ok(setrlimit(resource, limit, limit)?));
    }
    // Where not even the exec succeeds, there is nothing to see of the program.
    Ok(run(&mut command).map_or(End::Exit(126), |outcome| outcome.end))
}

/// The least limit with which `program` works.
fn least_limit(case: &Case, program: &Path, resource: Resource) -> Result<u64> {
    let (mut fails, mut suffices) = (0, PLENTY);
    let end = works(case, program, resource, suffices)?;
    ensure!(end == End::Exit(0), "{end} with {suffices} bytes");
    while suffices - fails > STEP {
        let middle = (fails + suffices) / 2;
        match works(case, program, resource, middle)? {
            End::Exit(0) => suffices = middle,
            _ => fails = middle,
        }
    }
    Ok(suffices)
}

fn least(case: &Case, flags: &[&str], resource: Resource, allowance: u64) -> Result<()> {
    let program = case.build("works", "program", flags)?;
    let converted = case.convert(&program, &[])?;
    let original = least_limit(case, &program, resource).context("the original")?;
    let limit = (original + allowance).next_multiple_of(STEP) + STEP;
    let end = works(case, &converted, resource, limit)?;
    ensure!(
        end == End::Exit(0),
        "{end} with {limit} bytes; the original needs {original}, the converted program {}",
        least_limit(case, &converted, resource)?
    );
    Ok(())
}
