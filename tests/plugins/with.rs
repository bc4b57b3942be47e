//! What `--with` embeds is found by the names that dlopen has found it by, with no file there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::machine::find_program;
use statify_tests::process::End;

use crate::plugins::empty_root::EmptyRoot;

pub fn add(cases: &mut Cases) {
    for (name, build, flags) in [
        ("randomised", "-pie", &[][..]),
        ("fixed", "-pie", &["--fixed"]),
        ("aligned", "-pie", &["--align", "65536"]),
        ("denying", "-pie", &["--host-libs", "deny"]),
        ("at-its-own-addresses", "-no-pie", &[]),
    ] {
        cases.needing(&["userns"]).check_glibc(&format!("with/empty-root/{name}"), move |case| {
            empty_root(case, build, flags)
        });
    }
    cases.check_glibc("with/name-as-the-loader-finds-it", by_name);
    cases.check_glibc("with/symbol-from-another-plugin", symbol_from_another);
    cases.check_glibc("with/resolver-that-needs-another-plugin", resolver);
    cases.check_glibc("with/threads-and-processes", threads);
    cases.check_glibc("with/no-page-writable-and-executable", protection);
    cases.needing(&["userns"]).check_glibc("with/no-file-in-memory-permitted", without_memfd);
    cases
        .needing(&["userns", "program:prlimit"])
        .check_glibc("with/no-large-files-permitted", small_files);
    for align in ["4096", "65536"] {
        cases.check_glibc(&format!("with/hundred-plugins/{align}"), move |case| {
            hundred(case, align)
        });
    }
    cases.check_glibc("with/kernel-without-statx", without_statx);
    cases.check_glibc("with/reproducible", reproducible);
    cases.check_glibc("with/namespace", namespace);
}

/// A plugin with a constructor, thread-local data and a library that it finds beside itself. Its paths.
pub fn plugin(case: &Case) -> Result<[PathBuf; 2]> {
    let helper = case.library(
        "libhelper.so.1",
        "#include <stdlib.h>\nint helper(void) { return atoi(\"20\"); }",
        &["-Wl,-soname,libhelper.so.1"],
    )?;
    let text = "int helper(void);\n\
        static __thread int local __attribute__((tls_model(\"initial-exec\"))) = 1;\n\
        static int constructed;\n\
        __attribute__((constructor)) static void construct(void) { constructed = 2; }\n\
        int plugin_value(void) { return helper() + local + constructed; }";
    let dir = case.dir.display();
    let plugin = case.library(
        "plugin.so",
        text,
        &[&format!("-L{dir}"), "-l:libhelper.so.1", "-Wl,-rpath,$ORIGIN"],
    )?;
    Ok([plugin, helper])
}

fn empty_root(case: &Case, build: &str, flags: &[&str]) -> Result<()> {
    let [plugin, helper] = plugin(case)?;
    let (plugin, helper) = (plugin.display().to_string(), helper.display().to_string());
    let program = case.build("open", "open", &["-O2", "-ldl", build])?;
    let converted = case.convert(&program, &[flags, &["--with", &plugin]].concat())?;
    let root = EmptyRoot::new(case, &converted)?;
    let twice = plugin.replacen('/', "//", 1);
    // The loader remembers directories that it found nothing in.
    let names = ["libother.so", &plugin, "plugin.so", &twice, "libhelper.so.1", &helper];
    let said = output(&mut root.command(&names)?)?;
    let expected = "1: libother.so: cannot open shared object file: No such file or directory\n\
        2: same as 2, value 23\n\
        3: same as 2, value 23\n\
        4: same as 2, value 23\n\
        5: same as 5, value -1\n\
        6: same as 5, value -1\n";
    ensure!(said.starts_with(expected), "it said {said}");
    Ok(())
}

/// A library of the machine, by a bare name.
fn by_name(case: &Case) -> Result<()> {
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &["--with", "libm.so.6", "--host-libs", "deny"])?;
    let said = output(case.command(converted).arg("libm.so.6"))?;
    ensure!(said.starts_with("1: same as 1, value -1\n"), "it said {said}");
    Ok(())
}

