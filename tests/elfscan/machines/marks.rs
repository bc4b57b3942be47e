//! What `elfscan scan` says of files for other machines.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use statify_tests::case::{Case, output};

use super::built::{AARCH64, I386};
use crate::elfscan::scan::says;
use crate::elfscan::tool::elfscan;

/// BTI and PAC are told as readelf tells them, and pages as the linker was told.
pub fn branches(case: &Case) -> Result<()> {
    let text = "int f(int x) { return x + 1; }";
    let alone = &["-shared", "-fPIC", "-nostdlib"][..];
    let mut seen = Vec::new();
    for (name, flags, page) in [
        ("libnone.so", &["-mbranch-protection=none"][..], 65536),
        ("libboth.so", &["-mbranch-protection=standard"], 65536),
        ("libbti.so", &["-mbranch-protection=bti"], 65536),
        ("libpac.so", &["-mbranch-protection=pac-ret"], 65536),
        ("libsmall.so", &["-mbranch-protection=none", "-Wl,-z,max-page-size=4096"], 4096),
    ] {
        let built = AARCH64.build(case, name, text, &[alone, flags].concat())?;
        let notes = output(case.command("readelf").arg("-nW").arg(&built.path).env("LC_ALL", "C"))?;
        let feature = |word: &str| {
            notes.lines().filter(|line| line.contains("AArch64 feature")).any(|l| l.contains(word))
        };
        let (bti, pac) = (feature("BTI"), feature("PAC"));
        seen.push((bti, pac));
        says(
            &built.path,
            &json!({"class": 64, "machine": "aarch64", "largest_page": page,
                "hardening": {"ibt": null, "shstk": null, "bti": bti, "pac": pac, "gcs": false}}),
        )?;
    }
    ensure!(seen[..4] == [(false, false), (true, true), (true, false), (false, true)], "{seen:?}");
    Ok(())
}

/// Programs that cannot be converted here are refused with what to do; static ones are that on all machines.
pub fn elsewhere(case: &Case) -> Result<()> {
    let text = "int main(void) { return 0; }";
    let program = AARCH64.build(case, "program", text, &["-pie", "-fPIE"])?;
    says(
        &program.path,
        &json!({"kind": "dynamic_pie", "machine": "aarch64", "verdict": "refused",
            "interpreter": "/lib/ld-linux-aarch64.so.1", "libraries": 1,
            "hardening": {"text_relocations": false}}),
    )?;
    let told =
        output(&mut elfscan(["scan".as_ref(), "--json".as_ref(), program.path.as_os_str()])?)?;
    let told: Value = serde_json::from_str(&told)?;
    let reason = told["files"][0]["reason"].as_str().unwrap_or_default();
    for word in ["aarch64 machines", "only be converted where it runs", "qemu-user has no ptrace"] {
        ensure!(reason.contains(word), "{reason}");
    }
    let fixed = AARCH64.build(case, "static", text, &["-static"])?;
    says(&fixed.path, &json!({"kind": "static", "machine": "aarch64", "verdict": "already_static"}))
}

/// Code that the loader must write to is told.
pub fn text_relocations(case: &Case) -> Result<()> {
    let text = "int data; int *f(void) { return &data; }";
    for (name, code, expected) in [("libtext.so", "-fno-pic", true), ("libpic.so", "-fPIC", false)]
    {
        let built = I386.build(case, name, text, &["-shared", code, "-Wl,-z,notext"])?;
        says(
            &built.path,
            &json!({"class": 32, "machine": "i386", "largest_page": 4096,
                "hardening": {"text_relocations": expected, "bti": null}}),
        )?;
    }
    Ok(())
}
