//! `--host-libs deny`: what is not embedded is not loaded, and dlerror says why.

use std::fs;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output};

use crate::plugins::empty_root::EmptyRoot;
use crate::plugins::with::plugin;

pub fn add(cases: &mut Cases) {
    cases.check_glibc("denied/message", message);
    cases.needing(&["userns"]).check_glibc("denied/unwinder", unwinder);
    cases.check_glibc("denied/dependency-of-a-plugin", dependency);
    cases.check_glibc("denied/found-later", found_later);
    cases.check_glibc("denied/what-is-no-library", no_library);
    cases.check_glibc("denied/empty-file", empty_file);
}

fn message(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let path = plugin.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &["--host-libs", "deny"])?;
    let said =
        output(case.command(converted).args([path.as_str(), "/no/such.so", "no.so", "libm.so.6"]))?;
    let line = |number: usize| said.lines().nth(number).unwrap_or_default().to_owned();
    let refusal = "is a library of the host, which --host-libs deny refuses";
    let expected = format!("1: {path} {refusal}: cannot open shared object file");
    ensure!(line(0).starts_with(&expected), "it said {said}");
    ensure!(line(1).ends_with("No such file or directory"), "it said {said}");
    ensure!(line(2).ends_with("No such file or directory"), "it said {said}");
    ensure!(line(3).contains("/libm.so.6 ") && line(3).contains(refusal), "it said {said}");
    ensure!(line(4) == "2 modules", "something was loaded: {said}");
    Ok(())
}

/// glibc opens a library by itself when a thread ends early, and gives up without it.
fn unwinder(case: &Case) -> Result<()> {
    let program = case.build("thread-exit", "thread-exit", &["-O2", "-pthread"])?;
    let converted = case.convert(&program, &["--host-libs", "deny"])?;
    let said = output(&mut EmptyRoot::new(case, &converted)?.command(&[])?)?;
    ensure!(said == "cleaned\nended\n", "it said {said}");
    Ok(())
}

/// A plugin is embedded; what it opens itself is not.
fn dependency(case: &Case) -> Result<()> {
    let [host, _] = plugin(case)?;
    let text = format!(
        "#include <dlfcn.h>\nint plugin_value(void) {{ return dlopen(\"{}\", RTLD_NOW) ? 1 : 2; }}",
        host.display()
    );
    let opener = case.library("opener.so", &text, &["-ldl"])?.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &["--host-libs", "deny", "--with", &opener])?;
    let said = output(case.command(converted).arg(&opener))?;
    ensure!(said.starts_with("1: same as 1, value 2\n"), "it said {said}");
    Ok(())
}

/// The host has a library of the name in a directory that is searched before the embedded one's.
fn found_later(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let before = case.dir.join("before");
    fs::create_dir(&before)?;
    let path = plugin.display().to_string();
    let flag = format!("-Wl,--enable-new-dtags,-rpath,{}:{}", before.display(), case.dir.display());
    let program = case.build("open", "open", &["-O2", "-ldl", &flag])?;
    let converted = case.convert(&program, &["--host-libs", "deny", "--with", &path])?;
    let text = "int plugin_value(void) { return 5; }";
    fs::rename(case.library("other.so", text, &[])?, before.join("plugin.so"))?;
    let said = output(case.command(converted).arg("plugin.so"))?;
    ensure!(said.starts_with("1: same as 1, value 23\n"), "it said {said}");
    Ok(())
}

fn no_library(case: &Case) -> Result<()> {
    let file = case.dir.join("text.so");
    fs::write(&file, "INPUT(libm.so)")?;
    let path = file.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &["--host-libs", "deny"])?;
    let said = output(case.command(converted).arg(&path))?;
    ensure!(
        said.starts_with(&format!("1: {path}: file too short"))
            || said.contains("invalid ELF header"),
        "it said {said}"
    );
    Ok(())
}

/// An empty file stands for an embedded one where that was at conversion, and for nothing elsewhere.
fn empty_file(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let path = plugin.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let options = ["--host-libs", "deny", "--with", &path];
    let converted = case.convert(&program, &options)?;
    fs::write(&plugin, "")?;
    let elsewhere = case.dir.join("elsewhere");
    fs::create_dir(&elsewhere)?;
    let (same_name, other) = (elsewhere.join("plugin.so"), elsewhere.join("other.so"));
    for file in [&same_name, &other] {
        fs::write(file, "")?;
    }
    let said = output(case.command(converted).args([&plugin, &same_name, &other]))?;
    let mut lines = said.lines();
    let mut line = || lines.next().unwrap_or_default();
    ensure!(line().starts_with("1: same as 1, value 23"), "it said {said}");
    let refusal = "is a library of the host, which --host-libs deny refuses";
    for file in [&same_name, &other] {
        let expected = format!("{} {refusal}", file.display());
        ensure!(line().contains(&expected), "it said {said}");
    }
    Ok(())
}
