//! What is wrong with a program's libraries is said in the words of a conversion.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::builder;
use statify_tests::case::{Case, Cases, run};
use statify_tests::process::End;

use super::said::{library, printed, program};
use crate::elfscan::tool::json;

pub fn add(cases: &mut Cases) {
    cases.check("deps/refusals-in-the-words-of-a-conversion", words);
}

fn words(case: &Case) -> Result<()> {
    let dir = case.dir.display().to_string();
    let search = [format!("-L{dir}"), format!("-Wl,-rpath,{dir}"), "-Wl,--no-as-needed".into()];
    let script = |version: &str| -> Result<String> {
        fs::write(case.dir.join("script"), format!("{version} {{ one; }};"))?;
        Ok(format!("-Wl,--version-script,{dir}/script"))
    };
    let soname = "-Wl,-soname,libone.so";
    let first = library(case, "libone.so", "one", &[soname, &script("ONE")?])?;
    let text = "int one(void); int two(void) { return one(); }";
    let mut flags: Vec<&str> = search.iter().map(String::as_str).collect();
    flags.push("-l:libone.so");
    case.library("libtwo.so", text, &flags)?;
    *flags.last_mut().context("it has one")? = "-l:libtwo.so";
    let text = "int two(void); int main(void) { return two(); }";
    let main = program(case, "main", text, &flags)?;
    check(case, &main, None)?;
    let good = fs::read(&first)?;

    fs::remove_file(&first)?;
    check(case, &main, Some("the library libone.so, needed by"))?;
    fs::write(&first, "short")?;
    check(case, &main, Some("file too short"))?;
    fs::write(&first, [b'x'; 4096])?;
    check(case, &main, Some("invalid ELF header"))?;
    fs::write(&first, &good[..3000])?;
    check(case, &main, Some("SIGBUS"))?;
    fs::remove_file(&first)?;
    fs::create_dir(&first)?;
    check(case, &main, Some("cannot read file data"))?;
    fs::remove_dir(&first)?;
    library(case, "libone.so", "one", &[soname, &script("TWO")?])?;
    check(case, &main, Some("version `ONE' not found"))?;
    program(case, "libone.so", "int one(void) { return 1; }", &["-nostartfiles", "-Wl,-e,one"])?;
    check(case, &main, Some("cannot dynamically load position-independent executable"))?;
    writable_code(case, &first)?;
    check(case, &main, Some("writable and executable"))
}

/// A library whose code can be written to.
fn writable_code(case: &Case, out: &Path) -> Result<()> {
    let source = case.dir.join("writable.c");
    fs::write(&source, "int one(void) { return 1; }")?;
    let object = case.dir.join("writable.o");
    let mut compile = Command::new(builder::compiler(false));
    printed(compile.args(["-c", "-fPIC"]).arg(&source).arg("-o").arg(&object))?;
    fs::write(case.dir.join("script"), "ONE { one; };")?;
    let script = case.dir.join("script");
    let mut link = Command::new("ld");
    link.args(["-shared", "-N", "-soname", "libone.so", "--version-script"]).arg(script);
    printed(link.arg(&object).arg("-o").arg(out)).map(drop)
}

/// A conversion and elfscan must say the same, and that in it.
fn check(case: &Case, main: &Path, expected: Option<&str>) -> Result<()> {
    let (answer, status) = json(["deps".as_ref(), "--json".as_ref(), main.as_os_str()])?;
    let own = answer["refusal"].as_str();
    let out = case.dir.join("out");
    let outcome = run(case.statify.command(["--force", "-o"]).arg(&out).arg(main))?;
    let said = outcome.stderr_text();
    let theirs = said.trim().strip_prefix("statify: ");
    ensure!(own == theirs, "elfscan: {own:?}\nstatify: {said:?} ({})", outcome.end);
    ensure!((outcome.end == End::Exit(0)) == expected.is_none(), "{}: {said}", outcome.end);
    let holds = expected.is_none_or(|words| own.is_some_and(|own| own.contains(words)));
    ensure!(holds, "{own:?} says nothing of {expected:?}");
    // Memory that is writable and executable is no matter for a loader.
    let is_missing = expected.is_some_and(|words| !words.contains("writable"));
    ensure!((status == 1) == is_missing, "status {status}: {answer:#}");
    Ok(())
}
