//! Programs and libraries built so that one rule decides, listed by the real loader and by elfscan.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::builder;
use statify_tests::case::{Case, Cases};
use statify_tests::report::Done;

use super::machine::check_rules;
use super::said::{agree, elfscan_says, library, line, program};
use crate::elfscan::tool::json;

pub fn add(cases: &mut Cases) {
    cases.check("deps/rpath-is-inherited-runpath-is-not", inheritance);
    cases.check("deps/tokens", tokens);
    cases.check("deps/subdirectories-by-the-cpu", subdirectories);
    cases.check("deps/library-path", library_path);
    cases.check("deps/names-sonames-and-inodes", identity);
    cases.check("deps/auxiliary-and-filter", auxiliary);
    cases.check("deps/without-default-directories", no_default);
    cases.check("deps/versions", versions);
    cases.check("deps/relative-directories", relative);
    cases.add("deps/other-classes-are-passed-over", other_class);
    cases.check("deps/privileges", privileges);
    cases.check("deps/what-is-no-dynamic-file", no_dynamic);
}

/// Flags that link a library or program with others of the case's directory.
struct Link<'a> {
    case: &'a Case,
    flags: Vec<String>,
}

impl<'a> Link<'a> {
    fn new(case: &'a Case) -> Self {
        let dir = case.dir.display();
        let flags = vec!["-Wl,--no-as-needed".into(), format!("-Wl,-rpath-link,{dir}")];
        Self { case, flags }
    }

    fn with(mut self, directory: &str, file: &str) -> Self {
        self.flags.push(format!("-L{}", self.case.dir.join(directory).display()));
        self.flags.push(format!("-l:{file}"));
        let link = format!("-Wl,-rpath-link,{}", self.case.dir.join(directory).display());
        self.flag(&link)
    }

    fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// DT_RPATH or DT_RUNPATH.
    fn path(self, tag: &str, list: &str) -> Self {
        let tags = if tag == "RPATH" { "disable" } else { "enable" };
        self.flag(&format!("-Wl,--{tags}-new-dtags,-rpath,{list}"))
    }

    fn library(&self, path: &str, function: &str) -> Result<()> {
        let soname = path.rsplit('/').next().unwrap_or(path);
        let soname = format!("-Wl,-soname,{soname}");
        let mut flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        flags.push(&soname);
        library(self.case, path, function, &flags).map(drop)
    }

    fn program(&self, name: &str) -> Result<std::path::PathBuf> {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let text = "int main(void) { return 0; }";
        program(self.case, name, text, &flags)
    }
}

/// The answer in JSON, whose rules must be those that the loader gives.
fn answer(case: &Case, file: &Path) -> Result<(Value, i32)> {
    let (answer, status) = json(["deps".as_ref(), "--json".as_ref(), file.as_os_str()])?;
    check_rules(case, file, &answer)?;
    Ok((answer, status))
}

/// The module of an answer that has this path.
fn module<'a>(answer: &'a Value, path: &Path) -> Result<&'a Value> {
    let mut modules = answer["modules"].as_array().context("there is a list of modules")?.iter();
    let path = path.to_str();
    let module = modules.find(|module| module["path"].as_str() == path);
    module.with_context(|| format!("{path:?} is not in {answer:#}"))
}

fn inheritance(case: &Case) -> Result<()> {
    let dir = |name: &str| case.dir.join(name);
    Link::new(case).library("b/libb.so", "b")?;
    Link::new(case).with("b", "libb.so").library("a/liba.so", "a")?;
    let both = format!("{}:{}", dir("a").display(), dir("b").display());
    let link = || Link::new(case).with("a", "liba.so");
    let main = link().path("RPATH", &both).program("rpath")?;
    let list = agree(case, &main, &[], &[])?;
    ensure!(list.contains(&line("libb.so", dir("b/libb.so"))), "{list:?}");
    let (answer, status) = answer(case, &main)?;
    ensure!(status == 0);
    let found = module(&answer, &dir("b/libb.so"))?;
    ensure!(found["rule_of"].as_str() == main.to_str(), "{found:#}");
    ensure!(found["loaded_for"].as_str() == dir("a/liba.so").to_str(), "{found:#}");

    let main = link().path("RUNPATH", &both).program("runpath")?;
    let list = agree(case, &main, &[], &[])?;
    ensure!(list.contains(&"libb.so => not found".into()), "{list:?}");
    let (answer, status) = self::answer(case, &main)?;
    ensure!(status == 1 && answer["missing"][0]["name"] == "libb.so", "{answer:#}");

    // A library with a RUNPATH of its own does not look into the program's RPATH.
    let nowhere = dir("nowhere").display().to_string();
    Link::new(case).with("b", "libb.so").path("RUNPATH", &nowhere).library("a/liba.so", "a")?;
    let list = agree(case, &dir("rpath"), &[], &[])?;
    ensure!(list.contains(&"libb.so => not found".into()), "{list:?}");
    // An RPATH of the library comes first.
    Link::new(case).library("c/libb.so", "b")?;
    let other = dir("c").display().to_string();
    Link::new(case).with("b", "libb.so").path("RPATH", &other).library("a/liba.so", "a")?;
    let list = agree(case, &dir("rpath"), &[], &[])?;
    ensure!(list.contains(&line("libb.so", dir("c/libb.so"))), "{list:?}");
    Ok(())
}

