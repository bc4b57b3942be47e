//! What the machine offers, by the names that `Needs:` uses.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use crate::builder::compiler;
use crate::convert::SYSTEM_PATH;
use crate::guest;

/// Why a fixture with these needs cannot run here; `None` if it can. A need of unknown name is an error.
pub fn lacking(needs: &[String]) -> Result<Option<String>> {
    for need in needs {
        if let Some(reason) = lacks(need)? {
            return Ok(Some(format!("{need}: {reason}")));
        }
    }
    Ok(None)
}

/// Answers already found, since some questions cost a process.
static KNOWN: Mutex<BTreeMap<String, Option<String>>> = Mutex::new(BTreeMap::new());

fn lacks(need: &str) -> Result<Option<String>> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answer) = known.get(need) {
        return Ok(answer.clone());
    }
    let answer = probe(need)?;
    known.insert(need.into(), answer.clone());
    Ok(answer)
}

fn probe(need: &str) -> Result<Option<String>> {
    let unless = |available: bool, reason: &str| Ok((!available).then(|| reason.to_owned()));
    if let Some(version) = need.strip_prefix("glibc-") {
        return glibc_at_least(version);
    }
    if let Some(standard) = need.strip_prefix("c++").filter(|standard| !standard.is_empty()) {
        let mut command = Command::new(compiler(true));
        command.args([&format!("-std=c++{standard}"), "-fsyntax-only", "-x", "c++", "/dev/null"]);
        return unless(succeeds(&mut command), "the C++ compiler does not know this standard");
    }
    if let Some(program) = need.strip_prefix("program:") {
        return unless(find_program(program).is_some(), "not installed");
    }
    match need {
        "root" => unless(geteuid().is_root(), "not run as root"),
        "asm" => unless(cfg!(target_arch = "x86_64"), "written for x86-64"),
        "c++" => unless(succeeds(Command::new(compiler(true)).arg("--version")), "no C++ compiler"),
        "coroutines" => unless(has_header("c++20", "coroutine"), "the C++ compiler has none"),
        "filesystem" => unless(has_header("c++17", "filesystem"), "the C++ library has none"),
        "aligned-segments" => unless(
            gnu_ld().is_none_or(|version| version >= (2, 38)),
            "the linker loses alignments above a page (GNU ld before 2.38)",
        ),
        "openmp" => unless(has_library("libgomp.so"), "the compiler comes without libgomp"),
        "vdso-clock" => {
            unless(reads_clock_without_kernel(), "this clock source needs system calls")
        }
        "proc" => unless(Path::new("/proc/self/maps").exists(), "/proc is not mounted"),
        "network-loopback" => {
            unless(TcpListener::bind("127.0.0.1:0").is_ok(), "no loopback interface")
        }
        "userns" => unless(crate::sandbox::is_possible(), "namespaces cannot be made here"),
        "musl" => unless(false, "it is about musl, and tested with musl-gcc"),
        "avx" => unless(is_x86_feature_detected!("avx"), "this CPU has none"),
        "avx2" => unless(is_x86_feature_detected!("avx2"), "this CPU has none"),
        "avx512" => unless(is_x86_feature_detected!("avx512f"), "this CPU has none"),
        _ => bail!("`Needs: {need}` names no feature that is known"),
    }
}

fn succeeds(command: &mut Command) -> bool {
    if guest::place(command, Path::new("/")).is_err() {
        return false;
    }
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Can the C++ compiler read the header without further options?
fn has_header(standard: &str, header: &str) -> bool {
    let mut command = Command::new(compiler(true));
    command.args([&format!("-std={standard}"), "-fsyntax-only", "-include", header]);
    succeeds(command.args(["-x", "c++", "/dev/null"]))
}

/// Does the compiler know where the library `file` is?
fn has_library(file: &str) -> bool {
    let mut command = Command::new(compiler(false));
    command.arg(format!("-print-file-name={file}"));
    let output = guest::place(&mut command, Path::new("/")).and_then(|command| command.output());
    // It repeats the name when it does not.
    output.is_ok_and(|output| output.stdout.contains(&b'/'))
}

/// The version of the compiler's linker; `None` if it is another than GNU ld.
fn gnu_ld() -> Option<(u32, u32)> {
    let mut command = Command::new(compiler(false));
    command.arg("-Wl,--version").env("LC_ALL", "C");
    let output = guest::place(&mut command, Path::new("/")).ok()?.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let first = text.lines().next()?.strip_prefix("GNU ld ")?;
    parse_version(first.rsplit(' ').next()?)
}

/// Can the vDSO read the clock source by itself (Documentation/timers/timekeeping.rst)?
fn reads_clock_without_kernel() -> bool {
    let current = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = fs::read_to_string(current).unwrap_or_default();
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page"].contains(&source.trim())
}

/// The file that `program` names on the tests' PATH.
pub fn find_program(program: &str) -> Option<PathBuf> {
    // In a guest a symbolic link may look broken from outside.
    let is_there = |path: &PathBuf| match guest::root() {
        Some(_) => guest::outside(path).symlink_metadata().is_ok(),
        None => path.is_file(),
    };
    env::split_paths(SYSTEM_PATH).map(|dir| dir.join(program)).find(is_there)
}

/// The machine's glibc as (major, minor); `None` if it has another C library.
pub fn glibc() -> Option<(u32, u32)> {
    let mut command = Command::new("getconf");
    command.arg("GNU_LIBC_VERSION");
    let output = guest::place(&mut command, Path::new("/")).ok()?.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    parse_version(text.trim().strip_prefix("glibc ")?)
}

fn glibc_at_least(version: &str) -> Result<Option<String>> {
    let Some(wanted) = parse_version(version) else { bail!("`{version}` is no version of glibc") };
    Ok(match glibc() {
        None => Some("the C library is not glibc".into()),
        Some(found) if found < wanted => Some(format!("glibc here is {}.{}", found.0, found.1)),
        Some(_) => None,
    })
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, version) in
            [("2.36", Some((2, 36))), ("2.36.9000", Some((2, 36))), ("2", None), ("2.x", None)]
        {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }

    #[test]
    fn a_need_without_a_meaning_is_an_error() {
        assert!(lacking(&["protons".into()]).is_err());
        assert!(lacking(&["glibc-new".into()]).is_err());
        assert_eq!(lacking(&["glibc-2.0".into()]).expect("known"), None);
        assert!(lacking(&["glibc-99.0".into()]).expect("known").is_some());
        assert_eq!(lacking(&["program:no-such-program".into()]).expect("known").as_deref(), {
            Some("program:no-such-program: not installed")
        });
    }
}