/// A plugin that uses a symbol of one that the program opens before (from the host), without saying so.
fn symbol_from_another(case: &Case) -> Result<()> {
    let text = "extern int later; int plugin_value(void) { return later; }";
    later(case, text)
}

/// The same at relocation: an IFUNC resolver reads it, and dies without.
fn resolver(case: &Case) -> Result<()> {
    let text = "extern int later __attribute__((weak));\n\
        static int value(void) { return later; }\n\
        static int (*resolve(void))(void) { return *(volatile int *)&later == 41 ? value : 0; }\n\
        int plugin_value(void) __attribute__((ifunc(\"resolve\")));";
    later(case, text)
}

fn later(case: &Case, text: &str) -> Result<()> {
    let before = case.library("before.so", "int later = 41;", &[])?;
    let plugin = case.library("plugin.so", text, &[])?;
    let flags = ["-O2", "-ldl", "-DFLAGS=RTLD_NOW|RTLD_GLOBAL"];
    let program = case.build("open", "open", &flags)?;
    let (before, plugin) = (before.display().to_string(), plugin.display().to_string());
    let converted = case.convert(&program, &["--with", &plugin])?;
    fs::remove_file(&plugin)?;
    let said = output(case.command(converted).args([before, plugin]))?;
    ensure!(said.contains("2: same as 2, value 41\n"), "it said {said}");
    Ok(())
}

fn threads(case: &Case) -> Result<()> {
    let [plugin, helper] = plugin(case)?;
    let program = case.build("threads", "threads", &["-O2", "-pthread", "-ldl"])?;
    let path = plugin.display().to_string();
    let converted = case.convert(&program, &["--with", &path, "--host-libs", "deny"])?;
    fs::remove_file(&plugin)?;
    fs::remove_file(helper)?;
    let said = output(case.command(converted).args([path.as_str(), "plugin.so"]))?;
    ensure!(said == "all opened\n", "it said {said}");
    Ok(())
}

fn protection(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let path = plugin.display().to_string();
    // The plugin's constructor looks at the process, agent and plugin included. Where there is /proc, plugins are pages of
    // the output.
    let look = case.library(
        "look.so",
        "#include <stdio.h>\n#include <string.h>\n\
         __attribute__((constructor)) static void look(void) {\n\
             char line[1024];\n\
             FILE *maps = fopen(\"/proc/self/maps\", \"r\");\n\
             while (maps && fgets(line, sizeof line, maps)) {\n\
                 if (strstr(line, \"memfd\"))\n\
                     fputs(line, stdout);\n\
                 if (line[strcspn(line, \" \") + 2] == 'w' && line[strcspn(line, \" \") + 3] == 'x')\n\
                     fputs(line, stdout);\n\
             }\n\
             puts(maps ? \"looked\" : \"no maps\");\n\
         }",
        &[],
    )?;
    let look = look.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &["--with", &path, &look, "--host-libs", "deny"])?;
    let said = output(case.command(converted).args([&path, &look]))?;
    ensure!(said.contains("value 23\nlooked\n2: same as 2"), "it said {said}");
    Ok(())
}

/// Without /proc a plugin is a file in memory; where memfd_create(2) is forbidden, a file without a name in a directory does;
/// where there is no such either, dlopen says so.
fn without_memfd(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let path = plugin.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let forbid = case.build("forbid", "forbid", &["-O2"])?;
    let converted = case.convert(&program, &["--with", &path, "--host-libs", "deny"])?;
    let root = EmptyRoot::new(case, &converted)?;
    let forbidden = |call: &str| -> Result<Command> {
        let mut command = case.command(&forbid);
        command.arg(call).arg("--").args(words(&root.command(&[&path])?)?);
        Ok(command)
    };
    let said = output(&mut forbidden("memfd_create")?)?;
    ensure!(said.starts_with("1: same as 1, value 23\n"), "it said {said}");
    let outcome = run(&mut forbidden("pwrite64")?)?;
    let said = outcome.stdout_text();
    ensure!(outcome.end == End::Exit(0), "it ended with {}", outcome.end);
    let expected = format!("1: {path}: cannot open shared object file: Operation not permitted\n");
    ensure!(said.starts_with(&expected), "it said {said}");
    Ok(())
}

