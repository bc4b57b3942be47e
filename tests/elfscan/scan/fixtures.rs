//! What a row says of programs that are built for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use statify_tests::case::{Case, Cases, output};

use crate::elfscan::tool;

/// A fixture's name, how it is built, and what its row says.
type Fixture = (&'static str, &'static [&'static str], Value);

/// No flag is left to the compiler's defaults.
const PLAIN: &[&str] = &[
    "-O2",
    "-U_FORTIFY_SOURCE",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-Wl,-z,lazy",
    "-Wl,-z,relro",
];

fn fixtures() -> Vec<Fixture> {
    vec![
        (
            "pie",
            &["-fPIE", "-pie"],
            json!({"class": 64, "machine": "x86-64", "kind": "dynamic_pie", "libraries": 1,
                "interpreter": "/lib64/ld-linux-x86-64.so.2", "verdict": "convertible", "reason": null,
                "hardening": {"pie": true, "relro": "partial", "bind_now": false, "nx": true,
                    "canary": false, "fortify": false, "ibt": false, "shstk": false}}),
        ),
        (
            "non-pie",
            &["-no-pie"],
            json!({"kind": "dynamic_non_pie", "verdict": "convertible", "hardening": {"pie": false}}),
        ),
        (
            "all",
            &[
                "-fPIE",
                "-pie",
                "-Wl,-z,now",
                "-fstack-protector-all",
                "-D_FORTIFY_SOURCE=2",
                "-Wl,-z,ibt",
                "-Wl,-z,shstk",
            ],
            json!({"kind": "dynamic_pie", "verdict": "convertible",
                "hardening": {"pie": true, "relro": "full", "bind_now": true, "nx": true, "canary": true,
                    "fortify": true, "ibt": true, "shstk": true}}),
        ),
        ("no-relro", &["-pie", "-Wl,-z,norelro"], json!({"hardening": {"relro": "none"}})),
        (
            "now-without-relro",
            &["-pie", "-Wl,-z,norelro", "-Wl,-z,now"],
            json!({"hardening": {"relro": "none", "bind_now": true}}),
        ),
        (
            "executable-stack",
            &["-pie", "-z", "execstack"],
            json!({"verdict": "convertible", "hardening": {"nx": false}}),
        ),
        (
            "canary",
            &["-pie", "-fstack-protector-all"],
            json!({"hardening": {"canary": true, "fortify": false}}),
        ),
        (
            "fortified",
            &["-pie", "-D_FORTIFY_SOURCE=2"],
            json!({"hardening": {"canary": false, "fortify": true}}),
        ),
        (
            "indirect-branches",
            &["-pie", "-Wl,-z,ibt"],
            json!({"hardening": {"ibt": true, "shstk": false}}),
        ),
        (
            "static",
            &["-static", "-no-pie"],
            json!({"kind": "static", "interpreter": null, "libraries": null, "glibc": null,
                "verdict": "already_static",
                "hardening": {"pie": false, "fortify": null, "bind_now": false}}),
        ),
        (
            "static-pie",
            &["-static-pie", "-fPIE"],
            json!({"kind": "static_pie", "libraries": 0, "verdict": "already_static",
                "hardening": {"pie": true}}),
        ),
        (
            "library.so",
            &["-shared", "-fPIC", "-Wl,-soname,library.so"],
            json!({"kind": "shared_library", "interpreter": null, "libraries": 1,
                "verdict": "no_program", "hardening": {"pie": null, "relro": "partial"}}),
        ),
        (
            "object.o",
            &["-c", "-fstack-protector-all"],
            json!({"kind": "relocatable", "libraries": null, "verdict": "no_program",
                "hardening": {"pie": null, "relro": null, "nx": null, "canary": true, "fortify": false}}),
        ),
        (
            "32-bit",
            &["-m32", "-pie", "-fPIE"],
            json!({"class": 32, "machine": "i386", "kind": "dynamic_pie", "verdict": "convertible",
                "interpreter": "/lib/ld-linux.so.2"}),
        ),
        (
            "writable-code",
            &["-no-pie", "-DWRITABLE_CODE"],
            json!({"kind": "dynamic_non_pie", "verdict": "refused"}),
        ),
    ]
}

pub fn add(cases: &mut Cases) {
    for (name, flags, expected) in fixtures() {
        let needs: &[&str] = match name {
            "32-bit" => &["libc-32"],
            _ if name.starts_with("static") => &["static-libc"],
            _ => &[],
        };
        cases.needing(needs).check(&format!("scan/fixture/{name}"), move |case| {
            says(&case.build("scanned", name, &[PLAIN, flags].concat())?, &expected)
        });
    }
    cases.check("scan/fixture/converted", |case| {
        let program = case.build("scanned", "program", &[])?;
        let converted = case.convert(&program, &[])?;
        let expected = json!({"kind": "converted", "verdict": "refused", "interpreter": null});
        says(&converted, &expected)
    });
    cases.check("scan/fixture/glibc-floor", |case| {
        // 2.9 is not newer than 2.17; that nothing else is needed is readelf's business.
        let source = "__asm__(\".symver memcpy,memcpy@GLIBC_2.2.5\");\n#include <string.h>\n\
                      void *copy(void *a, void *b, unsigned n) { return memcpy(a, b, n); }";
        let library = case.library("libfloor.so", source, &["-fno-builtin", "-nostartfiles"])?;
        says(&library, &json!({"glibc": "2.2.5"}))
    });
    cases.needing(&["program:gdb"]).check("scan/fixture/core", core);
    cases.check("scan/fixture/privileges", |case| {
        let program = case.build("scanned", "program", &[])?;
        let chmod = Command::new("chmod").arg("6755").arg(&program).status()?;
        ensure!(chmod.success());
        let expected = json!({"privileges": ["set_user_id", "set_group_id"], "verdict": "refused"});
        says(&program, &expected)
    });
}

fn core(case: &Case) -> Result<()> {
    let program = case.build("scanned", "program", &[])?;
    let core = case.dir.join("core");
    let mut gdb = case.command("gdb");
    gdb.args(["-batch", "-nx", "-ex", "break main", "-ex", "run", "-ex"]);
    gdb.arg(format!("generate-core-file {}", core.display())).arg(&program);
    output(&mut gdb)?;
    let expected = json!({"kind": "core", "verdict": "no_program", "libraries": null});
    says(&core, &expected)
}

/// The row of `file` has all that `expected` has.
pub fn says(file: &Path, expected: &Value) -> Result<()> {
    let (found, status) = tool::json(["scan".as_ref(), "--json".as_ref(), file.as_os_str()])?;
    ensure!(status == 0, "{found}");
    let rows = found["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(rows.len() == 1, "not one row: {found}");
    ensure!(rows[0]["size"] == fs::metadata(file)?.len(), "the size is wrong: {}", rows[0]);
    ensure!(has(&rows[0], expected), "{} is not in {}", expected, rows[0]);
    Ok(())
}

fn has(found: &Value, expected: &Value) -> bool {
    match expected.as_object() {
        Some(fields) => fields.iter().all(|(name, value)| has(&found[name], value)),
        None => found == expected,
    }
}
