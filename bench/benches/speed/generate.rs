//! The generated programs: hello, one that only exits, and programs with many libraries of many relocations.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Relocations in each generated library's table.
const RELOCATIONS: usize = 1000;
/// Functions that each generated library exports.
const FUNCTIONS: usize = 100;
/// What the tables take from libc.
const LIBC: [&str; 8] =
    ["strlen", "memcpy", "malloc", "printf", "getenv", "qsort", "strtol", "write"];

const HELLO: &str = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n";

const ONLY_EXITS: &str = "\
.globl _start
_start:
    mov $231, %eax  # exit_group
    xor %edi, %edi
    syscall
.section .note.GNU-stack, \"\", @progbits
";

/// A source directory and the C compiler.
pub struct Generator {
    directory: PathBuf,
    compiler: String,
}

impl Generator {
    /// Writes sources and programs into `directory`.
    pub fn new(directory: &Path) -> Self {
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        Self { directory: directory.into(), compiler }
    }

    /// A program that prints one line.
    pub fn hello(&self) -> Result<PathBuf> {
        self.compile("hello.c", HELLO, "hello", &["-O2"])
    }

    /// The same, linked statically; fails where there is no libc.a.
    pub fn hello_static(&self) -> Result<PathBuf> {
        self.compile("hello.c", HELLO, "hello-static", &["-O2", "-static"])
    }

    /// A static program without libc that does nothing but exit.
    pub fn only_exits(&self) -> Result<PathBuf> {
        self.compile("only-exits.S", ONLY_EXITS, "only-exits", &["-nostdlib", "-static", "-no-pie"])
    }

    /// A program that needs `count` libraries. Each library holds a table of [`RELOCATIONS`] addresses: of its own functions,
    /// of other libraries' and of libc's, all exported, so that each has to be looked up by name in search order.
    pub fn libraries(&self, count: usize) -> Result<PathBuf> {
        let mut options = vec![
            "-O1".to_owned(),
            "-Wl,--no-as-needed,-rpath,$ORIGIN".to_owned(),
            format!("-L{}", self.directory.display()),
        ];
        for library in 0..count {
            let object = format!("lib{count}x{library}.so");
            let source = format!("{count}x{library}.c");
            self.compile(
                &source,
                &library_source(library, count),
                &object,
                &["-shared", "-fPIC", "-O1", "-w"],
            )?;
            options.push(format!("-l{count}x{library}"));
        }
        let name = format!("libraries-{count}");
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        self.compile(&format!("{name}.c"), &main_source(count), &name, &options)
    }

    fn compile(&self, source: &str, text: &str, output: &str, options: &[&str]) -> Result<PathBuf> {
        let source = self.directory.join(source);
        let output = self.directory.join(output);
        std::fs::write(&source, text)
            .with_context(|| format!("cannot write {}", source.display()))?;
        let result = Command::new(&self.compiler)
            .arg(&source)
            .arg("-o")
            .arg(&output)
            .args(options)
            .output()
            .with_context(|| format!("cannot run the C compiler {}", self.compiler))?;
        if !result.status.success() {
            bail!("{}: {}", source.display(), String::from_utf8_lossy(&result.stderr).trim());
        }
        Ok(output)
    }
}

/// The name of an entry of the table of `library` at `place`. All arithmetic, so that every machine gets the same program.
fn entry(library: usize, place: usize, count: usize) -> String {
    let function = place * 37 % FUNCTIONS;
    match place % 10 {
        0..=3 => format!("f{library}_{function}"),
        4..=7 => format!("f{}_{function}", (library + place * 7 + 1) % count),
        _ => LIBC[place / 10 % LIBC.len()].into(),
    }
}

fn library_source(library: usize, count: usize) -> String {
    let mut text = String::from(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n",
    );
    let entries: Vec<String> = (0..RELOCATIONS).map(|place| entry(library, place, count)).collect();
    let others: std::collections::BTreeSet<&String> =
        entries.iter().filter(|name| name.starts_with('f')).collect();
    // Writing to a String cannot fail.
    for name in others {
        let _ = writeln!(text, "int {name}(int);");
    }
    for function in 0..FUNCTIONS {
        let _ = writeln!(
            text,
            "int f{library}_{function}(int x) {{ return x * {function} + {library}; }}"
        );
    }
    let _ = writeln!(text, "void *table{library}[] = {{");
    for name in entries {
        let _ = writeln!(text, "(void *){name},");
    }
    text.push_str("};\n");
    let own = 3 * 37 % FUNCTIONS + library;
    let other = 6 * 37 % FUNCTIONS + (library + 6 * 7 + 1) % count;
    let _ = writeln!(
        text,
        "int check{library}(void) {{
    int (**functions)(int) = (void *)table{library};
    size_t (**lengths)(const char *) = (void *)table{library};
    return functions[3](1) != {own} || functions[6](1) != {other} || lengths[8](\"four\") != 4;
}}"
    );
    text
}

/// Exits with 0 if one entry of each kind calls what it should: in the last library, or with an argument in all of them.
fn main_source(count: usize) -> String {
    let names: Vec<String> = (0..count).map(|library| format!("check{library}")).collect();
    let mut text = String::new();
    for name in &names {
        let _ = writeln!(text, "int {name}(void);");
    }
    let _ = writeln!(text, "static int (*const checks[])(void) = {{ {} }};", names.join(", "));
    text + "int main(int argc, char **argv) {
    int last = sizeof checks / sizeof *checks, bad = 0;
    for (int i = argc > 1 ? 0 : last - 1; i < last; i++)
        bad |= checks[i]();
    return bad;
}
"
}
