//! The same properties of converted programs of musl, and what is particular to them.

use std::fs;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::machine::find_program;
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use crate::{addresses, guards, loader_variables, protection, reproducible, shape, surroundings};

pub fn add(cases: &mut Cases) {
    let mut add = |name: &str, test: fn(&Case) -> Result<Done>| {
        cases.add_for(Toolchain::Musl, name, test);
    };
    add("addresses/pie", |case| addresses::randomised(case, &["-O2", "-fPIE", "-pie"], true));
    add("addresses/non-pie", |case| {
        addresses::randomised(case, &["-O2", "-fno-pie", "-no-pie"], false)
    });
    add("addresses/fixed", |case| passed(addresses::fixed(case)));
    add("addresses/fixed-equal-in-two-programs", |case| {
        passed(addresses::fixed_equal_in_two_programs(case))
    });
    add("guards/randomised", |case| passed(guards::fresh(case, &[])));
    add("guards/fixed", |case| passed(guards::fresh(case, &["--fixed"])));
    add("loader-variables/LD_PRELOAD", |case| {
        let intruder = loader_variables::intruder(case)?.display().to_string();
        passed(loader_variables::no_effect(case, &[("LD_PRELOAD", &intruder)]))
    });
    add("protection/never-writable-and-executable/pie", |case| {
        passed(protection::never_writable_and_executable(case, &["-fPIE", "-pie"], &[]))
    });
    add("protection/never-writable-and-executable/fixed", |case| {
        passed(protection::never_writable_and_executable(case, &["-no-pie"], &["--fixed"]))
    });
    add("protection/relro/pie", |case| passed(protection::relro(case, &["-fPIE", "-pie"], &[])));
    add("protection/relro/non-pie", |case| {
        passed(protection::relro(case, &["-fno-pie", "-no-pie"], &[]))
    });
    add("protection/relro/fixed", |case| passed(protection::relro(case, &["-fPIE"], &["--fixed"])));
    add("protection/bound-slots-read-only", |case| passed(protection::bound_slots(case, &[])));
    add("protection/sealed", |case| protection::sealed(case, &[]));
    add("reproducible/fixed", |case| passed(reproducible::with(case, &["--fixed"], |_| Ok(()))));
    add("reproducible/other-environment", |case| {
        passed(reproducible::with(case, &[], |command| {
            command.env("LONG", "x".repeat(5000)).env("LD_LIBRARY_PATH", "/nowhere");
            Ok(())
        }))
    });
    add("reproducible/other-inodes", |case| passed(reproducible::other_inodes(case)));
    add("reproducible/without-randomisation", |case| match find_program("setarch") {
        None => Done::not_here("setarch is not installed"),
        Some(_) => passed(reproducible::through(case, &["setarch", "-R"])),
    });
    add("shape/not-dynamic", |case| passed(shape::not_dynamic(case, &["-fPIE", "-pie"], &[])));
    add("shape/program-headers/100-libraries", |case| {
        passed(shape::few_headers(case, &shape::many_libraries(case)?, &[]))
    });
    add("surroundings/empty-root/randomised", |case| surroundings::empty_root(case, &[]));
    add("surroundings/empty-root/fixed", |case| surroundings::empty_root(case, &["--fixed"]));
    add("surroundings/read-only-file-system", surroundings::read_only);
    add("surroundings/nothing-may-become-executable", surroundings::hardened);
    add("surroundings/unprivileged-user", |case| passed(surroundings::unprivileged(case)));
    add("surroundings/wherever-the-vdso-lands", |case| {
        passed(surroundings::wherever_the_vdso_lands(case))
    });
    add("musl/search-path", |case| passed(search_path(case)));
}

fn passed(result: Result<()>) -> Result<Done> {
    result.map(|()| Done::Passed)
}

/// Libraries are looked for where the machine that the program runs on says, not where the machine
/// of the conversion said. The loader lies in a directory of its own, so that its file with the
/// directories does, too.
fn search_path(case: &Case) -> Result<()> {
    let dir = case.dir.display().to_string();
    for part in ["lib", "etc", "there", "here"] {
        fs::create_dir(case.dir.join(part))?;
    }
    let loader = case.dir.join("lib/ld-musl-x86_64.so.1");
    fs::copy("/lib/ld-musl-x86_64.so.1", &loader)?;
    let directories = case.dir.join("etc/ld-musl-x86_64.path");
    case.library("there/libshared.so", "int shared = 1;", &["-Wl,-soname,libshared.so"])?;
    for (part, number) in [("there", 2), ("here", 3)] {
        case.library(&format!("{part}/plug.so"), &format!("int number = {number};"), &[])?;
    }
    let flags = [
        "-O2",
        &format!("-Wl,--dynamic-linker={}", loader.display()),
        &format!("-L{dir}/there"),
        "-l:libshared.so",
    ];
    let program = case.build("search-path", "program", &flags)?;
    fs::write(&directories, format!("/nowhere:{dir}/there\n"))?;
    ensure!(output(&mut case.command(&program))? == "shared 1, plug 2\n", "the original");
    let converted = case.convert(&program, &[])?;
    ensure!(output(&mut case.command(&converted))? == "shared 1, plug 2\n", "the same place");
    fs::write(&directories, format!("{dir}/here"))?;
    let said = output(&mut case.command(&converted))?;
    ensure!(said == "shared 1, plug 3\n", "with another place: {said}");
    fs::write(&directories, "/nowhere")?;
    let said = output(&mut case.command(&converted))?;
    ensure!(said == "shared 1, plug 0\n", "with no place: {said}");
    let bytes = fs::read(&converted)?;
    let text = format!("/nowhere:{dir}/there");
    let kept = bytes.windows(text.len()).any(|window| window == text.as_bytes());
    ensure!(!kept, "the directories of the conversion are in the output");
    Ok(())
}
