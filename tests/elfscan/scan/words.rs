//! Refused or allowed as statify does, in the same words.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases, run};
use statify_tests::process::End;

use crate::elfscan::tool;

pub fn add(cases: &mut Cases) {
    let mut add = |name: &str, make: fn(&Case, &mut Vec<u8>)| {
        cases.check(&format!("scan/words/{name}"), move |case| {
            let program = case.build("scanned", "program", &["-no-pie"])?;
            let mut bytes = fs::read(&program)?;
            make(case, &mut bytes);
            fs::write(&program, bytes)?;
            agree(case, &program)
        });
    };
    add("convertible", |_, _| {});
    add("other-machine", |_, bytes| bytes[18] = 183);
    add("32-bit", |_, bytes| bytes[4] = 1);
    add("big-endian", |_, bytes| bytes[5] = 2);
    add("other-type", |_, bytes| bytes[16] = 4);
    add("no-segments", |_, bytes| bytes[56] = 0);
    add("truncated", |_, bytes| bytes.truncate(2000));
    add("interpreter-missing", |_, bytes| replace(bytes, b"x86-64.so.2", b"x86-64.so.9"));
    add("interpreter-not-elf", |_, bytes| {
        replace(bytes, b"/lib64/ld-linux-x86-64.so.2", b"/etc/../etc/././././passwd\0");
    });
    add("interpreter-is-a-directory", |_, bytes| {
        replace(bytes, b"/lib64/ld-linux-x86-64.so.2", b"/etc/../etc/./././././/////");
    });
    for (name, mode) in [("set-user-id", 0o4755), ("set-group-id", 0o2755), ("no-execute", 0o644)] {
        cases.check(&format!("scan/words/{name}"), move |case| {
            let program = case.build("scanned", "program", &[])?;
            fs::set_permissions(&program, Permissions::from_mode(mode))?;
            agree(case, &program)
        });
    }
    for (name, flags) in [
        ("writable-code", &["-no-pie", "-DWRITABLE_CODE"][..]),
        ("static", &["-static", "-no-pie"]),
        ("library", &["-shared", "-fPIC"]),
        ("object", &["-c"]),
        ("audit-library", &["-Wl,--audit=libwatch.so"]),
        ("audit-library-of-what-it-needs", &["-Wl,--depaudit=libwatch.so"]),
        ("audit-library-without-name", &["-Wl,--audit=:"]),
    ] {
        cases.check(&format!("scan/words/{name}"), move |case| {
            agree(case, &case.build("scanned", "program", flags)?)
        });
    }
    cases.check("scan/words/converted", |case| {
        let program = case.build("scanned", "program", &[])?;
        agree(case, &case.convert(&program, &[])?)
    });
    cases.check("scan/words/loader-of-nobody", |case| {
        let loader = case.library("ld-own.so.1", "int own;", &["-Wl,-soname,ld-own.so.1"])?;
        let flag = format!("-Wl,--dynamic-linker={}", loader.display());
        agree(case, &case.build("scanned", "program", &[&flag])?)
    });
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    if let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

/// What the one does, the other says.
fn agree(case: &Case, program: &Path) -> Result<()> {
    let (found, _) = tool::json(["scan".as_ref(), "--json".as_ref(), program.as_os_str()])?;
    let row = &found["files"][0];
    let mut command = case.statify.command([program]);
    let outcome = run(command.arg("-o").arg(case.dir.join("out")))?;
    let said = outcome.stderr_text();
    match &row["reason"] {
        Value::String(reason) => {
            ensure!(outcome.end == End::Exit(1), "statify converts what is refused: {reason}");
            ensure!(said.trim_end() == format!("statify: {reason}"), "{said}{reason}");
            ensure!(row["verdict"] != "convertible", "{row}");
        }
        _ => {
            ensure!(outcome.end == End::Exit(0), "statify refuses it: {said}{row}");
            ensure!(row["verdict"] == "convertible", "{row}");
        }
    }
    Ok(())
}
