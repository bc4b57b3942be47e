//! The same properties of converted programs of musl, and what is particular to them.

use std::fs;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use crate::properties::{
    addresses, guards, loader_variables, protection, reproducible, shape, surroundings,
};

pub fn add(cases: &mut Cases) {
    let mut needing = |needs: &[&str], name: &str, test: fn(&Case) -> Result<()>| {
        let test = move |case: &Case| test(case).map(|()| Done::Passed);
        cases.needing(needs).add_for(Toolchain::Musl, name, test);
    };
    needing(&["randomisation"], "addresses/pie", |case| {
        addresses::randomised(case, &["-O2", "-fPIE", "-pie"], true)
    });
    needing(&["randomisation"], "addresses/non-pie", |case| {
        addresses::randomised(case, &["-O2", "-fno-pie", "-no-pie"], false)
    });
    needing(&["mseal"], "protection/sealed", |case| protection::sealed(case, &[]));
    needing(&["program:setarch"], "reproducible/without-randomisation", |case| {
        reproducible::through(case, &["setarch", "-R"])
    });
    for (name, test) in [
        (
            "surroundings/empty-root/randomised",
            (|case: &Case| surroundings::empty_root(case, &[])) as fn(&Case) -> Result<()>,
        ),
        ("surroundings/empty-root/fixed", |case| surroundings::empty_root(case, &["--fixed"])),
        ("surroundings/read-only-file-system", surroundings::read_only),
    ] {
        needing(&["userns"], name, test);
    }
    needing(&["mdwe"], "surroundings/nothing-may-become-executable", surroundings::hardened);
    let mut add = |name: &str, test: fn(&Case) -> Result<()>| needing(&[], name, test);
    add("addresses/fixed", addresses::fixed);
    add("addresses/fixed-equal-in-two-programs", |case| {
        addresses::fixed_equal_in_two_programs(case)
    });
    add("guards/randomised", |case| guards::fresh(case, &[]));
    add("guards/fixed", |case| guards::fresh(case, &["--fixed"]));
    add("loader-variables/LD_PRELOAD", |case| {
        let intruder = loader_variables::intruder(case)?.display().to_string();
        loader_variables::no_effect(case, &[("LD_PRELOAD", &intruder)])
    });
    add("protection/never-writable-and-executable/pie", |case| {
        protection::never_writable_and_executable(case, &["-fPIE", "-pie"], &[])
    });
    add("protection/never-writable-and-executable/fixed", |case| {
        protection::never_writable_and_executable(case, &["-no-pie"], &["--fixed"])
    });
    add("protection/relro/pie", |case| protection::relro(case, &["-fPIE", "-pie"], &[]));
    add("protection/relro/non-pie", |case| protection::relro(case, &["-fno-pie", "-no-pie"], &[]));
    add("protection/relro/fixed", |case| protection::relro(case, &["-fPIE"], &["--fixed"]));
    add("protection/bound-slots-read-only", |case| protection::bound_slots(case, &[]));
    add("reproducible/fixed", |case| reproducible::with(case, &["--fixed"], |_| Ok(())));
    add("reproducible/other-environment", |case| {
        reproducible::with(case, &[], |command| {
            command.env("LONG", "x".repeat(5000)).env("LD_LIBRARY_PATH", "/nowhere");
            Ok(())
        })
    });
    add("reproducible/other-inodes", reproducible::other_inodes);
    add("shape/not-dynamic", |case| shape::not_dynamic(case, &["-fPIE", "-pie"], &[]));
    add("shape/program-headers/100-libraries", |case| {
        shape::few_headers(case, &shape::many_libraries(case)?, &[])
    });
    add("surroundings/unprivileged-user", surroundings::unprivileged);
    add("surroundings/wherever-the-vdso-lands", surroundings::wherever_the_vdso_lands);
    add("musl/search-path", search_path);
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
