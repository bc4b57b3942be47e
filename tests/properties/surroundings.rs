//! A converted program runs where there is nothing but itself.

use std::fs;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::process::End;
use statify_tests::sandbox;

use crate::properties::shape::many_libraries;

pub fn add(cases: &mut Cases) {
    for (name, flags) in [("randomised", &[][..]), ("fixed", &["--fixed"])] {
        cases
            .needing(&["userns"])
            .check(&format!("surroundings/empty-root/{name}"), |case| empty_root(case, flags));
    }
    cases.needing(&["userns"]).check("surroundings/read-only-file-system", read_only);
    cases.check("surroundings/wherever-the-vdso-lands", wherever_the_vdso_lands);
    cases.needing(&["mdwe"]).check("surroundings/nothing-may-become-executable", hardened);
    cases.check("surroundings/unprivileged-user", unprivileged);
    cases.check("surroundings/converted-by-an-unprivileged-user", converted_by_unprivileged);
}

/// The program checks that neither /proc nor /dev is there, starts a thread, and says so.
pub fn empty_root(case: &Case, flags: &[&str]) -> Result<()> {
    let program = case.build("alone", "alone", &["-O2", "-pthread"])?;
    let converted = case.convert(&program, flags)?;
    let root = case.dir.join("root");
    fs::create_dir(&root)?;
    fs::copy(converted, root.join("alone"))?;
    let said = output(&mut sandbox::in_root(&root, "alone"))?;
    ensure!(said == "alone\n", "it said {said:?}");
    Ok(())
}

/// Data aligned to more than a page leaves holes in and between modules, and the kernel, which maps its vDSO last, puts it in
/// one of them now and then.
pub fn wherever_the_vdso_lands(case: &Case) -> Result<()> {
    let files: Vec<_> = (0..6).map(|number| format!("libaligned{number}.so")).collect();
    for (number, file) in files.iter().enumerate() {
        let text =
            format!("__thread char local{number}[64] __attribute__((aligned(65536))) = {{1}};");
        case.library(file, &text, &[&format!("-Wl,-soname,{file}")])?;
    }
    let link = case.link(&files);
    let flags: Vec<_> = ["-O2"].into_iter().chain(link.iter().map(String::as_str)).collect();
    let converted = case.convert(&case.build("guards", "program", &flags)?, &[])?;
    for start in 0..300 {
        output(&mut case.command(&converted)).with_context(|| format!("start {start}"))?;
    }
    Ok(())
}

/// With more modules than program headers, the starter changes permissions; it must not need what
/// hardened services forbid (MemoryDenyWriteExecute).
pub fn hardened(case: &Case) -> Result<()> {
    let converted = case.convert(&many_libraries(case)?, &[])?;
    let launcher = case.build("hardened", "hardened", &["-O2"])?;
    let end = run(case.command(&launcher).arg(&converted))?.end;
    ensure!(end == End::Exit(0), "it ended with {end:?}");
    Ok(())
}

pub fn read_only(case: &Case) -> Result<()> {
    let program = case.build("read-only", "read-only", &["-O2"])?;
    let converted = case.convert(&program, &[])?;
    let said = output(&mut sandbox::with_read_only(&case.dir, &converted))?;
    ensure!(said == "read-only\n", "it said {said:?}");
    Ok(())
}

pub fn unprivileged(case: &Case) -> Result<()> {
    let program = case.build("unprivileged", "unprivileged", &["-O2"])?;
    let converted = case.convert(&program, &[])?;
    let said = output(sandbox::unprivileged(&mut case.command(converted)))?;
    ensure!(said == "unprivileged\n", "it said {said:?}");
    Ok(())
}

fn converted_by_unprivileged(case: &Case) -> Result<()> {
    let program = case.build("unprivileged", "unprivileged", &["-O2"])?;
    let dir = case.dir.join("theirs");
    fs::create_dir(&dir)?;
    sandbox::give_to_unprivileged(&dir)?;
    let out = dir.join("out");
    let mut command = case.statify.command([program.as_path(), "-o".as_ref(), &out]);
    output(sandbox::unprivileged(&mut command))?;
    let said = output(sandbox::unprivileged(&mut case.command(out)))?;
    ensure!(said == "unprivileged\n", "it said {said:?}");
    Ok(())
}
