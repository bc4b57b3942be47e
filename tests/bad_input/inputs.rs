//! Files that are no program statify can convert.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use statify_tests::case::{Case, Cases};
use statify_tests::sandbox;

use crate::bad_input::attempt::{matches, refused, refused_for, statify};

pub fn add(cases: &mut Cases) {
    cases.check("input/missing", |case| {
        refused_for(case, &case.dir.join("missing"), &["missing", "no such file"])
    });
    cases.check("input/missing-on-path", |case| {
        refused_for(case, Path::new("no-such-program"), &["no-such-program", "PATH"])
    });
    cases.check("input/directory", |case| refused_for(case, &case.dir, &["directory"]));
    cases.check("input/fifo", |case| {
        let path = case.dir.join("fifo");
        mkfifo(&path, Mode::S_IRWXU)?;
        refused_for(case, &path, &["regular file"])
    });
    cases
        .check("input/device", |case| refused_for(case, Path::new("/dev/zero"), &["regular file"]));
    cases.check("input/empty", |case| written(case, b"", &["ELF|empty"]));
    cases.check("input/text", |case| written(case, b"This is no program.\n", &["ELF"]));
    cases.check("input/script", |case| written(case, b"#!/bin/sh\necho\n", &["script", "/bin/sh"]));
    cases.check("input/unreadable", unreadable);
    cases.check("input/32-bit", |case| written(case, &elf32(), &["32-bit", "not supported"]));
    cases.check("input/other-machine", |case| {
        // EM_AARCH64 in e_machine.
        let words = ["aarch64 machines", "only be converted where it runs"];
        patched(case, |bytes| bytes[18] = 183, &words)?;
        // EM_RISCV.
        let words = ["riscv64: ELF machine 243, 64-bit", "not supported"];
        patched(case, |bytes| bytes[18] = 243, &words)
    });
    cases.check("input/big-endian", |case| {
        patched(case, |bytes| bytes[5] = 2, &["endian|not supported"])
    });
    cases.check("input/shared-library", |case| {
        let library = case.library("libplain.so", "int plain(void) { return 1; }", &[])?;
        refused_for(case, &library, &["library|interpreter"])
    });
    cases.check("input/object-file", |case| {
        refused_for(
            case,
            &case.build("plain", "plain.o", &["-c"])?,
            &["ELF|executable|relocatable"],
        )
    });
    for (name, flags) in
        [("static", &["-static", "-no-pie"]), ("static-pie", &["-static-pie", "-fPIE"])]
    {
        cases.needing(&["static-libc"]).check(&format!("input/{name}"), |case| {
            refused_for(case, &case.build("plain", "plain", flags)?, &["static"])
        });
    }
    cases.check("input/converted", |case| {
        let converted = case.convert(&plain(case)?, &[])?;
        refused_for(case, &converted, &["already"])
    });
    cases.check("input/set-user-id", |case| {
        let program = plain(case)?;
        fs::set_permissions(&program, Permissions::from_mode(0o4755))?;
        refused_for(case, &program, &["set-user-ID"])
    });
    cases.check("input/interpreter-missing", |case| {
        patched(
            case,
            |bytes| replace(bytes, b"ld-linux-x86-64.so.2", b"ld-linux-x86-64.so.9"),
            &["ld-linux-x86-64.so.9", "interpreter"],
        )
    });
    cases.check("input/interpreter-not-elf", |case| {
        patched(
            case,
            |bytes| replace(bytes, b"/lib64/ld-linux-x86-64.so.2", b"/etc/../etc/././././passwd\0"),
            &["passwd|interpreter"],
        )
    });
    cases.check("input/library-missing", |case| {
        let program = with_library(case)?;
        fs::remove_file(case.dir.join("libvalue.so"))?;
        refused_for(case, &program, &["libvalue\\.so", "program"])
    });
    cases.check("input/library-of-library-missing", library_of_library_missing);
    cases.check("input/library-corrupted", |case| {
        let program = with_library(case)?;
        fs::write(case.dir.join("libvalue.so"), b"no library")?;
        refused_for(case, &program, &["libvalue\\.so"])
    });
    cases.check("input/symbol-undefined", |case| {
        let program = with_library(case)?;
        case.library("libvalue.so", "int other = 1;", &["-Wl,-soname,libvalue.so"])?;
        refused_for(case, &program, &["undefined symbol", "\\bvalue\\b"])
    });
    cases.check("input/symbol-version-undefined", symbol_version_undefined);
    // A hole of terabytes, which takes nothing to make and hours to read.
    for (name, len) in [("hollow", 200 << 20), ("huge", 4 << 40)] {
        cases.check(&format!("input/{name}-program"), move |case| {
            let program = plain(case)?;
            enlarge(&program, len)?;
            refused_for(case, &program, &["plain: it has \\d+ bytes", "it is not read"])
        });
        cases.check(&format!("input/{name}-library"), move |case| {
            let program = with_library(case)?;
            enlarge(&case.dir.join("libvalue.so"), len)?;
            refused_for(case, &program, &["libvalue.so: it has \\d+ bytes", "it is not read"])
        });
        cases.check(&format!("input/{name}-loader"), move |case| {
            let loader = case.dir.join("ld.so");
            fs::copy("/lib64/ld-linux-x86-64.so.2", &loader)?;
            enlarge(&loader, len)?;
            let flag = format!("-Wl,--dynamic-linker={}", loader.display());
            let program = case.build("plain", "plain", &[&flag])?;
            refused_for(case, &program, &["ld.so", "it has \\d+ bytes", "it is not read"])
        });
    }
    cases.check("input/name-that-speaks-to-the-terminal", |case| {
        let name = "a\x1b[31m\u{9b}\u{202e}\u{2066}\u{200b}\u{2028}\nb";
        let mut command = statify(case, &case.dir.join(name), &[]);
        let sentence = refused(case, &mut command)?;
        ensure!(sentence.chars().all(statify_printable::is_shown), "{sentence:?}");
        // The same of an option that is none: clap's words.
        let mut command = case.statify.command([format!("--{name}")]);
        let outcome = statify_tests::case::run(&mut command)?;
        let said = outcome.stderr_text();
        let is_good = |letter: char| letter == '\n' || statify_printable::is_shown(letter);
        ensure!(!said.is_empty() && said.chars().all(is_good), "{said:?}");
        Ok(())
    });
}

