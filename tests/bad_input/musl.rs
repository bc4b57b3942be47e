//! Programs of musl that cannot be converted, and loaders that only look like one of a C library that is known.

use anyhow::Result;
use statify_tests::case::{Case, Cases};
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use crate::bad_input::attempt::{matches, refused, refused_for, statify};

pub fn add(cases: &mut Cases) {
    cases.check("loader/unknown", |case| {
        matches(&with_loader(case, &[], &[])?, &["neither glibc's loader nor musl's"])
    });
    let looks = |how: &'static str, patterns: &'static [&'static str]| {
        move |case: &Case| {
            let how = format!("-D{how}");
            matches(&with_loader(case, &[&how, "-DMUSL"], &["--timeout", "1"])?, patterns)
        }
    };
    cases.check("loader/like-musl-spin", looks("SPIN", &["--timeout"]));
    cases.check("loader/like-musl-exit", looks("EXIT", &["exit with status 3"]));
    cases.check("loader/like-musl-crash", looks("CRASH", &["SIGILL"]));
    cases.check("loader/like-musl-other-stack", looks("OTHER_STACK", &["on its own"]));
    cases.check("loader/like-musl-map-shared", looks("MAP_SHARED", &["shared memory"]));
    cases.add_for(Toolchain::Musl, "input/library-missing", |case| {
        case.library("libgone.so", "int gone = 1;", &[])?;
        let link = case.link(&["libgone.so"]);
        let flags: Vec<_> = link.iter().map(String::as_str).collect();
        let program = case.build("plain", "program", &flags)?;
        std::fs::remove_file(case.dir.join("libgone.so"))?;
        refused_for(case, &program, &["libgone.so, needed by .*program, was not found"])?;
        Ok(Done::Passed)
    });
    cases.add_for(Toolchain::Musl, "input/set-user-id", |case| {
        use std::os::unix::fs::PermissionsExt;
        let program = case.build("plain", "program", &[])?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755))?;
        refused_for(case, &program, &["set-user-ID"])?;
        Ok(Done::Passed)
    });
}

/// What is said of a program whose interpreter is built with `flags`.
fn with_loader(case: &Case, flags: &[&str], arguments: &[&str]) -> Result<String> {
    let shape = ["-O1", "-shared", "-fPIC", "-nostdlib", "-Wl,-e,_start", "-fno-stack-protector"];
    let loader = case.build("other-loader", "loader", &[&shape, flags].concat())?;
    let dynamic_linker = format!("-Wl,--dynamic-linker={}", loader.display());
    let program = case.build("plain", "program", &[&dynamic_linker])?;
    refused(case, &mut statify(case, &program, arguments))
}
