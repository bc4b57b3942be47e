//! What an AArch64 program loads, as its own loader says in an emulator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, output};

use super::built::AARCH64;
use crate::elfscan::tool::elfscan;

/// Where the cross compiler's C library is, by one of its files.
fn file_of_library(name: &str) -> Result<PathBuf> {
    let mut command = Command::new((AARCH64.compiler)());
    let path = output(command.arg(format!("-print-file-name={name}")))?;
    fs::canonicalize(path.trim()).with_context(|| path.clone())
}

/// Names and where they were found, ascending; without the loader, the vDSO and addresses.
fn listed(text: &str, root: &Path) -> Vec<String> {
    let root = root.display().to_string();
    let lines = text.lines().map(str::trim).filter(|line| {
        line.contains(" => ") && !line.starts_with("ld-") && !line.starts_with("/lib/ld-")
    });
    let lines = lines.map(|line| line.split(" (0x").next().unwrap_or(line).replace(&root, ""));
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// A tree of its own, with one library for CPUs with an ability and for all.
pub fn as_the_loader_says(case: &Case) -> Result<()> {
    let root = case.dir.join("root");
    for place in ["lib", "opt/atomics", "opt/tls/aarch64", "usr/lib"] {
        fs::create_dir_all(root.join(place))?;
    }
    let loader = "/lib/ld-linux-aarch64.so.1";
    fs::copy(file_of_library("ld-linux-aarch64.so.1")?, root.join(&loader[1..]))?;
    fs::copy(file_of_library("libc.so.6")?, root.join("lib/libc.so.6"))?;
    let text = "int f(void) { return 1; }";
    for name in [
        "opt/atomics/libx.so",
        "opt/libx.so",
        "opt/tls/aarch64/liby.so",
        "opt/liby.so",
        "usr/lib/libz.so",
    ] {
        let soname = format!("-Wl,-soname,{}", name.rsplit('/').next().unwrap_or(name));
        AARCH64.build(case, &format!("root/{name}"), text, &["-shared", "-fPIC", &soname])?;
    }
    let search = [format!("-L{}/opt", root.display()), format!("-L{}/usr/lib", root.display())];
    AARCH64.build(
        case,
        "root/main",
        "int main(void) { return 0; }",
        &[
            "-Wl,--no-as-needed,-rpath,/opt",
            &search[0],
            &search[1],
            "-l:libx.so",
            "-l:liby.so",
            "-l:libz.so",
        ],
    )?;
    for (cpu, own) in [("cortex-a53", "aarch64"), ("max", "atomics")] {
        let mut emulator = case.command("qemu-aarch64");
        emulator.args(["-cpu", cpu, "-L"]).arg(&root).arg(root.join(&loader[1..]));
        let theirs = listed(&output(emulator.arg("--list").arg(root.join("main")))?, &root);
        let arguments =
            ["deps", "--list", "--cpu", own, "--root", &root.display().to_string(), "/main"];
        let said = listed(&output(&mut elfscan(arguments)?)?, &root);
        ensure!(theirs.len() == 4, "the loader lists {theirs:?}");
        ensure!(said == theirs, "{cpu}: elfscan {said:#?}\nld.so {theirs:#?}");
    }
    Ok(())
}
