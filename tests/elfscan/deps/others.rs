//! Other loaders than this machine's glibc for 64 bits, and other roots.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Result, ensure};
use statify_tests::builder;
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::process::End;
use statify_tests::report::Done;
use statify_tests::sandbox;
use statify_tests::toolchain::Toolchain;

use super::said::{
    LOADER, agree_with, elfscan_says, library, line, list_of, listing, printed, program,
};

pub fn add(cases: &mut Cases) {
    cases.add_for(Toolchain::Musl, "deps/as-musl-lists-it", musl);
    cases.needing(&["libc-32"]).check("deps/32-bits", bits_32);
    cases.needing(&["userns", "program:ldconfig"]).check("deps/in-another-root", other_root);
    cases.check("deps/loader-that-is-not-there", no_loader);
}

/// The loader that a program names.
fn interpreter(program: &Path) -> Result<String> {
    let bytes = fs::read(program)?;
    let elf = goblin::elf::Elf::parse(&bytes)?;
    Ok(elf.interpreter.unwrap_or_default().to_owned())
}

fn musl(case: &Case) -> Result<Done> {
    let dir = case.dir.display().to_string();
    library(case, "b/libb.so", "b", &["-Wl,-soname,libb.so"])?;
    let link_b = [format!("-L{dir}/b"), "-Wl,--no-as-needed".into(), "-l:libb.so".into()];
    let link_b: Vec<&str> = link_b.iter().map(String::as_str).collect();
    library(case, "a/liba.so", "a", &link_b)?;
    let text = "int main(void) { return 0; }";
    let common = format!("-Wl,--no-as-needed,-rpath-link,{dir}/b,-L{dir}/a");
    for (index, list) in [
        // Inherited, whichever tag; tokens other than $ORIGIN make the whole list void.
        format!("{dir}/a:{dir}/b"),
        "$ORIGIN/a:${ORIGIN}/b".into(),
        format!("{dir}/a"),
        format!("{dir}/a:{dir}/b:$LIB"),
        "a:b".into(),
    ]
    .iter()
    .enumerate()
    {
        for tags in ["enable", "disable"] {
            let path = format!("-Wl,--{tags}-new-dtags,-rpath,{list}");
            let name = format!("main-{tags}-{index}");
            let main = program(case, &name, text, &[&common, &path, "-l:liba.so"])?;
            let loader = interpreter(&main)?;
            // musl lists what it is called as `ldd`.
            let ldd = case.dir.join("ldd");
            let _ = fs::remove_file(&ldd);
            symlink(&loader, &ldd)?;
            let outcome = run(case.command(&ldd).arg(&main))?;
            let theirs = list_of(&outcome.stdout_text());
            let own = elfscan_says(case, &[] as &[&str], &main)?;
            let missing = outcome.stderr_text().matches("Error loading shared library").count();
            let own_missing = own.iter().filter(|line| line.ends_with("not found")).count();
            ensure!(own_missing == missing, "{list}: {own:?}\n{}", outcome.stderr_text());
            // Its first line is the loader, which it lists once more where it is asked for.
            let paths = |lines: &[String]| -> Vec<String> {
                let found = lines.iter().filter(|line| !line.ends_with("not found"));
                found.map(|line| line.rsplit(" => ").next().unwrap_or(line).to_owned()).collect()
            };
            let (own, theirs) = (paths(&own), paths(&theirs));
            let theirs: Vec<String> = theirs.into_iter().skip(1).collect();
            // It may say the loader's path as that of its link.
            let real = |path: &String| {
                let path = if *path == ldd.display().to_string() { &loader } else { path };
                fs::canonicalize(case.dir.join(path)).unwrap_or_else(|_| path.into())
            };
            let own: Vec<_> = own.iter().map(real).collect();
            let theirs: Vec<_> = theirs.iter().map(real).collect();
            ensure!(own == theirs, "{list}: elfscan: {own:#?}\nmusl: {theirs:#?}");
        }
    }
    Ok(Done::Passed)
}