/// A kernel before 4.11: the loader asks for the state of files by another call than in the traced run.
fn without_statx(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let path = plugin.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let forbid = case.build("forbid", "forbid", &["-O2", "-DERROR=ENOSYS"])?;
    let converted = case.convert(&program, &["--with", &path])?;
    let copy = case.dir.join("copy.so");
    fs::copy(&plugin, &copy)?;
    let mut command = case.command(&forbid);
    command.args(["statx", "--"]).arg(converted).arg(&path).arg(copy);
    let said = output(&mut command)?;
    let expected = "1: same as 1, value 23\n2: same as 1, value 23\n";
    ensure!(said.starts_with(expected), "it said {said}");
    Ok(())
}

/// A process that may not write files of a plugin's size gets an error, not a signal.
fn small_files(case: &Case) -> Result<()> {
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &["--with", "libm.so.6", "--host-libs", "deny"])?;
    let root = EmptyRoot::new(case, &converted)?;
    let mut command = case.command("sh");
    command.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]);
    let said = output(command.args(words(&root.command(&["libm.so.6"])?)?))?;
    ensure!(said.contains("libm.so.6: cannot open shared object file: File too large"), "{said}");
    Ok(())
}

/// A command as the words of its line, the program by its path.
fn words(command: &Command) -> Result<Vec<OsString>> {
    let program = command.get_program().to_str().and_then(find_program);
    let program = program.context("not on the path")?.into_os_string();
    Ok([program].into_iter().chain(command.get_args().map(OsStr::to_owned)).collect())
}

/// More plugins than program headers.
fn hundred(case: &Case, align: &str) -> Result<()> {
    let mut flags = vec!["--align".to_owned(), align.to_owned(), "--with".to_owned()];
    for number in 0..100 {
        let text = format!("int plugin_value(void) {{ return {number}; }}");
        let file = case.library(&format!("p{number}.so"), &text, &[])?;
        flags.push(file.display().to_string());
    }
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--host-libs=deny"]).collect();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let converted = case.convert(&program, &flags)?;
    for number in 0..100 {
        fs::remove_file(case.dir.join(format!("p{number}.so")))?;
    }
    let said = output(case.command(converted).args(["p0.so", "p57.so", "p99.so"]))?;
    for line in ["1: same as 1, value 0\n", "2: same as 2, value 57\n", "3: same as 3, value 99\n"]
    {
        ensure!(said.contains(line), "it said {said}");
    }
    Ok(())
}

fn reproducible(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let path = plugin.display().to_string();
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let flags = ["--with", &path, "libm.so.6", "--force"];
    let first = fs::read(case.convert(&program, &flags)?)?;
    let second = fs::read(case.convert(&program, &flags)?)?;
    ensure!(first == second, "two conversions differ");
    Ok(())
}

/// A namespace gets its own copies of the modules, the C library included: from the host, if that has the same.
fn namespace(case: &Case) -> Result<()> {
    let [plugin, _] = plugin(case)?;
    let path = plugin.display().to_string();
    let program = case.build("namespaces", "namespaces", &["-O2", "-ldl"])?;
    let original = output(case.command(&program).arg(&path))?;
    let converted = case.convert(&program, &["--with", &path, "--force"])?;
    let said = output(case.command(converted).arg(&path))?;
    ensure!(said == original, "it said {said}, the original {original}");
    // Nothing comes from the host: an error, not a crash.
    let converted = case.convert(&program, &["--with", &path, "--force", "--host-libs", "deny"])?;
    let said = output(case.command(converted).arg(&path))?;
    ensure!(said.contains("object file has no loadable segments"), "it said {said}");
    Ok(())
}
