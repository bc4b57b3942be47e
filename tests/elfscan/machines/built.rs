//! Programs and libraries for a machine.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use statify_elf::ElfFile;
use statify_tests::case::{Case, output};
use statify_tests::compiler::{compiler, for_aarch64};

/// A machine that files can be built for here.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    /// The command that compiles and links.
    pub compiler: fn() -> OsString,
    /// What that is to be told.
    flags: &'static [&'static str],
    /// What it takes.
    pub needs: &'static [&'static str],
}

const X86_64: Target = Target { name: "x86-64", compiler: machines, flags: &[], needs: &[] };
pub const I386: Target =
    Target { name: "i386", compiler: machines, flags: &["-m32"], needs: &["libc-32"] };
pub const AARCH64: Target =
    Target { name: "aarch64", compiler: for_aarch64, flags: &[], needs: &["aarch64-cc"] };
pub const ALL: [Target; 3] = [X86_64, I386, AARCH64];

/// Each way in which a library and a program differ that are built for a machine.
pub const WAYS: &[(&str, &[&str])] = &[
    ("lazy", &["-O2", "-Wl,-z,lazy"]),
    ("now", &["-O2", "-Wl,-z,now"]),
    ("plain", &["-O0", "-Wl,-z,lazy"]),
    ("no-plt", &["-O2", "-fno-plt"]),
    ("small", &["-Os", "-Wl,-z,lazy", "-Wl,-z,norelro"]),
];
/// How programs lie in memory.
pub const PLACES: &[(&str, &[&str])] =
    &[("pie", &["-fPIE", "-pie"]), ("fixed", &["-fno-pie", "-no-pie"])];

/// A file that was built.
pub struct Built {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

impl Built {
    pub fn elf(&self) -> Result<ElfFile<'_>> {
        ElfFile::parse_any(&self.bytes).with_context(|| self.path.display().to_string())
    }
}

fn machines() -> OsString {
    compiler(false)
}

impl Target {
    /// Compiles a text to a file of this name in the case's directory.
    pub fn build(self, case: &Case, name: &str, text: &str, flags: &[&str]) -> Result<Built> {
        let source = case.dir.join(format!("{name}.c"));
        let path = case.dir.join(name);
        fs::write(&source, text)?;
        let mut command = Command::new((self.compiler)());
        command.args(self.flags).arg(&source).arg("-o").arg(&path).args(flags);
        output(&mut command)?;
        let bytes = fs::read(&path)?;
        Ok(Built { path, bytes })
    }

    /// A library and a program in each way: imports of every kind, thread-local variables, constants that move.
    pub fn build_all(self, case: &Case) -> Result<Vec<Built>> {
        let mut all = Vec::new();
        for (way, flags) in WAYS {
            let name = format!("libkinds-{way}.so");
            let flags = [&["-shared", "-fPIC"], *flags].concat();
            let library = self.build(case, &name, LIBRARY, &flags)?;
            let path = library.path.display().to_string();
            all.push(library);
            for (place, more) in PLACES {
                let flags = [&flags[2..], *more, &[&path]].concat();
                all.push(self.build(case, &format!("program-{way}-{place}"), PROGRAM, &flags)?);
            }
        }
        Ok(all)
    }
}

/// Asks for `library.so`, and by a call that is its last for `last.so`.
pub const LIBRARY: &str = r#"
#include <dlfcn.h>
#include <stdlib.h>
__thread int shared = 4;
static __thread int own = 5;
int data = 3;
int *moved = &data;
int *shared_at(void) { return &shared; }
int *own_at(void) { return &own; }
static int one(int x) { return x + 1; }
static int (*choose(void))(int) { return one; }
int chosen(int) __attribute__((ifunc("choose")));
void *asks(int x) {
    void *found = dlopen("library.so", RTLD_NOW);
    if (!found || chosen(x) == 7)
        abort();
    return found;
}
void *asks_last(void) { return dlopen("last.so", RTLD_LAZY); }
"#;

/// Asks for `first.so` and `second.so`, and calls printf by an address that it takes.
const PROGRAM: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
extern __thread int shared;
extern int data;
void *asks(int);
static __thread int own = 3;
int (*by_pointer)(const char *, ...) = printf;
int main(int argc, char **argv) {
    void *first = dlopen("first.so", RTLD_NOW);
    if (argc > 1)
        puts("some text");
    void *second = dlopen("second.so", RTLD_LAZY);
    return by_pointer("%p", asks(argc)) + shared + own + data + (first == second);
}
"#;