fn bits_32(case: &Case) -> Result<()> {
    let dir = case.dir.display().to_string();
    let build = |name: &str, text: &str, flags: &[&str]| {
        let source = case.dir.join(format!("{name}.c"));
        fs::write(&source, text)?;
        let flags = [&["-m32"], flags].concat();
        builder::compile_by(builder::compiler(false), &[&source], &case.dir.join(name), flags)
    };
    for place in ["d/tls", "d/sse2", "d/i686/sse2", "d/glibc-hwcaps/x86-64-v3", "d/lib32", "d/lib"]
    {
        fs::create_dir_all(case.dir.join(place))?;
    }
    let text = "int x(void) { return 1; }";
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libx.so"];
    for (place, name) in [("d", "libx.so"), ("d/sse2", "libx.so"), ("d/i686/sse2", "libx.so")] {
        build(&format!("{place}/{name}"), text, &shared)?;
    }
    for place in ["d/lib32", "d/lib"] {
        build(
            &format!("{place}/liby.so"),
            "int y(void) { return 1; }",
            &["-shared", "-fPIC", "-Wl,-soname,liby.so"],
        )?;
    }
    let path = format!("-Wl,-rpath,{dir}/d:$ORIGIN/d/$LIB,--no-as-needed");
    let search = [format!("-L{dir}/d"), format!("-L{dir}/d/lib")];
    let flags = [&path, &search[0], &search[1], "-l:libx.so", "-l:liby.so"];
    build("main", "int main(void) { return 0; }", &flags)?;
    let main = case.dir.join("main");
    let loader = interpreter(&main)?;
    agree_with(case, Path::new(&loader), &main, &[], &[]).map(drop)
}

/// Copies a file of this machine to the same path in a tree.
fn copy(root: &Path, path: &str) -> Result<()> {
    let to = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(to.parent().unwrap_or(root))?;
    fs::copy(path, to)?;
    Ok(())
}

