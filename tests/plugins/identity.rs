//! No library is loaded twice, whatever path it is opened by; a plugin that does not fit is refused by the loader's words.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output};

use crate::plugins::with::plugin;

pub fn add(cases: &mut Cases) {
    cases.check_glibc("identity/own-library", own_library);
    cases.check_glibc("identity/own-library-is-gone", own_library_gone);
    cases.check_glibc("identity/plugin", plugin_by_paths);
    cases.check_glibc("identity/alike-is-not-the-same", alike);
    for (name, flags) in [("agent", &["--with", "libm.so.6"][..]), ("none", &[])] {
        cases.check_glibc(&format!("identity/newer-c-library/{name}"), move |case| {
            newer(case, flags)
        });
    }
}

fn linked(case: &Case) -> Result<(PathBuf, PathBuf)> {
    let library =
        case.library("libown.so.1", "int own(void) { return 1; }", &["-Wl,-soname,libown.so.1"])?;
    let link = case.link(&["libown.so.1"]);
    let flags: Vec<&str> =
        ["-O2", "-ldl"].into_iter().chain(link.iter().map(String::as_str)).collect();
    Ok((case.build("linked", "linked", &flags)?, library))
}

fn own_library(case: &Case) -> Result<()> {
    let (program, library) = linked(case)?;
    let link = case.dir.join("link.so");
    symlink(&library, &link)?;
    let converted = case.convert(&program, &["--with", "libm.so.6"])?;
    let copy = case.dir.join("copy.so");
    fs::copy(&library, &copy)?;
    let dotted = format!("{}/./libown.so.1", case.dir.display());
    let mut command = case.command(converted);
    command.arg("libown.so.1").arg(&library).arg(link).arg(copy).arg(dotted).arg("./libown.so.1");
    let said = output(&mut command)?;
    ensure!(said == "the same\n".repeat(6), "it said {said}");
    Ok(())
}

/// The paths by which it could be opened at the time of the conversion still lead to it, and not to what is there now.
fn own_library_gone(case: &Case) -> Result<()> {
    let (program, library) = linked(case)?;
    let link = case.dir.join("link.so");
    symlink(&library, &link)?;
    let converted = case.convert(&program, &["--with", "libm.so.6"])?;
    fs::remove_file(&library)?;
    let said = output(case.command(&converted).arg(&library).arg(&link))?;
    ensure!(said == "the same\n".repeat(2), "it said {said}");
    case.library("libown.so.1", "int own(void) { return 2; }", &["-Wl,-soname,libown.so.1"])?;
    let said = output(case.command(&converted).arg(&link))?;
    ensure!(said == "the same\n", "it said {said}");
    Ok(())
}

fn plugin_by_paths(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let path = plugin.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &["--with", &path])?;
    let (link, copy) = (case.dir.join("link.so"), case.dir.join("copy.so"));
    symlink(&plugin, &link)?;
    fs::copy(&plugin, &copy)?;
    let said = output(case.command(converted).arg(&copy).arg(&path).arg(link).arg(copy))?;
    for number in 1..=4 {
        let line = format!("{number}: same as 1, value 23\n");
        ensure!(said.contains(&line), "it said {said}");
    }
    Ok(())
}

/// Two libraries that differ by one byte of code are two.
fn alike(case: &Case) -> Result<()> {
    let text = |number: u32| format!("int plugin_value(void) {{ return {number}; }}");
    let flags = ["-Wl,--build-id=none"];
    let one = case.library("one.so", &text(11), &flags)?;
    let other = case.library("two.so", &text(12), &flags)?;
    let path = one.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &["--with", &path])?;
    let said = output(case.command(converted).arg(one).arg(other))?;
    ensure!(said.starts_with("1: same as 1, value 11\n2: same as 2, value 12\n"), "it said {said}");
    Ok(())
}

/// A library that needs a newer C library than any.
pub fn newer_library(case: &Case) -> Result<PathBuf> {
    let script = case.dir.join("versions");
    fs::write(&script, "GLIBC_9.99 { global: not_yet_there; };")?;
    let version = format!("-Wl,--version-script={}", script.display());
    case.library(
        "libc.so.6",
        "void not_yet_there(void) {}",
        &["-nostdlib", "-Wl,-soname,libc.so.6", &version],
    )?;
    let dir = format!("-L{}", case.dir.display());
    let newer = case.library(
        "newer.so",
        "void not_yet_there(void); int plugin_value(void) { not_yet_there(); return 1; }",
        &["-nostdlib", &dir, "-l:libc.so.6"],
    )?;
    fs::remove_file(case.dir.join("libc.so.6"))?;
    Ok(newer)
}

/// Such a library of the host.
fn newer(case: &Case, flags: &[&str]) -> Result<()> {
    let newer = newer_library(case)?;
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, flags)?;
    let said = output(case.command(converted).arg(&newer))?;
    ensure!(said.contains("version `GLIBC_9.99' not found"), "it said {said}");
    Ok(())
}
