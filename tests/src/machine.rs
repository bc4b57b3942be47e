//! What the machine offers, by the names that a fixture's `Needs:` and a test's [`needing`](crate::case::Cases::needing)
//! use. What a test uses without such a name must be [`EVERYWHERE`].

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;

use crate::arm64;
use crate::compiler::{compiler, for_aarch64};
use crate::convert::SYSTEM_PATH;
use crate::cross;
use crate::guest;

mod cpu;

/// Why a test with these needs cannot run here; `None` if it can. A need of unknown name is an error,
/// wherever it stands.
pub fn lacking<S: AsRef<str>>(needs: &[S]) -> Result<Option<String>> {
    let mut reasons = Vec::new();
    for need in needs.iter().map(AsRef::as_ref) {
        if let Some(reason) = lacks(need)? {
            reasons.push(format!("{need}: {reason}"));
        }
    }
    Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
}

/// Commands that every machine has on which CONTRIBUTING.md says that the tests run: a shell, coreutils, util-linux,
/// findutils, tar, gzip, a C compiler with its binutils, and what comes with glibc. (Not all of them: those that tests name.)
pub const EVERYWHERE: &[&str] = &[
    "addr2line",
    "cc",
    "chmod",
    "chown",
    "cp",
    "getconf",
    "gzip",
    "ld",
    "ld-linux-x86-64.so.2",
    "ldd",
    "mount",
    "nm",
    "objcopy",
    "objdump",
    "readelf",
    "sh",
    "tar",
    "true",
    "unshare",
];

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
    let digits = |text: &&str| text.starts_with(|digit: char| digit.is_ascii_digit());
    if let Some(standard) = need.strip_prefix("c++").filter(digits) {
        let mut command = Command::new(compiler(true));
        command.args([&format!("-std=c++{standard}"), "-fsyntax-only", "-x", "c++", "/dev/null"]);
        return unless(succeeds(&mut command), "the C++ compiler does not know this standard");
    }
    if let Some(programs) = need.strip_prefix("program:") {
        let found = programs.split('|').any(|program| find_program(program).is_some());
        return unless(found, "not installed");
    }
    if let Some(library) = need.strip_prefix("library:") {
        return unless(has_file(library, &[]), "not installed");
    }
    if let Some(modules) = need.strip_prefix("python:") {
        let import = format!("import {modules}");
        return unless(succeeds(Command::new("python3").args(["-c", &import])), "not installed");
    }
    if let Some(modules) = need.strip_prefix("perl:") {
        let each = modules.split(',').map(|module| format!("-M{module}"));
        return unless(
            succeeds(Command::new("perl").args(each).args(["-e", "1"])),
            "not installed",
        );
    }
    if let Some(file) = need.strip_prefix("file:") {
        return unless(guest::outside(Path::new(file)).exists(), "not there");
    }
    match need {
        "root" => unless(geteuid().is_root(), "not run as root"),
        "privileged-programs" if !geteuid().is_root() => unless(false, "not run as root"),
        "privileged-programs" => {
            let flags = statvfs(&env::temp_dir())?.flags();
            unless(!flags.contains(FsFlags::ST_NOSUID), "the temporary directory is mounted nosuid")
        }
        "randomisation" => {
            let setting = fs::read_to_string("/proc/sys/kernel/randomize_va_space");
            unless(setting.is_ok_and(|text| text.trim() == "2"), "randomize_va_space is not 2")
        }
        "x86" => unless(cfg!(target_arch = "x86_64"), "written for x86-64 and i386"),
        "asm" => unless(cfg!(target_arch = "x86_64"), "written for x86-64"),
        "aarch64" => unless(cfg!(target_arch = "aarch64"), "written for AArch64"),
        "c++" => unless(succeeds(Command::new(compiler(true)).arg("--version")), "no C++ compiler"),
        "coroutines" => unless(has_header("c++20", "coroutine"), "the C++ compiler has none"),
        "filesystem" => unless(has_header("c++17", "filesystem"), "the C++ library has none"),
        "aligned-segments" => unless(
            gnu_ld().is_none_or(|version| version >= (2, 38)),
            "the linker loses alignments above a page (GNU ld before 2.38)",
        ),
        "openmp" => unless(has_file("libgomp.so", &[]), "the compiler comes without libgomp"),
        "static-libc" => unless(has_file("libc.a", &[]), "there is no static C library"),
        "libc-32" => unless(
            ["crt1.o", "libgcc.a"].iter().all(|file| has_file(file, &["-m32"])),
            "the compiler cannot build for 32 bits",
        ),
        "c++-32" => unless(
            has_file("libstdc++.so", &["-m32"]),
            "the C++ compiler comes without a library for 32 bits",
        ),
        "aarch64-cc" => {
            let mut command = Command::new(for_aarch64());
            command.args(["-x", "c", "-E", "-include", "stdio.h", "/dev/null"]);
            unless(
                succeeds(&mut command),
                "neither AARCH64_CC nor aarch64-linux-gnu-gcc is a compiler with a C library",
            )
        }
        "rustc-32" => unless(
            cross::I386.rustc().is_some_and(|rustc| has_made_images(&rustc)),
            "TEST_RUSTC_32 does not name a Rust for i686-unknown-linux-gnu of the release that has made the images in \
             starter/blob",
        ),
        "aarch64-rust" => unless(
            cross::AARCH64.rustc().is_some(),
            "AARCH64_RUSTC does not name a Rust with a standard library for AArch64",
        ),
        "arm64-guest" => unless(
            arm64::Guest::locate().is_some(),
            "TEST_ARM64 does not name a directory that .ci/arm64 made",
        ),
        "vdso-clock" => {
            unless(reads_clock_without_kernel(), "this clock source needs system calls")
        }
        "proc" => unless(Path::new("/proc/self/maps").exists(), "/proc is not mounted"),
        "network-loopback" => {
            unless(TcpListener::bind("127.0.0.1:0").is_ok(), "no loopback interface")
        }
        "fuse" => {
            let device = fs::File::options().read(true).write(true).open("/dev/fuse");
            unless(device.is_ok(), "/dev/fuse cannot be opened")
        }
        "userns" => unless(crate::sandbox::is_possible(), "namespaces cannot be made here"),
        "userns-of-users" => unless(
            crate::sandbox::is_possible_for_users(),
            "users without privileges cannot make namespaces here",
        ),
        "mseal" => unless(knows_mseal(), "this kernel has no mseal(2)"),
        "mdwe" => unless(knows_mdwe(), "this kernel has no PR_SET_MDWE"),
        "cyclonedx" => unless(
            has_modules("cyclonedx.validation.json, jsonschema"),
            "TEST_PYTHON does not name a Python with CycloneDX's validator (tests/requirements.txt)",
        ),
        "kubernetes-validate" => unless(
            has_modules("kubernetes_validate, yaml"),
            "TEST_PYTHON does not name a Python with kubernetes-validate (tests/requirements.txt)",
        ),
        "s3-server" => unless(
            has_modules("botocore, moto.server, moto.s3.models, werkzeug"),
            "TEST_PYTHON does not name a Python with moto's server (tests/requirements.txt)",
        ),
        "kernel" => unless(
            kernel().is_some(),
            "TEST_KERNEL does not name the directory of an unpacked package of Debian's cloud kernel",
        ),
        "musl" => unless(false, "it is about musl, and tested with musl-gcc"),
        "avx" | "avx2" | "avx512" => unless(cpu::has(need), "this CPU has none"),
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

/// Does the compiler know where `file`, a library or what a program begins with, is?
fn has_file(file: &str, flags: &[&str]) -> bool {
    let mut command = Command::new(compiler(false));
    command.args(flags).arg(format!("-print-file-name={file}"));
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
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"].contains(&source.trim())
}

fn knows_mseal() -> bool {
    const SYS_MSEAL: nix::libc::c_long = 462;
    // SAFETY: no memory is sealed by a length of 0.
    unsafe { nix::libc::syscall(SYS_MSEAL, 0, 0, 0) == 0 }
}

fn knows_mdwe() -> bool {
    const PR_GET_MDWE: nix::libc::c_int = 66;
    // SAFETY: it only asks.
    unsafe { nix::libc::prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0 }
}

/// The Python with the packages of `tests/requirements.txt`.
pub fn test_python() -> Option<PathBuf> {
    env::var_os("TEST_PYTHON").map(PathBuf::from)
}

/// A kernel for guests, whose drivers of disk and ext4 are built in, and its release: from the package that is unpacked in the
/// directory `TEST_KERNEL`, which has boot/vmlinuz-RELEASE and lib/modules/RELEASE.
pub fn kernel() -> Option<(PathBuf, String)> {
    let dir = PathBuf::from(env::var_os("TEST_KERNEL")?);
    let names = fs::read_dir(dir.join("boot")).ok()?.flatten();
    let releases = names.filter_map(|entry| {
        entry.file_name().to_str()?.strip_prefix("vmlinuz-").map(str::to_owned)
    });
    Some((dir, releases.max()?))
}

/// Another release of the compiler may make other images of the same source.
fn has_made_images(rustc: &OsStr) -> bool {
    let output = Command::new(rustc).arg("-vV").output();
    let release = include_str!("../../starter/blob/compiler");
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(release))
}

fn has_modules(modules: &str) -> bool {
    let import = format!("import {modules}");
    test_python().is_some_and(|python| succeeds(Command::new(python).args(["-c", &import])))
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
mod commands;

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
        assert!(lacking(&["protons"]).is_err());
        assert!(lacking(&["glibc-new"]).is_err());
        assert_eq!(lacking(&["glibc-2.0"]).expect("known"), None);
        assert!(lacking(&["glibc-99.0"]).expect("known").is_some());
        // Also behind one that is lacking.
        assert!(lacking(&["glibc-99.0", "protons"]).is_err());
    }

    #[test]
    fn everything_that_is_lacking_is_said() {
        let lacks = |needs: &[&str]| lacking(needs).expect("known");
        assert_eq!(lacks(&[]), None);
        assert_eq!(lacks(&["program:no-such-program|sh", "file:/dev/null"]), None);
        assert_eq!(
            lacks(&["program:no-such-program", "program:sh", "file:/no/such/file"]).as_deref(),
            Some("program:no-such-program: not installed; file:/no/such/file: not there")
        );
    }
}