fn tokens(case: &Case) -> Result<()> {
    let arch = std::env::consts::ARCH;
    let places = ["lib", "lib64", &format!("lib/{arch}-linux-gnu")].map(String::from);
    for place in places {
        Link::new(case).library(&format!("{place}/libl.so"), "l")?;
    }
    Link::new(case).library("origin/libo.so", "o")?;
    for platform in ["haswell", "xeon_phi", arch] {
        Link::new(case).library(&format!("platform-{platform}/libp.so"), "p")?;
    }
    let list = "$ORIGIN/origin:${ORIGIN}/./$LIB/:$ORIGIN/platform-$PLATFORM:$ORIGINAL/x";
    for tag in ["RPATH", "RUNPATH"] {
        let link = Link::new(case).with("origin", "libo.so").with("lib64", "libl.so");
        let main =
            link.with(&format!("platform-{arch}"), "libp.so").path(tag, list).program(tag)?;
        let found = agree(case, &main, &[], &[])?;
        ensure!(found.iter().all(|line| !line.contains("not found")), "{found:?}");
        let (answer, _) = answer(case, &main)?;
        let written = &module(&answer, &case.dir.join("origin/libo.so"))?["directory_as_written"];
        ensure!(written == "$ORIGIN/origin", "{written}");
    }
    // A program's $ORIGIN is where it really lies, as the kernel says.
    fs::create_dir(case.dir.join("elsewhere"))?;
    let link = case.dir.join("elsewhere/link");
    symlink(case.dir.join("RPATH"), &link)?;
    let direct = case.command(&link).env("LD_TRACE_LOADED_OBJECTS", "1").output()?;
    let theirs = super::said::list_of(&String::from_utf8(direct.stdout)?);
    let own = elfscan_says(case, &[] as &[&str], &link)?;
    ensure!(own == theirs, "elfscan: {own:#?}\nthe loader: {theirs:#?}");
    Ok(())
}

fn subdirectories(case: &Case) -> Result<()> {
    let levels = ["x86-64-v2", "x86-64-v3", "x86-64-v4"];
    let hwcaps = levels.map(|level| format!("glibc-hwcaps/{level}"));
    let legacy = ["tls", "haswell", "x86_64", "tls/x86_64", "avx512_1", "haswell/x86_64"];
    let all: Vec<&str> = hwcaps.iter().map(String::as_str).chain(legacy).collect();
    // One library in each subdirectory, and one in all.
    let mut names = Vec::new();
    for (index, place) in all.iter().enumerate() {
        let name = format!("libs{index}.so");
        Link::new(case).library(&format!("d/{place}/{name}"), "s")?;
        Link::new(case).library(&format!("d/{name}"), "s")?;
        Link::new(case).library(&format!("d/{place}/liball.so"), "s")?;
        names.push(name);
    }
    Link::new(case).library("d/liball.so", "s")?;
    let list = case.dir.join("d").display().to_string();
    for tag in ["RPATH", "RUNPATH"] {
        let link = Link::new(case).path(tag, &list).with("d", "liball.so");
        let link = names.iter().fold(link, |link, name| link.with("d", name));
        let main = link.program(tag)?;
        agree(case, &main, &[], &[])?;
        answer(case, &main)?;
        // The loader's own option hides the better ones; older loaders lack it.
        let known = super::said::printed(case.command(super::said::LOADER).arg("--help"))?;
        if known.contains("--glibc-hwcaps-mask") && known.contains("x86-64-v3 (supported") {
            let masked = elfscan_says(case, &["--cpu", "x86-64-v2"], &main)?;
            let wanted = line("liball.so", case.dir.join("d/glibc-hwcaps/x86-64-v2/liball.so"));
            ensure!(masked.contains(&wanted), "{masked:?}");
            let mask = ["--glibc-hwcaps-mask", "x86-64-v2"];
            let theirs =
                super::said::loader_says(case, super::said::LOADER.as_ref(), &mask, &main)?;
            ensure!(theirs.is_ok_and(|list| list.contains(&wanted)));
        }
        let least = elfscan_says(case, &["--cpu", "x86-64"], &main)?;
        ensure!(least.iter().all(|line| !line.contains("glibc-hwcaps")), "{least:?}");
    }
    Ok(())
}

