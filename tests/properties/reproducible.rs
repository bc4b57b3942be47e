//! Two conversions of one program give the same bytes, whatever the circumstances.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use statify_tests::case::{Case, Cases, output};
use statify_tests::{old_kernel, sandbox};

pub fn add(cases: &mut Cases) {
    cases.check("reproducible/again", |case| with(case, &[], |_| Ok(())));
    cases.check("reproducible/fixed", |case| with(case, &["--fixed"], |_| Ok(())));
    cases.check("reproducible/other-directory", |case| {
        with(case, &[], |command| {
            command.current_dir("/");
            Ok(())
        })
    });
    cases.check("reproducible/other-environment", |case| {
        with(case, &[], |command| {
            let long = "x".repeat(5000);
            command
                .env("LONG", long)
                .env("LD_BIND_NOT", "1")
                .env("LANG", "C")
                .env("TZ", "Asia/Tokyo");
            Ok(())
        })
    });
    for limit in ["1024", "65536", "unlimited"] {
        cases.check(&format!("reproducible/stack-limit-{limit}"), move |case| {
            through(
                case,
                &["sh", "-c", &format!("ulimit -s {limit} 2>/dev/null; exec \"$@\""), "sh"],
            )
        });
    }
    cases
        .needing(&["program:setarch"])
        .check("reproducible/without-randomisation", |case| through(case, &["setarch", "-R"]));
    cases.check("reproducible/each-cpu", each_cpu);
    cases.check("reproducible/cpuid-does-not-trap", |case| {
        with(case, &[], old_kernel::without_cpuid_faulting)?;
        of(case, &chooses_by_cpuid(case)?, &[], old_kernel::without_cpuid_faulting)
    });
    cases.check("reproducible/other-inodes", other_inodes);
    cases.needing(&["root"]).check("reproducible/other-user", |case| {
        with(case, &[], |command| {
            sandbox::unprivileged(command);
            Ok(())
        })
    });
    cases.check("reproducible/two-at-once", |case| {
        let program = program(case)?;
        let convert =
            |name: &str| case.statify.convert::<&str>(&program, &case.dir.join(name), &[]);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| convert("first"));
            convert("second")?;
            other.join().map_err(|_| anyhow::anyhow!("the other conversion panicked"))?
        })?;
        same(&case.dir.join("first"), &case.dir.join("second"))
    });
}

fn program(case: &Case) -> Result<PathBuf> {
    case.build("threads", "program", &["-O2", "-pthread", "-lm"])
}

/// A program with a library whose IFUNC resolver executes CPUID by itself.
fn chooses_by_cpuid(case: &Case) -> Result<PathBuf> {
    case.library("libchoice.so", include_str!("../../fixtures/lib/ifunc-cpu.c"), &[])?;
    let link = case.link(&["libchoice.so"]);
    let flags: Vec<_> = link.iter().map(String::as_str).collect();
    case.build("choice", "choice", &flags)
}

/// Converts once plainly and once by a command that `change` has changed.
pub fn with(
    case: &Case,
    flags: &[&str],
    change: impl FnOnce(&mut Command) -> Result<()>,
) -> Result<()> {
    of(case, &program(case)?, flags, change)
}

/// The same of a program.
fn of(
    case: &Case,
    program: &Path,
    flags: &[&str],
    change: impl FnOnce(&mut Command) -> Result<()>,
) -> Result<()> {
    let plain = case.convert(program, flags)?;
    // Whoever converts must be able to write here.
    let dir = plain.with_extension("changed");
    fs::create_dir(&dir)?;
    sandbox::give_to_unprivileged(&dir)?;
    let changed = dir.join("out");
    let mut command = case.statify.command(flags);
    command.arg(program).arg("-o").arg(&changed);
    change(&mut command)?;
    output(&mut command)?;
    same(&plain, &changed)
}

/// Converts once plainly and once through the command `prefix`.
pub fn through(case: &Case, prefix: &[&str]) -> Result<()> {
    let statify = case.statify.path().to_owned();
    with(case, &[], |command| {
        let (first, rest) = prefix.split_first().context("an empty command")?;
        let mut changed = case.command(first);
        changed.args(rest).arg(statify).args(command.get_args());
        *command = changed;
        Ok(())
    })
}

/// Loaders remember the inode numbers of the files they have opened.
pub fn other_inodes(case: &Case) -> Result<()> {
    let library = case.library("libshared.so", "int shared = 1;", &["-Wl,-soname,libshared.so"])?;
    let link = case.link(&["libshared.so"]);
    let flags: Vec<_> = ["-O2"].into_iter().chain(link.iter().map(String::as_str)).collect();
    let program = case.build("shared", "program", &flags)?;
    let before = case.dir.join("before");
    fs::rename(case.convert(&program, &[])?, &before)?;
    for file in [&library, &program] {
        let copy = file.with_extension("copy");
        fs::copy(file, &copy)?;
        // The old one keeps its inode.
        fs::rename(file, file.with_extension("old"))?;
        fs::rename(copy, file)?;
    }
    same(&before, &case.convert(&program, &[])?)
}

/// The affinity is this thread's, and is inherited.
fn each_cpu(case: &Case) -> Result<()> {
    let program = program(case)?;
    let plain = case.convert(&program, &[])?;
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let cpus: Vec<_> =
        (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
    let edges = [cpus.first(), cpus.last()].into_iter().flatten();
    let result = edges.copied().try_for_each(|cpu| {
        let mut only = CpuSet::new();
        only.set(cpu)?;
        sched_setaffinity(Pid::from_raw(0), &only)?;
        let out = case.dir.join(format!("cpu-{cpu}"));
        case.statify.run(&program, &out, &["--force"])?;
        same(&plain, &out)
    });
    sched_setaffinity(Pid::from_raw(0), &allowed)?;
    result
}

pub fn same(first: &Path, second: &Path) -> Result<()> {
    let (a, b) = (fs::read(first)?, fs::read(second)?);
    let differing = a.iter().zip(&b).position(|(a, b)| a != b);
    ensure!(a.len() == b.len(), "{} bytes and {} bytes", a.len(), b.len());
    ensure!(
        differing.is_none(),
        "the bytes differ from offset {:#x} on",
        differing.unwrap_or_default()
    );
    Ok(())
}
