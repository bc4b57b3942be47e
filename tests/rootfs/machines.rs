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

use crate::rootfs::check_rooms::bodies_with;
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

/// Programs of 32 bits run beside their originals as those of 64 do, in a tree that has both; one that differs is told.
fn of_32_bits(case: &Case) -> Result<()> {
    const PLAIN: &str = "printf(\"%d bits\\n\", 8 * (int)sizeof(void *));";
    // By what it is called with, and in the mapped file of which it is executed: what only the converted one can tell.
    const TELLS: &str = "
        char line[4096]; int converted = 1;
        FILE *maps = fopen(\"/proc/self/maps\", \"r\");
        while (maps && fgets(line, sizeof line, maps)) if (strstr(line, \"/ld-linux\")) converted = 0;
        printf(\"converted: %d\\n\", converted);";
    let programs = [
        ("old", PLAIN, &["-m32"][..]),
        ("old-fixed", PLAIN, &["-m32", "-no-pie"][..]),
        ("new", PLAIN, &[][..]),
        ("old-tells", TELLS, &["-m32"][..]),
    ];
    let (root, out) = bodies_with(case, &programs)?;
    let (answer, outcome) = checks::check(&out, &[])?;
    ensure!(outcome.end == End::Exit(1), "{}: {answer:#}", outcome.end);
    for (name, judgement) in
        [("old", "agrees"), ("old-fixed", "agrees"), ("new", "agrees"), ("old-tells", "differs")]
    {
        let found = checks::program(&answer, &format!("/usr/bin/{name}"))?;
        for one in found["answers"].as_array().into_iter().flatten() {
            ensure!(one["judgement"] == judgement && one["end"]["exit"] == 0, "{found:#}");
        }
        ensure!(found["answers"].as_array().is_some_and(|answers| answers.len() == 2), "{found:#}");
    }
    ensure!(
        checks::count(&answer, "compared") == programs.len() as u64 + 3,
        "{}",
        answer["counts"]
    );
    // And by statify.
    for (name, end) in [("old", End::Exit(0)), ("old-tells", End::Exit(1))] {
        let mut command = case.statify.command(["--quiet", "--verify", "--root"]);
        command.arg(&root.dir).arg(format!("/usr/bin/{name}"));
        command.arg("-o").arg(case.dir.join(format!("{name}.out")));
        let outcome = statify_tests::case::run(&mut command)?;
        ensure!(outcome.end == end, "{name}: {}: {}", outcome.end, outcome.stderr_text());
        let told = outcome.stderr_text().contains("stdout of the converted");
        ensure!(told == (end != End::Exit(0)), "{}", outcome.stderr_text());
    }
    Ok(())
}