fn library_path(case: &Case) -> Result<()> {
    for place in ["p", "r", "u"] {
        Link::new(case).library(&format!("{place}/libx.so"), "x")?;
    }
    Link::new(case).library("p/liby.so", "y")?;
    let dirs = format!("{}/nowhere;{}/p/", case.dir.display(), case.dir.display());
    let flags = ["--library-path", &dirs];
    // Behind RPATH and before RUNPATH.
    for (tag, place, expected) in [("RPATH", "r", "r"), ("RUNPATH", "u", "p")] {
        let list = case.dir.join(place).display().to_string();
        let link = Link::new(case).with(place, "libx.so").with("p", "liby.so");
        let main = link.path(tag, &list).program(tag)?;
        let found = agree(case, &main, &flags, &flags)?;
        let wanted = line("libx.so", case.dir.join(expected).join("libx.so"));
        ensure!(found.contains(&wanted), "{tag}: {found:?}");
        let without = agree(case, &main, &[], &[])?;
        ensure!(without.contains(&"liby.so => not found".into()), "{without:?}");
    }
    Ok(())
}

fn identity(case: &Case) -> Result<()> {
    let dir = case.dir.display().to_string();
    let soname = "-Wl,-soname,libs.so.1";
    // Twice the same DT_SONAME from two paths, asked for by other names.
    library(case, "one/libs.so", "s", &[soname])?;
    library(case, "two/libs.so", "s", &[soname])?;
    // Without a DT_SONAME the linker notes the path that it was given.
    let unnamed = library(case, "three/libu.so", "u", &[])?;
    symlink(&unnamed, case.dir.join("three/again.so"))?;
    let again = case.dir.join("three/again.so").display().to_string();
    let source = case.dir.join("m.c");
    fs::write(&source, "int main(void) { return 0; }")?;
    let main = case.dir.join("main");
    let unnamed = unnamed.display().to_string();
    let runpath = format!("-Wl,--no-as-needed,-rpath,{dir}/one:{dir}/three");
    fs::rename(case.dir.join("two/libs.so"), case.dir.join("one/libs.so.1"))?;
    let flags = [&runpath, &unnamed, &again, &format!("{dir}/one/libs.so.1")];
    builder::compile_by(builder::compiler(false), &[&source], &main, flags)?;
    let list = agree(case, &main, &[], &[])?;
    ensure!(list.iter().filter(|line| line.contains("/three/")).count() == 1, "{list:?}");
    let (answer, _) = answer(case, &main)?;
    let requests = answer["requests"].as_array().context("there are requests")?;
    ensure!(requests.iter().any(|one| one["outcome"] == "known_by_inode"), "{answer:#}");

    // A library that another path leads to: by DT_SONAME it is known, so there is no second.
    Link::new(case).flag(&format!("{dir}/one/libs.so")).library("one/libd.so", "d")?;
    let flags = [&runpath, &format!("{dir}/one/libd.so"), &format!("{dir}/one/libs.so.1")];
    builder::compile_by(builder::compiler(false), &[&source], &main, flags)?;
    agree(case, &main, &[], &[])?;

    // One name is a path, the other is not: two files of one DT_SONAME.
    library(case, "four/libn.so", "n", &["-Wl,-soname,four/libn.so"])?;
    library(case, "one/libn.so", "n", &["-Wl,-soname,libn.so"])?;
    let (four, one) = (format!("{dir}/four/libn.so"), format!("{dir}/one/libn.so"));
    builder::compile_by(builder::compiler(false), &[&source], &main, [&runpath, &four, &one])?;
    library(case, "four/libn.so", "n", &["-Wl,-soname,libm.so.6"])?;
    let list = agree(case, &main, &[], &[])?;
    ensure!(list.len() >= 3, "{list:?}");

    // Two versions of one library.
    for version in ["1", "2"] {
        let file = format!("one/libv.so.{version}");
        library(case, &file, "v", &[&format!("-Wl,-soname,libv.so.{version}")])?;
    }
    let (v1, v2) = (format!("{dir}/one/libv.so.1"), format!("{dir}/one/libv.so.2"));
    builder::compile_by(builder::compiler(false), &[&source], &main, [&runpath, &v1, &v2])?;
    agree(case, &main, &[], &[])?;
    let (answer, status) = self::answer(case, &main)?;
    let conflict = &answer["conflicts"][0];
    ensure!(status == 0 && conflict["kind"] == "versions" && conflict["name"] == "libv");
    Ok(())
}

