//! What is set for ld.so has no effect on a converted program.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::compare::against_each_other;

pub fn add(cases: &mut Cases) {
    cases.check("loader-variables/LD_PRELOAD", |case| {
        let intruder = intruder(case)?;
        no_effect(case, &[("LD_PRELOAD", &intruder.display().to_string())])
    });
    cases.check("loader-variables/LD_AUDIT", |case| {
        let intruder = intruder(case)?;
        no_effect(case, &[("LD_AUDIT", &intruder.display().to_string())])
    });
    cases.check("loader-variables/LD_LIBRARY_PATH", |case| {
        let elsewhere = case.dir.join("elsewhere");
        std::fs::create_dir(&elsewhere)?;
        case.library("elsewhere/libshared.so", "int shared = 2;", &["-Wl,-soname,libshared.so"])?;
        no_effect(case, &[("LD_LIBRARY_PATH", &elsewhere.display().to_string())])
    });
    cases.check("loader-variables/LD_TRACE_LOADED_OBJECTS", |case| {
        no_effect(case, &[("LD_TRACE_LOADED_OBJECTS", "1")])
    });
    cases.check("loader-variables/LD_DEBUG", |case| no_effect(case, &[("LD_DEBUG", "all")]));
    cases.check("loader-variables/LD_SHOW_AUXV", |case| no_effect(case, &[("LD_SHOW_AUXV", "1")]));
}

/// A library that makes itself known when it is loaded, and that passes for an auditor, too.
pub fn intruder(case: &Case) -> Result<PathBuf> {
    let text = r#"
        #include <unistd.h>
        __attribute__((constructor)) static void intrude(void) { if (write(1, "intruder\n", 9) != 9) _exit(9); }
        unsigned la_version(unsigned version) { return version; }
    "#;
    case.library("intruder.so", text, &[])
}

pub fn no_effect(case: &Case, variables: &[(&str, &str)]) -> Result<()> {
    case.library("libshared.so", "int shared = 1;", &["-Wl,-soname,libshared.so"])?;
    let mut flags = vec!["-O2".to_owned()];
    // DT_RUNPATH, since LD_LIBRARY_PATH comes before it and after DT_RPATH.
    flags.extend(case.link(&["libshared.so"]));
    flags.push("-Wl,--enable-new-dtags".into());
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let program = case.build("shared", "program", &flags)?;
    let plain = output(&mut case.command(&program))?;

    let with = |program| {
        let mut command = case.command(program);
        command.envs(variables.iter().copied());
        command
    };
    let affected = run(&mut with(&program))?;
    let unchanged = affected.stdout_text() == plain && affected.stderr.is_empty();
    ensure!(!unchanged, "the original does not mind either, so that this shows nothing");

    let converted = case.convert(&program, &[])?;
    let wrong = against_each_other(&case.run(&converted)?, &run(&mut with(&converted))?);
    ensure!(wrong.is_empty(), "the converted program minds:\n    {}", wrong.join("\n    "));
    Ok(())
}
