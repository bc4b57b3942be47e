//! Fixtures, plugins and privileged programs on AArch64: built, run, converted and compared in an emulated machine with a kernel of its
//! own, by the same code as here. One boot for each CPU, and for a kernel with larger pages. And the tools, and the libraries'
//! own tests.

mod pages;
mod tools;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use statify_tests::arm64::{Guest, KERNEL, KERNEL_16K, programs};
use statify_tests::case::{Case, Cases};
use statify_tests::cross::AARCH64;

/// What is run on the CPU that has everything: something of each kind of what a start and a conversion consist of.
const FIXTURES: &[&str] = &[
    "argv",
    "auxv-program-headers",
    "auxv-random",
    "constructor-order",
    "copy-relocation-libc",
    "cpu-choices",
    "cxx-exception-library",
    "cxx-iostream-early",
    "dependency-chain",
    "dlopen-guarded-code",
    "dlopen-plugin",
    "dlopen-same-libc",
    "environ",
    "exec-self",
    "fork-from-thread",
    "hello",
    "ifunc-library",
    "ifunc-program",
    "interposition",
    "malloc-wrapper",
    "refuse-static",
    "relro",
    "rseq",
    "setjmp",
    "signal-segv",
    "symbol-versions",
    "thread-keys",
    "tls-general-dynamic",
    "tls-initial-exec",
    "tls-plugin",
    "unwind-signal",
];

/// What depends on the CPU: what the C library chooses for it, what saves registers, and what says what it is.
const OF_CPU: &[&str] = &[
    "auxv-stack",
    "cpu-choices",
    "cxx-exception-library",
    "dlopen-guarded-code",
    "dlopen-plugin",
    "hello",
    "ifunc-library",
    "ifunc-program",
    "setjmp",
    "string-functions",
    "tls-general-dynamic",
];

/// QEMU's names, and what is run on each: v8.0 (two cores of small boards), v8.2, and all that can be emulated (with tags,
/// signed pointers and SVE).
const CPUS: [(&str, &[&str]); 4] =
    [("cortex-a53", OF_CPU), ("cortex-a72", OF_CPU), ("neoverse-n1", OF_CPU), ("max", FIXTURES)];

/// What depends on the size of pages: converted and run where they have 16 KiB.
const OF_PAGES: &[&str] = &[
    "align-64k",
    "cxx-exception-library",
    "dlopen-plugin",
    "hello",
    "ifunc-library",
    "page-size",
    "program-break",
    "relro",
    "stack-deep",
    "thread-attributes",
    "tls-general-dynamic",
    "unwind-signal",
];

/// Longer than all of it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(2400);

/// Adds them.
pub fn add(cases: &mut Cases) {
    let needs = [
        "arm64-guest",
        "aarch64-cc",
        "aarch64-rust",
        "program:qemu-system-aarch64",
        "program:mke2fs",
    ];
    for (cpu, fixtures) in CPUS {
        cases.needing(&needs).check(&format!("fixtures/{cpu}"), move |case| {
            let wanted = format!("TEST_FIXTURES={}", shell_words::quote(&fixtures.join(" ")));
            // A fixture that says nothing of this machine leaves its variants out.
            check(case, (cpu, KERNEL), &wanted, &[], fixtures.len() * 3 / 4)
        });
    }
    cases.needing(&needs).check("fixtures/16k", |case| {
        let wanted = format!("TEST_FIXTURES={}", shell_words::quote(&OF_PAGES.join(" ")));
        check(case, ("max", KERNEL_16K), &wanted, &[], OF_PAGES.len() * 3 / 4)
    });
    cases.needing(&needs).check("pages", pages::larger);
    cases
        .needing(&needs)
        .check("privileges", |case| check(case, ("max", KERNEL), "", &["privileges/"], 55));
    // What is left out are programs that the guest has not, or that `pages` has.
    cases.needing(&needs).check("plugins", |case| {
        let chosen = ["plugins/", "--skip", "plugins/demonstrations", "--skip", "plugins/refused"];
        check(case, ("max", KERNEL), "", &chosen, 28)
    });
    cases.needing(&needs).check("tools", tools::at_work);
    cases.needing(&needs).check("units", units);
}

/// The tests within the libraries in which AArch64 has code of its own, run there.
fn units(case: &Case) -> Result<()> {
    let mut guest = Guest::locate().context("TEST_ARM64")?;
    guest.time = PATIENCE;
    let (files, machine) = (case.dir.join("files"), case.dir.join("machine"));
    fs::create_dir(&files)?;
    fs::create_dir(&machine)?;
    let mut script = String::from("cd /tmp\n");
    for (package, library) in [("statify-elf", "statify_elf"), ("statify-convert", "statify")] {
        fs::copy(AARCH64.build_tests(package, library)?, files.join(library))?;
        script += &format!("/files/{library} || exit\n");
    }
    let answer = guest.run(&script, &files, &case.dir.join("out"), &machine)?;
    ensure!(answer.status == 0, "{}\n{}", answer.stdout, answer.stderr);
    let passed = Regex::new(r"(?m)^test result: ok\. \d\d+ passed")?;
    ensure!(passed.find_iter(&answer.stdout).count() == 2, "{}", answer.stdout);
    // What only the table of machines runs there is built, at least.
    AARCH64.build("statify-tests", "c-libraries")?;
    Ok(())
}

/// Runs the tests that `chosen` selects, as arguments of `cargo test`, with such variables. So many at least must pass, and all
/// that run.
fn check(
    case: &Case,
    (cpu, kernel): (&str, &str),
    variables: &str,
    chosen: &[&str],
    least: usize,
) -> Result<()> {
    let mut guest = Guest::locate().context("TEST_ARM64")?;
    (guest.cpu, guest.kernel, guest.time) = (cpu.into(), kernel.into(), PATIENCE);
    let files = case.dir.join("files");
    let commands = [("statify-convert", "statify"), ("statify-tests", "portable")];
    let prepare = programs::gather(&commands, &files)?;
    let chosen = chosen.join(" ");
    let script = format!(
        "{prepare}STATIFY=/files/statify {variables} exec /files/portable --test-threads 2 {chosen}"
    );
    let machine = case.dir.join("machine");
    fs::create_dir(&machine)?;
    let answer = guest.run(&script, &files, &case.dir.join("out"), &machine)?;
    let said = format!("{}\n{}", answer.stdout, answer.stderr);
    ensure!(answer.status == 0, "exit status {} of the guest's tests:\n{said}", answer.status);
    let passed = Regex::new(r"test result: ok\. (\d+) passed")?
        .captures(&answer.stdout)
        .and_then(|found| found[1].parse::<usize>().ok())
        .with_context(|| format!("the guest's tests say nothing of a result:\n{said}"))?;
    ensure!(passed >= least, "only {passed} tests passed:\n{said}");
    Ok(())
}