fn auxiliary(case: &Case) -> Result<()> {
    for name in ["x", "y", "z"] {
        Link::new(case).library(&format!("d/lib{name}.so"), name)?;
    }
    let list = case.dir.join("d").display().to_string();
    // Filters of a library that is there (or not), of one that is needed before, and of two.
    let filters = [
        ("f", vec!["-Wl,-f,libx.so"]),
        ("g", vec!["-Wl,-F,liby.so"]),
        ("h", vec!["-Wl,-f,libz.so", "-Wl,-f,libx.so"]),
    ];
    for (name, flags) in &filters {
        let link =
            flags.iter().fold(Link::new(case).path("RPATH", &list), |link, flag| link.flag(flag));
        link.with("d", "liby.so").library(&format!("d/lib{name}.so"), name)?;
    }
    for order in [["f", "g", "h"], ["h", "y", "g"], ["x", "f", "h"], ["g", "h", "z"]] {
        let link = Link::new(case).path("RPATH", &list);
        let link = order.iter().fold(link, |link, name| link.with("d", &format!("lib{name}.so")));
        let main = link.program(&order.concat())?;
        agree(case, &main, &[], &[])?;
    }
    Ok(())
}

fn no_default(case: &Case) -> Result<()> {
    let flag = "-Wl,-z,nodefaultlib";
    let main = Link::new(case).flag(flag).program("main")?;
    let list = agree(case, &main, &[], &[])?;
    ensure!(list.contains(&"libc.so.6 => not found".into()), "{list:?}");
    Link::new(case).library("d/libx.so", "x")?;
    let dirs = case.dir.join("d").display().to_string();
    let link = Link::new(case).flag(flag).path("RUNPATH", &dirs);
    let main = link.with("d", "libx.so").program("with-path")?;
    let list = agree(case, &main, &[], &[])?;
    // The library has no such flag, and finds what the program did not.
    ensure!(list.contains(&line("libx.so", case.dir.join("d/libx.so"))), "{list:?}");
    Ok(())
}

fn versions(case: &Case) -> Result<()> {
    let script = case.dir.join("script");
    let flag = format!("-Wl,--version-script,{}", script.display());
    let soname = "-Wl,-soname,libv.so";
    fs::write(&script, "V1 { global: v; }; V2 { global: w; } V1;")?;
    let text = "int v(void) { return 1; } int w(void) { return 2; }";
    let made = case.library("libv.so", text, &[soname, &flag])?;
    let text = "int v(void); int w(void); int main(void) { return v() + w(); }";
    let dir = format!("-Wl,-rpath,{}", case.dir.display());
    let main = program(case, "main", text, &[&dir, made.to_str().context("a plain path")?])?;
    let (found, status) = answer(case, &main)?;
    let path = made.to_str();
    let ties = found["versions"].as_array().context("there are versions")?;
    let tie = ties.iter().find(|tie| tie["of"].as_str() == path).context("one is the library's")?;
    ensure!(status == 0 && tie["wanted"].as_array().is_some_and(|all| all.len() == 2), "{tie:#}");
    // One of the versions goes; then all of them, which is no error.
    fs::write(&script, "V1 { global: v; w; };")?;
    let text = "int v(void) { return 1; } int w(void) { return 2; }";
    case.library("libv.so", text, &[soname, &flag])?;
    let (found, status) = answer(case, &main)?;
    let missing = &found["missing"][0];
    ensure!(status == 1 && missing["name"] == "V2" && missing["version_of"].as_str() == path);
    let mut command = case.command(super::said::LOADER);
    let listed = command.arg(&main).env("LD_TRACE_LOADED_OBJECTS", "1").output()?;
    let words = String::from_utf8([listed.stdout, listed.stderr].concat())?;
    ensure!(words.contains("version `V2' not found"), "{words}");
    case.library("libv.so", text, &[soname])?;
    let (found, status) = answer(case, &main)?;
    ensure!(status == 0 && found["missing"].as_array().is_some_and(Vec::is_empty), "{found:#}");
    Ok(())
}

