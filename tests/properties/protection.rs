//! No page is ever writable and executable, and what can be read-only is read-only, for good.

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::compare::said;
use statify_tests::maps::{self, Mapping};
use statify_tests::process::End;
use statify_tests::tracer::step_by_syscall;

pub fn add(cases: &mut Cases) {
    let variants: [(&str, &[&str], &[&str]); 5] = [
        ("pie", &["-fPIE", "-pie"], &[]),
        ("non-pie", &["-fno-pie", "-no-pie"], &[]),
        ("fixed", &["-fPIE", "-pie"], &["--fixed"]),
        ("lazy", &["-Wl,-z,lazy"], &[]),
        ("executable-stack", &["-Wl,-z,execstack"], &[]),
    ];
    for (name, build, convert) in variants {
        cases.check(&format!("protection/never-writable-and-executable/{name}"), move |case| {
            never_writable_and_executable(case, build, convert)
        });
    }
    cases.check("protection/never-writable-and-executable/violation-is-seen", violation_is_seen);
    for (name, build, convert) in &variants[..4] {
        cases.check(&format!("protection/relro/{name}"), |case| relro(case, build, convert));
    }
    for (name, convert) in [("randomised", &[][..]), ("fixed", &["--fixed"])] {
        cases.check(&format!("protection/bound-slots-read-only/{name}"), |case| {
            bound_slots(case, convert)
        });
        cases
            .needing(&["mseal"])
            .check(&format!("protection/sealed/{name}"), |case| sealed(case, convert));
    }
}

pub fn never_writable_and_executable(case: &Case, build: &[&str], convert: &[&str]) -> Result<()> {
    let stack_may = build.contains(&"-Wl,-z,execstack");
    // Threads of such a program have executable stacks, too, which look like any other memory.
    let source = if stack_may { "guards" } else { "threads" };
    let program = case.build(source, "program", &[&["-O2", "-pthread"], build].concat())?;
    let found = writable_and_executable(case, &case.convert(&program, convert)?, stack_may)?;
    ensure!(found.is_empty(), "{found:x?}");
    Ok(())
}

/// A program that has such a page between two system calls must be found out.
fn violation_is_seen(case: &Case) -> Result<()> {
    let program = case.build("threads", "program", &["-O2", "-pthread", "-DVIOLATE"])?;
    let found = writable_and_executable(case, &program, false)?;
    ensure!(!found.is_empty(), "not seen");
    Ok(())
}

/// The pages of `program` that are writable and executable at any time, its stack left out if it may be so.
fn writable_and_executable(case: &Case, program: &Path, stack_may: bool) -> Result<Vec<Mapping>> {
    let mut command = case.command(program);
    command.stdout(Stdio::null());
    let (mut looks, mut found) = (0, Vec::new());
    let end = step_by_syscall(&mut command, Duration::from_secs(30), |pid| {
        // A thread that is being killed has no mappings any more.
        let mappings = maps::of(pid).unwrap_or_default();
        looks += usize::from(!mappings.is_empty());
        found.extend(mappings.into_iter().filter(|mapping| {
            mapping.is_writable_and_executable() && !(stack_may && mapping.name == "[stack]")
        }));
        Ok(())
    })?;
    ensure!(end == End::Exit(0), "the program under the tracer: {end}");
    // exec, a few calls of the starter, an exit: fewer looks mean that the tracer saw nothing.
    ensure!(looks > 10, "the tracer looked only {looks} times");
    Ok(found)
}

pub fn relro(case: &Case, build: &[&str], convert: &[&str]) -> Result<()> {
    let program = case.build("relro", "relro", &[&["-O2", "-Wl,-z,relro"], build].concat())?;
    must_end_well(case, &program, "the original")?;
    must_end_well(case, &case.convert(&program, convert)?, "the converted program")
}

fn must_end_well(case: &Case, program: &Path, who: &str) -> Result<()> {
    let outcome = case.run(program)?;
    ensure!(outcome.end == End::Exit(0), "{who}: {}\n{}", outcome.end, said(&outcome));
    Ok(())
}

/// A library that calls so many of its own functions through its procedure linkage table that the slots fill pages. It is
/// linked for lazy binding, so that no PT_GNU_RELRO covers them.
pub fn bound_slots(case: &Case, convert: &[&str]) -> Result<()> {
    let functions = 1300;
    let (mut text, mut calls) = (String::new(), String::new());
    for number in 0..functions {
        writeln!(text, "int f{number}(void) {{ return {number}; }}")?;
        write!(calls, "+ f{number}()")?;
    }
    writeln!(text, "int call_all(void) {{ return 0 {calls}; }}")?;
    case.library("libmany.so", &text, &["-Wl,-z,lazy", "-Wl,-z,norelro"])?;
    let sum = format!("-DSUM={}", (0..functions).sum::<i32>());
    let mut flags = vec!["-O2".to_owned(), sum, "-Wl,-z,lazy".into()];
    flags.extend(case.link(&["libmany.so"]));
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let program = case.build("slots", "slots", &flags)?;
    let original = case.run(&program)?;
    ensure!(
        original.end == End::Exit(1),
        "the original's slots were to be writable: {}",
        original.end
    );
    must_end_well(case, &case.convert(&program, convert)?, "the converted program")
}

pub fn sealed(case: &Case, convert: &[&str]) -> Result<()> {
    let program = case.build("sealed", "sealed", &["-O2"])?;
    must_end_well(case, &case.convert(&program, convert)?, "the converted program")
}