/// A small tree in which nothing is as on this machine, against its loader with it as the root.
fn other_root(case: &Case) -> Result<()> {
    let root = case.dir.join("root");
    fs::create_dir_all(root.join("etc/ld.so.conf.d"))?;
    copy(&root, LOADER)?;
    // The variable must not reach what comes before.
    let text = "#include <stdlib.h>\n#include <unistd.h>\nint main(int argc, char **argv) {
        setenv(\"LD_TRACE_LOADED_OBJECTS\", \"1\", 1); execv(argv[1], argv + 1); return argc; }";
    program(case, "root/launcher", text, &["-static"])?;
    let libc = elfscan_says(case, &[] as &[&str], Path::new("/bin/true"))?;
    let libc = libc.iter().find_map(|line| line.strip_prefix("libc.so.6 => "));
    copy(&root, libc.unwrap_or("/lib/libc.so.6"))?;
    let soname = |name: &str| format!("-Wl,-soname,{name}");
    for (path, name) in [
        ("root/opt/x/libconf.so", "libconf.so"),
        ("root/usr/lib/libdefault.so", "libdefault.so"),
        ("root/opt/app/lib/liborigin.so", "liborigin.so"),
        ("root/opt/app/lib/libpre.so", "libpre.so"),
        ("root/opt/v/glibc-hwcaps/x86-64-v2/libconf2.so", "libconf2.so"),
        ("root/opt/v/libconf2.so", "libconf2.so"),
        ("outside/libout.so", "libout.so"),
    ] {
        library(case, path, "f", &[&soname(name)])?;
    }
    // Absolute links lead to the same tree, and never out of it.
    symlink("/opt/x", root.join("opt/link"))?;
    symlink(case.dir.join("outside"), root.join("opt/out"))?;
    fs::create_dir_all(root.join("opt/app/bin"))?;
    let dir = root.display();
    let flags = [
        "-Wl,--no-as-needed,-rpath,$ORIGIN/../lib:/opt/link:/opt/out:/../../opt/out".to_owned(),
        format!("-L{dir}/opt/x"),
        format!("-L{dir}/usr/lib"),
        format!("-L{dir}/opt/app/lib"),
        format!("-L{dir}/opt/v"),
        format!("-L{}/outside", case.dir.display()),
    ];
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let names =
        ["conf", "default", "origin", "conf2", "out"].map(|name| format!("-l:lib{name}.so"));
    flags.extend(names.iter().map(String::as_str));
    program(case, "root/opt/app/bin/main", "int main(void) { return 0; }", &flags)?;
    let text = "int main(void) { return 0; }";
    let flags = [
        format!("-L{dir}/opt/x"),
        format!("-L{dir}/opt/v"),
        "-Wl,--no-as-needed".into(),
        "-l:libconf.so".into(),
        "-l:libconf2.so".into(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    program(case, "root/opt/app/bin/plain", text, &flags)?;
    let agree = |file: &str| -> Result<Vec<String>> {
        let mut inside = sandbox::in_root(&root, "launcher");
        let theirs = list_of(&printed(inside.args([LOADER, file]))?);
        let own = elfscan_says(case, &["--root".as_ref(), root.as_os_str()], Path::new(file))?;
        ensure!(own == theirs, "{file}: elfscan: {own:#?}\nthe loader: {theirs:#?}");
        Ok(own)
    };
    let all = |file: &str| agree(file);
    // Without a cache: only the default directories; no file of this machine counts.
    let list = all("/opt/app/bin/main")?;
    ensure!(list.contains(&"libout.so => not found".into()), "{list:?}");
    ensure!(list.contains(&line("libconf.so", "/opt/link/libconf.so")), "{list:?}");
    let list = all("/opt/app/bin/plain")?;
    ensure!(list.contains(&"libconf.so => not found".into()), "{list:?}");
    // With one.
    fs::write(root.join("etc/ld.so.conf"), "include /etc/ld.so.conf.d/*.conf\n")?;
    fs::write(root.join("etc/ld.so.conf.d/x.conf"), "/opt/x\n/opt/v\n")?;
    output(case.command("ldconfig").arg("-r").arg(&root))?;
    let list = all("/opt/app/bin/plain")?;
    ensure!(list.contains(&line("libconf.so", "/opt/x/libconf.so")), "{list:?}");
    all("/opt/app/bin/main")?;
    // What is preloaded comes first; what is not there is left out.
    fs::write(
        root.join("etc/ld.so.preload"),
        "/opt/app/lib/libpre.so # a comment\nlibconf2.so:/nowhere/libnone.so\n",
    )?;
    let list = all("/opt/app/bin/plain")?;
    ensure!(list[0] == "/opt/app/lib/libpre.so", "{list:?}");
    all("/opt/app/bin/main")?;
    Ok(())
}

fn no_loader(case: &Case) -> Result<()> {
    let flags = ["-Wl,--dynamic-linker=/nowhere/ld.so"];
    let main = program(case, "main", "int main(void) { return 0; }", &flags)?;
    let outcome = listing(case, &[] as &[&str], &main)?;
    ensure!(outcome.end == End::Exit(1), "{}", outcome.end);
    // What is there, but no loader.
    let flags = ["-Wl,--dynamic-linker=/bin/true"];
    let main = program(case, "main", "int main(void) { return 0; }", &flags)?;
    let outcome = listing(case, &[] as &[&str], &main)?;
    ensure!(outcome.stderr_text().contains("neither glibc's loader nor musl's"));
    // Another loader can be named.
    let list = elfscan_says(case, &["--loader", LOADER], &main)?;
    ensure!(list.iter().any(|line| line.starts_with("libc.so.6 => /")), "{list:?}");
    Ok(())
}