fn relative(case: &Case) -> Result<()> {
    Link::new(case).library("d/libx.so", "x")?;
    Link::new(case).library("liby.so", "y")?;
    // An empty element is the current directory.
    for list in ["d:", ":d", "./d/:.", "d//::"] {
        let link = Link::new(case).with("d", "libx.so").with(".", "liby.so").path("RPATH", list);
        let main = link.program("main")?;
        let found = agree(case, &main, &[], &[])?;
        ensure!(found.iter().all(|line| !line.contains("not found")), "{list}: {found:?}");
    }
    Ok(())
}

fn other_class(case: &Case) -> Result<Done> {
    Link::new(case).library("64/libx.so", "x")?;
    let source = case.dir.join("x.c");
    fs::write(&source, "int x(void) { return 1; }")?;
    fs::create_dir(case.dir.join("32"))?;
    let out = case.dir.join("32/libx.so");
    let flags = ["-m32", "-shared", "-fPIC", "-nostdlib"];
    if builder::compile_by(builder::compiler(false), &[&source], &out, flags).is_err() {
        return Done::not_here("the compiler cannot build for 32 bits");
    }
    let dirs = format!("{0}/32:{0}/64", case.dir.display());
    let link = Link::new(case).with("64", "libx.so");
    let main = link.path("RUNPATH", &dirs).program("main")?;
    let list = agree(case, &main, &[], &[])?;
    ensure!(list.contains(&line("libx.so", case.dir.join("64/libx.so"))), "{list:?}");
    fs::remove_file(case.dir.join("64/libx.so"))?;
    agree(case, &main, &[], &[])?;
    let (answer, _) = answer(case, &main)?;
    let requests = answer["requests"].as_array().context("there are requests")?;
    let asked = requests.iter().find(|one| one["outcome"] == "missing").context("one fails")?;
    ensure!(asked["for_other_machines"][0].as_str() == out.to_str(), "{asked:#}");
    Ok(Done::Passed)
}

fn privileges(case: &Case) -> Result<()> {
    Link::new(case).library("d/libx.so", "x")?;
    let main = Link::new(case).with("d", "libx.so").path("RUNPATH", "$ORIGIN/d").program("main")?;
    let plain = elfscan_says(case, &[] as &[&str], &main)?;
    ensure!(plain.contains(&line("libx.so", case.dir.join("d/libx.so"))), "{plain:?}");
    // $ORIGIN counts in the default directories only.
    let secure = elfscan_says(case, &["--secure"], &main)?;
    ensure!(secure.contains(&"libx.so => not found".into()), "{secure:?}");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&main, fs::Permissions::from_mode(0o4755))?;
    let by_mode = elfscan_says(case, &[] as &[&str], &main)?;
    ensure!(by_mode == secure, "{by_mode:?}");
    Ok(())
}

fn no_dynamic(case: &Case) -> Result<()> {
    let text = "int main(void) { return 0; }";
    let fixed = program(case, "static", text, &["-static"])?;
    let converted = case.convert(&program(case, "dynamic", text, &[])?, &[])?;
    let script = case.dir.join("script");
    fs::write(&script, "#!/bin/sh\n")?;
    for (file, words) in [
        (fixed.as_path(), "no loader loads anything for it"),
        (&converted, "it is converted"),
        (&script, "it is not an ELF file"),
        (&case.dir, "it is a directory"),
        (Path::new("/dev/null"), "not a regular file"),
        (&case.dir.join("nothing"), "No such file"),
    ] {
        let outcome = super::said::listing(case, &[] as &[&str], file)?;
        let said = outcome.stderr_text();
        let is_sentence = said.lines().count() == 1 && said.contains(words);
        ensure!(is_sentence && outcome.stdout.is_empty(), "{}: {said}", file.display());
        ensure!(outcome.end == statify_tests::process::End::Exit(1), "{}", outcome.end);
    }
    Ok(())
}
