//! Converted files: the same findings as in the originals, and what answers them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases};
use statify_tests::machine::find_program;
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use super::{code, loads, verdict};
use crate::elfscan::tool::elfscan;

pub fn add(cases: &mut Cases) {
    cases.check("host/converted/same-findings", converted_as_original);
    cases.check("host/converted/answers", converted_answers);
    for toolchain in [Toolchain::Machine, Toolchain::Musl] {
        cases.add_for(toolchain, "host/converted/places", |case| {
            places(case).map(|()| Done::Passed)
        });
    }
    cases.check("host/converted/damaged", damaged);
    for (program, arguments) in [
        ("getent", &["-s", "compat", "passwd", "root"][..]),
        ("iconv", &["-f", "UTF-16", "-t", "EUC-JP", "/dev/null"]),
        ("curl", &["--version"]),
        ("openssl", &["list", "-providers", "-provider", "legacy"]),
    ] {
        let needs = [format!("program:{program}"), "program:strace".into()];
        cases.needing(&needs).check(&format!("host/converted/denied/{program}"), move |case| {
            denied(case, program, arguments)
        });
    }
}

/// What is found does not depend on whether the modules are files or lie in an output.
fn converted_as_original(case: &Case) -> Result<()> {
    for program in ["curl", "openssl", "ls"] {
        let Some(path) = find_program(program) else { continue };
        let out = case.dir.join(program);
        let findings = |path: &Path| -> Result<Vec<String>> {
            let verdict = verdict(path)?;
            let findings = verdict["findings"].as_array().context("no findings")?;
            let mut findings: Vec<Value> =
                findings.iter().filter(|finding| finding["kind"] != "start").cloned().collect();
            for finding in &mut findings {
                // Links lead to the files.
                finding["path"] = Value::Null;
            }
            let mut findings: Vec<String> = findings.iter().map(Value::to_string).collect();
            findings.sort();
            Ok(findings)
        };
        let original = findings(&path)?;
        ensure!(original.len() > 3, "{original:?}");
        for flags in [&["--quiet"][..], &["--quiet", "--force", "--fixed"]] {
            case.statify.convert(&path, &out, flags)?;
            let converted = findings(&out)?;
            ensure!(original == converted, "{flags:?}: {original:#?}\n{converted:#?}");
        }
    }
    Ok(())
}

/// Programs at addresses of their own, and outputs that are.
fn places(case: &Case) -> Result<()> {
    for (name, flags) in [("pie", &[][..]), ("no-pie", &["-no-pie", "-fno-pie"])] {
        let flags = [&["-O2", "-DCONSTANT", "-DMUSL"][..], flags].concat();
        let program = case.build("host", name, &flags)?;
        for fixed in [&["--force"][..], &["--force", "--fixed"]] {
            let verdict = verdict(&case.convert(&program, fixed)?)?;
            ensure!(code(&verdict) == ["dlopen libz.so.1"], "{name} {fixed:?}: {verdict:#}");
        }
    }
    Ok(())
}

/// Nothing is said of an output whose modules cannot be read.
fn damaged(case: &Case) -> Result<()> {
    let program = case.build("host", "hello", &["-DHELLO"])?;
    let output = case.convert(&program, &[])?;
    let mut bytes = fs::read(&output)?;
    // ELF headers of x86-64; glibc's loader has the beginning of one among its constants.
    let is_header = |page: &[u8]| page.starts_with(b"\x7fELF") && page[18..20] == [62, 0];
    let pages = (1..bytes.len() / 4096).map(|page| page * 4096);
    let magics: Vec<usize> = pages.filter(|&at| is_header(&bytes[at..])).collect();
    ensure!(magics.len() == 3, "{magics:?}");
    for at in magics {
        bytes[at] ^= 1;
        fs::write(&output, &bytes)?;
        let outcome = elfscan(["host"])?.arg(&output).output()?;
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        ensure!(outcome.status.code() == Some(1) && outcome.stdout.is_empty(), "{at}: {said}");
        bytes[at] ^= 1;
    }
    Ok(())
}

/// What is embedded is not asked of the host, and what is denied is not given.
fn converted_answers(case: &Case) -> Result<()> {
    let program = case.build("host", "program", &["-DCANCEL", "-O2", "-pthread"])?;
    let answer = |flags: &[&str]| -> Result<(String, bool)> {
        let flags = [flags, &["--force"]].concat();
        let verdict = verdict(&case.convert(&program, &flags)?)?;
        let answer = verdict["findings"][0]["answer"].as_str().context("no finding")?.to_owned();
        Ok((answer, verdict["clean"] == true))
    };
    ensure!(answer(&[])? == ("host".into(), false));
    ensure!(answer(&["--with", "libgcc_s.so.1"])? == ("embedded".into(), true));
    ensure!(answer(&["--host-libs", "deny"])? == ("embedded".into(), true));
    let program = case.build("host", "argument", &["-DARGUMENT", "-O2", "-ldl"])?;
    let verdict = verdict(&case.convert(&program, &["--host-libs", "deny"])?)?;
    ensure!(verdict["findings"][0]["answer"] == "denied", "{verdict:#}");
    ensure!(verdict["clean"] == true && verdict["host_libs"] == "deny", "{verdict:#}");
    Ok(())
}

/// Under `--host-libs deny` the verdict is clean, and no library's code is mapped.
fn denied(case: &Case, program: &str, arguments: &[&str]) -> Result<()> {
    let path = find_program(program).context("not installed")?;
    // The original does, which shows that it would be seen.
    let original = loads::mapped_code(case, &path, arguments)?;
    ensure!(original.iter().any(|path| path.contains("/libc.so")), "{original:?}");
    let out = case.dir.join(program);
    case.statify.convert(&path, &out, &["--quiet", "--host-libs", "deny"])?;
    let verdict = verdict(&out)?;
    ensure!(verdict["clean"] == true, "{verdict:#}");
    let mapped = loads::mapped_code(case, &out, arguments)?;
    let own = out.to_string_lossy();
    ensure!(mapped.iter().all(|path| *path == own), "{mapped:?}");
    let ran = Command::new(&out).args(arguments).output()?;
    ensure!(ran.status.code().is_some(), "it was killed: {:?}", ran.status);
    Ok(())
}
