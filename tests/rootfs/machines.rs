//! Trees with programs for several machines: what can be converted is, and of the others it is said which they are and
//! what to do.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use statify_elf::machine::Machine;
use statify_tests::case::{Case, Cases, output};
use statify_tests::compiler::{compiler, for_aarch64};
use statify_tests::process::End;

use crate::rootfs::{checks, guest, tool};

pub fn add(cases: &mut Cases) {
    cases.needing(&["libc-32", "aarch64-cc"]).check("machines/mixed", mixed);
    cases.needing(&["libc-32"]).check("machines/check-of-32-bits", of_32_bits);
}

fn build(
    case: &Case,
    compiler: &mut Command,
    name: &str,
    flags: &[&str],
) -> Result<std::path::PathBuf> {
    let source = case.dir.join("empty.c");
    fs::write(&source, "int main(void) { return 0; }")?;
    let path = case.dir.join(name);
    output(compiler.arg(&source).arg("-o").arg(&path).args(flags))?;
    Ok(path)
}

fn mixed(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let cross = || Command::new(for_aarch64());
    let add = |from: &Path, name: &str| fs::copy(from, root.path(&format!("/usr/bin/{name}")));
    let old = build(case, &mut Command::new(compiler(false)), "old", &["-m32"])?;
    root.add_program(&old, "/usr/bin/old")?;
    add(&build(case, &mut cross(), "arm", &[])?, "arm")?;
    add(&build(case, &mut cross(), "arm-static", &["-static"])?, "arm-static")?;
    let out = case.dir.join("out");
    let arguments = ["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()];
    let outcome = tool::run(arguments)?;
    let (told, said) = (outcome.stdout_text(), outcome.stderr_text());
    // Those for 32 bits are converted from the day on that this machine's are.
    let of_32 = Machine::I386.converts_here().err();
    let foreign = if of_32.is_some() { 2 } else { 1 };
    ensure!(outcome.end == End::Exit(0), "{}: {said}", outcome.end);
    ensure!(told.contains(&format!("{foreign} for another architecture")), "{told}");
    ensure!(told.contains("1 static"), "{told}");
    let sentence = Machine::Aarch64.converts_here().err().map(|reason| reason.to_string());
    let mut lines = Vec::new();
    for (name, sentence) in [("arm", sentence), ("old", of_32.map(|reason| reason.to_string()))] {
        let Some(sentence) = sentence else { continue };
        let line = format!("/usr/bin/{name}: {sentence}");
        ensure!(told.contains(&line), "{name}: {told}");
        lines.push(line);
        let same = fs::read(root.path(&format!("/usr/bin/{name}")))?
            == fs::read(out.join("usr/bin").join(name))?;
        ensure!(same, "{name} was changed");
    }
    let report = tool::good(["report".as_ref(), out.as_os_str()])?;
    ensure!(lines.iter().all(|line| report.contains(line)), "{report}");
    Ok(())
}

/// Programs of 32 bits are converted, and it is said that they are not run beside their originals.
fn of_32_bits(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let old = build(case, &mut Command::new(compiler(false)), "old", &["-m32"])?;
    root.add_program(&old, "/usr/bin/old")?;
    let out = case.dir.join("out");
    tool::good(["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    let answer = checks::all_well(&out, &[])?;
    let why = &checks::program(&answer, "/usr/bin/old")?["not_compared"];
    ensure!(why.as_str().is_some_and(|why| why.contains("64 bits only")), "{answer:#}");
    Ok(())
}
