//! What a start asks of the CPU, and what it says to one that does not suffice.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use statify_tests::builder;
use statify_tests::convert::Statify;
use statify_tests::machine;
use statify_tests::process::{self, End, Limits, Outcome};
use statify_tests::report::Done;

use crate::cpus::Subject;
use crate::cpus::emulated::{on, said_by_program};

fn compiled(dir: &Path, flags: &[&str]) -> Result<PathBuf> {
    let (source, program) = (dir.join("hello.c"), dir.join("hello"));
    std::fs::write(&source, "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n")?;
    builder::compile_by(builder::compiler(false), &[&source], &program, flags)?;
    Ok(program)
}

/// On the CPU that the output was prepared for.
pub fn cpuid_at_most_twice(statify: &Statify, dir: &Path, _: &Subject) -> Result<Done> {
    let original = compiled(dir, &[])?;
    let converted = dir.join("converted");
    statify.convert(&original, &converted, &[] as &[&str])?;
    let (before, after) = (executed_cpuids(&original)?, executed_cpuids(&converted)?);
    ensure!(before > 2, "the original executes it {before} times: this shows nothing");
    ensure!(after <= 2, "{after} times");
    Ok(Done::Passed)
}

/// A library that lies in glibc-hwcaps as well is for CPUs of that level: what is embedded is the
/// one for all.
pub fn no_hwcaps_directories(statify: &Statify, dir: &Path, _: &Subject) -> Result<Done> {
    if machine::glibc().is_none_or(|version| version < (2, 33)) {
        return Done::not_here("this glibc has no glibc-hwcaps");
    }
    if !std::arch::is_x86_feature_detected!("sse4.2") {
        return Done::not_here("this CPU is none of x86-64-v2");
    }
    let source = dir.join("library.c");
    std::fs::create_dir_all(dir.join("glibc-hwcaps/x86-64-v2"))?;
    for (text, file) in [("all", "libx.so"), ("v2", "glibc-hwcaps/x86-64-v2/libx.so")] {
        std::fs::write(&source, format!("const char *whose(void) {{ return \"{text}\"; }}\n"))?;
        let flags = ["-shared", "-fPIC", "-Wl,-soname,libx.so"];
        builder::compile_by(builder::compiler(false), &[&source], &dir.join(file), flags)?;
    }
    let (program, main) = (dir.join("program"), dir.join("main.c"));
    let text = "#include <stdio.h>\nconst char *whose(void);\nint main(void) { puts(whose()); }\n";
    std::fs::write(&main, text)?;
    let path = dir.display();
    let flags = [format!("-L{path}"), "-lx".into(), format!("-Wl,-rpath,{path}")];
    builder::compile_by(builder::compiler(false), &[&main], &program, &flags)?;
    let converted = dir.join("converted");
    statify.convert(&program, &converted, &[] as &[&str])?;
    for (program, expected) in [(&program, "v2\n"), (&converted, "all\n")] {
        let said = process::run(&mut Command::new(program), b"", Limits::seconds(30))?;
        ensure!(said.stdout_text() == expected, "{}: {}", program.display(), said.stdout_text());
    }
    Ok(Done::Passed)
}

/// How often a program executes CPUID, counted by stepping through all of it.
fn executed_cpuids(program: &Path) -> Result<usize> {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let pid = Pid::from_raw(command.spawn()?.id().cast_signed());
    let mut count = 0;
    loop {
        match waitpid(pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                let at = ptrace::getregs(pid)?.rip;
                let word = ptrace::read(pid, at as ptrace::AddressType).unwrap_or_default();
                count += usize::from(word.to_le_bytes()[..2] == [0x0f, 0xa2]);
                ptrace::step(pid, None)?;
            }
            WaitStatus::Stopped(_, signal) => ptrace::step(pid, signal)?,
            WaitStatus::Exited(_, 0) => return Ok(count),
            status => bail!("{status:?}"),
        }
    }
}

fn refused(outcome: &Outcome) -> Result<()> {
    let text = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(127), "{}: {text}", outcome.end);
    ensure!(text.lines().count() == 1 && text.contains("CPU"), "not one sentence: {text}");
    Ok(())
}

fn run_on(model: &str, program: &Path) -> Result<Outcome> {
    let mut command = on(model, &Command::new(program));
    Ok(said_by_program(process::run(&mut command, b"", Limits::seconds(30))?))
}

/// `--cpu native`.
pub fn native_says_so_elsewhere(statify: &Statify, dir: &Path, _: &Subject) -> Result<Done> {
    if !std::arch::is_x86_feature_detected!("avx2") {
        return Done::not_here("this CPU has nothing that the emulated one lacks");
    }
    let converted = dir.join("converted");
    statify.convert(&compiled(dir, &[])?, &converted, &["--cpu", "native"])?;
    let here = process::run(&mut Command::new(&converted), b"", Limits::seconds(30))?;
    ensure!(here.end == End::Exit(0), "here: {}", here.end);
    refused(&run_on("Nehalem", &converted)?)?;
    Ok(Done::Passed)
}

/// A program that says that it needs x86-64-v3.
pub fn under_its_floor(statify: &Statify, dir: &Path, _: &Subject) -> Result<Done> {
    if !std::arch::is_x86_feature_detected!("avx2") {
        return Done::not_here("this CPU is none of x86-64-v3");
    }
    let Ok(original) = compiled(dir, &["-Wl,-z,x86-64-v3"]) else {
        return Done::not_here("the linker does not mark programs");
    };
    let converted = dir.join("converted");
    statify.convert(&original, &converted, &[] as &[&str])?;
    ensure!(run_on("Haswell-noTSX", &converted)?.end == End::Exit(0), "on Haswell");
    ensure!(run_on("Nehalem", &original)?.end != End::Exit(0), "the original runs on Nehalem");
    refused(&run_on("Nehalem", &converted)?)?;
    Ok(Done::Passed)
}
