//! What root's captures read for programs of other users: what these may read, and no more.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use nix::unistd::geteuid;
use statify_tests::case::{Case, Cases};
use statify_tests::report::Done;
use statify_tests::sandbox::NOBODY;

use crate::bad_input::attempt::refused_for;

pub fn add(cases: &mut Cases) {
    as_root(cases, "library", |case| {
        let program = with_library(case)?;
        must_be_its_own(case, &program, &["libprivate.so"])
    });
    as_root(cases, "loader", |case| {
        let private = private(case)?;
        let loader = private.join("loader");
        fs::copy("/lib64/ld-linux-x86-64.so.2", &loader)?;
        let flag = format!("-Wl,--dynamic-linker={}", loader.display());
        let program = case.build("plain", "program", &[&flag])?;
        must_be_its_own(case, &program, &["interpreter", "may not read"])
    });
    as_root(cases, "loader-of-another", |case| {
        let program = with_library(case)?;
        let loader = case.dir.join("loader");
        fs::copy("/lib64/ld-linux-x86-64.so.2", &loader)?;
        chown(&loader, Some(NOBODY), None)?;
        let library = case.dir.join("private/libprivate.so");
        let flags = [
            format!("-Wl,--dynamic-linker={}", loader.display()),
            format!("-Wl,--no-as-needed,-rpath,{}", case.dir.join("private").display()),
            library.display().to_string(),
        ];
        fs::remove_file(program)?;
        let program = case.build("plain", "program", &flags.each_ref().map(String::as_str))?;
        refused_for(case, &program, &["libprivate.so|may not read"])
    });
    // All that it needs may be read by everybody: the same file as if it were root's.
    as_root(cases, "nothing-private", |case| {
        let program = case.build("plain", "program", &[])?;
        let outs = ["root-s", "nobody-s"].map(|name| case.dir.join(name));
        case.statify.convert(&program, &outs[0], &[""; 0])?;
        chown(&program, Some(NOBODY), Some(NOBODY))?;
        case.statify.convert(&program, &outs[1], &[""; 0])?;
        ensure!(fs::read(&outs[0])? == fs::read(&outs[1])?, "they differ");
        Ok(())
    });
}

fn as_root(cases: &mut Cases, name: &str, test: impl FnOnce(&Case) -> Result<()> + Send + 'static) {
    cases.add(&format!("readers/{name}"), |case| {
        if !geteuid().is_root() {
            return Done::not_here("only root may read what others may not");
        }
        test(case).map(|()| Done::Passed)
    });
}

/// A directory that only root may enter.
fn private(case: &Case) -> Result<PathBuf> {
    let private = case.dir.join("private");
    fs::create_dir(&private)?;
    fs::set_permissions(&private, Permissions::from_mode(0o700))?;
    Ok(private)
}

/// A program that needs a library there.
fn with_library(case: &Case) -> Result<PathBuf> {
    let private = private(case)?;
    let library = case.library("libprivate.so", "int private;", &["-Wl,-soname,libprivate.so"])?;
    let moved = private.join("libprivate.so");
    fs::rename(library, &moved)?;
    let flags = format!("-Wl,--no-as-needed,-rpath,{}", private.display());
    case.build("plain", "program", &[&flags, &moved.display().to_string()])
}

/// Root's own program is converted with it; that of another user is refused.
fn must_be_its_own(case: &Case, program: &Path, patterns: &[&str]) -> Result<()> {
    case.statify.convert(program, &case.dir.join("own"), &[""; 0])?;
    chown(program, Some(NOBODY), Some(NOBODY))?;
    refused_for(case, program, patterns)
}
