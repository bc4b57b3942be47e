//! What programs really load once they run: told by ld.so (LD_DEBUG=files), and by the kernel
//! (strace).

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, run};
use statify_tests::process::{Limits, Running};

use crate::elfscan::tool;

/// A library that was opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    /// By this name.
    pub name: String,
    /// By code of this file.
    pub by: String,
}

/// Runs a command and returns what is opened after its start, the libraries of libraries left out.
pub fn loads(case: &Case, command: &mut Command) -> Result<Vec<Load>> {
    let log = case.dir.join("ld");
    command.env("LD_DEBUG", "files").env("LD_DEBUG_OUTPUT", &log);
    let running = Running::start(command, b"", Limits::seconds(30))?;
    let log = log.with_extension(running.pid().to_string());
    running.finish()?;
    let text = fs::read(&log).context("ld.so wrote nothing")?;
    fs::remove_file(&log)?;
    let text = String::from_utf8_lossy(&text);
    let name = |text: &str| text.split(" [").next().unwrap_or_default().to_owned();
    let mut loads: Vec<Load> = text
        .lines()
        .filter_map(|line| line.split_once("file="))
        .filter_map(|(_, rest)| rest.split_once("dynamically loaded by "))
        .map(|(file, by)| Load { name: name(file), by: name(by) })
        .collect();
    loads.sort();
    loads.dedup();
    Ok(loads)
}

/// Whether the verdict says that this may happen.
pub fn is_predicted(verdict: &Value, load: &Load) -> Result<bool> {
    let by = last(&load.by);
    let open = |finding: &&Value| finding["kind"] == "code" && finding["answer"] == "host";
    let findings: Vec<&Value> =
        verdict["findings"].as_array().context("no findings")?.iter().filter(open).collect();
    let names = |finding: &Value| {
        let names = finding["names"].as_array().into_iter().flatten();
        let mut names = names.filter_map(|name| name["name"].as_str());
        names.any(|name| matches(name, &load.name))
    };
    let is_glibc = ["libc.so", "libpthread.so", "libnss_", "ld-linux"];
    if is_glibc.iter().any(|part| by.starts_with(part)) {
        let of_glibc = ["nss", "gconv", "idn", "unwinder"];
        let of_glibc = |finding: &Value| of_glibc.iter().any(|name| finding["category"] == *name);
        return Ok(findings.iter().any(|finding| of_glibc(finding) && names(finding)));
    }
    // Loading for others.
    let of_wrapper = |finding: &Value| {
        let mut symbols = finding["symbols"].as_array().into_iter().flatten();
        symbols.any(|symbol| symbol["provider"] == by)
    };
    let is_wrapper = by.starts_with("libgmodule") || by.starts_with("libltdl");
    let is_of = |finding: &Value| {
        let own = finding["module"] == by || finding["path"].as_str().map(last) == Some(by);
        let called = finding["symbols"].as_array().is_some_and(|symbols| !symbols.is_empty());
        called && if is_wrapper { of_wrapper(finding) } else { own }
    };
    let allows = |finding: &Value| finding["unknown_names"] == true || names(finding);
    if findings.iter().any(|finding| is_of(finding) && allows(finding)) {
        return Ok(true);
    }
    // What was loaded may load in turn: then its own verdict says so.
    let modules = verdict["modules"].as_array().context("no modules")?;
    let is_known = modules.iter().any(|module| module.as_str().map(last) == Some(by));
    if is_known || !load.by.starts_with('/') {
        return Ok(false);
    }
    let (own, _) = tool::json(["host", "--json", &load.by])?;
    is_predicted(&own, load)
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Whether a name is `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|at| name.is_char_boundary(at) && matches(rest, &name[at..]))
        }),
    }
}

/// Runs a command under strace and returns the paths of files that were mapped with PROT_EXEC after
/// the process had become its program.
pub fn mapped_code(case: &Case, program: &Path, arguments: &[&str]) -> Result<Vec<String>> {
    let log = case.dir.join("strace");
    let mut command = case.command("strace");
    // -y: descriptors with their paths.
    command.args(["-f", "-y", "-e", "trace=mmap,openat", "-o"]).arg(&log).arg(program);
    let outcome = run(command.args(arguments))?;
    let text = fs::read(&log).with_context(|| outcome.stderr_text())?;
    let text = String::from_utf8_lossy(&text);
    let mapped = text.lines().filter(|line| line.contains("mmap(") && line.contains("PROT_EXEC"));
    let paths = mapped.filter_map(|line| Some(line.split_once('<')?.1.split_once('>')?.0));
    let paths = paths.map(str::to_owned).collect();
    ensure!(text.contains("+++"), "strace saw no end");
    Ok(paths)
}