/// Makes a file larger by a hole.
fn enlarge(path: &Path, len: u64) -> Result<()> {
    Ok(fs::OpenOptions::new().write(true).open(path)?.set_len(len)?)
}

pub fn plain(case: &Case) -> Result<PathBuf> {
    case.build("plain", "plain", &["-O1"])
}

fn written(case: &Case, bytes: &[u8], patterns: &[&str]) -> Result<()> {
    let path = case.dir.join("program");
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    refused_for(case, &path, patterns)
}

fn patched(case: &Case, patch: impl FnOnce(&mut Vec<u8>), patterns: &[&str]) -> Result<()> {
    let mut bytes = fs::read(plain(case)?)?;
    patch(&mut bytes);
    written(case, &bytes, patterns)
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    if let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

/// The header of an ARM program of 32 bits with one PT_INTERP (gABI, chapter 4).
pub fn elf32() -> Vec<u8> {
    let interpreter = b"/lib/ld-linux.so.2\0";
    let length = interpreter.len() as u32;
    let halves =
        |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let words =
        |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    [
        b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        // ET_EXEC, EM_ARM.
        halves(&[2, 40]),
        // e_version, e_entry, e_phoff, e_shoff, e_flags.
        words(&[1, 0x0804_8000, 52, 0, 0]),
        // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx.
        halves(&[52, 32, 1, 40, 0, 0]),
        // PT_INTERP: type, offset, address, physical address, size in file, size in memory, flags, alignment.
        words(&[3, 84, 0x0804_8054, 0x0804_8054, length, length, 4, 1]),
        interpreter.to_vec(),
    ]
    .concat()
}

fn unreadable(case: &Case) -> Result<()> {
    let program = plain(case)?;
    fs::set_permissions(&program, Permissions::from_mode(0o000))?;
    let message = refused(case, sandbox::unprivileged(&mut statify(case, &program, &[])))?;
    matches(&message, &["plain", "permission"])
}

/// A program that needs libvalue.so and its variable `value`.
fn with_library(case: &Case) -> Result<PathBuf> {
    case.library("libvalue.so", "int value = 1;", &["-Wl,-soname,libvalue.so"])?;
    let link = case.link(&["libvalue.so"]);
    let flags: Vec<_> = ["-DVALUE"].into_iter().chain(link.iter().map(String::as_str)).collect();
    case.build("plain", "program", &flags)
}

fn library_of_library_missing(case: &Case) -> Result<()> {
    case.library("libinner.so", "int inner = 1;", &["-Wl,-soname,libinner.so"])?;
    let link = case.link(&["libinner.so"]);
    let flags: Vec<_> =
        ["-Wl,-soname,libouter.so"].into_iter().chain(link.iter().map(String::as_str)).collect();
    case.library("libouter.so", "extern int inner; int *outer = &inner;", &flags)?;
    let link = case.link(&["libouter.so"]);
    let flags: Vec<_> = link.iter().map(String::as_str).collect();
    let program = case.build("plain", "program", &flags)?;
    fs::remove_file(case.dir.join("libinner.so"))?;
    refused_for(case, &program, &["libinner\\.so", "libouter\\.so"])
}

fn symbol_version_undefined(case: &Case) -> Result<()> {
    let versions = case.dir.join("versions");
    fs::write(&versions, "NEW_2 { value; };")?;
    let script = format!("-Wl,--version-script={}", versions.display());
    let flags = ["-Wl,-soname,libvalue.so", script.as_str()];
    case.library("libvalue.so", "int value = 1;", &flags)?;
    let link = case.link(&["libvalue.so"]);
    let wanted: Vec<_> = ["-DVALUE"].into_iter().chain(link.iter().map(String::as_str)).collect();
    let program = case.build("plain", "program", &wanted)?;
    fs::write(&versions, "OLD_1 { value; };")?;
    let library =
        case.library("libvalue.so", "int value = 1;", &flags).context("the older library")?;
    ensure!(library.exists());
    refused_for(case, &program, &["NEW_2", "libvalue\\.so"])
}
