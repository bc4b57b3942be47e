//! `$ORIGIN` in search paths means the output's directory, wherever it is: plugins beside it are found, and
//! what lies in the directory of the conversion is not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::report::Done;
use statify_tests::sandbox;
use statify_tests::toolchain::Toolchain;

pub fn add(cases: &mut Cases) {
    for toolchain in [Toolchain::Machine, Toolchain::Musl] {
        let mut add = |name: &str, build: &'static [&str], flags: &'static [&str]| {
            cases.add_for(toolchain, &format!("origin/moved/{name}"), move |case| {
                moved(case, build, flags).map(|()| Done::Passed)
            });
        };
        add("pie", &["-fPIE", "-pie"], &[]);
        add("non-pie", &["-fno-pie", "-no-pie"], &[]);
        add("fixed", &["-fPIE", "-pie"], &["--fixed"]);
        add("rpath", &["-Wl,--disable-new-dtags"], &[]);
        add("braces", &["-DBRACES"], &[]);
        cases.add_for(toolchain, "origin/without-proc", without_proc);
        cases.add_for(toolchain, "origin/directory-that-comes-later", |case| {
            later(case).map(|()| Done::Passed)
        });
    }
}

/// A directory with a program, its output, a library that is linked, and plugins of either.
fn tree(case: &Case, build: &[&str], flags: &[&str]) -> Result<PathBuf> {
    let dir = case.dir.join("build");
    fs::create_dir_all(dir.join("lib/of-library"))?;
    fs::create_dir(dir.join("plugins"))?;
    let library = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdio.h>
        static int here;
        void of_library(void) {
            Dl_info info;
            dladdr(&here, &info);
            printf("library: %s\n", info.dli_fname);
            void *plugin = dlopen("libinner.so", RTLD_NOW);
            if (plugin) dladdr(dlsym(plugin, "value"), &info);
            printf("its plugin: %s\n", plugin ? info.dli_fname : "not found");
        }"#;
    case.library("build/lib/liblinked.so", library, &["-Wl,-rpath,$ORIGIN/of-library", "-ldl"])?;
    let plugins = ["lib/of-library/libinner.so", "plugins/libplugin.so", "plugins/libother.so"];
    for plugin in plugins {
        case.library(&format!("build/{plugin}"), "int value;", &[])?;
    }
    let link = format!("-L{}", dir.join("lib").display());
    let path = match build.contains(&"-DBRACES") {
        true => "-Wl,-rpath,/nowhere:${ORIGIN}/lib/:${ORIGIN}/plugins",
        false => "-Wl,-rpath,$ORIGIN/lib:/nowhere:$ORIGIN/plugins",
    };
    let build = [&["-O1", &link, "-l:liblinked.so", "-ldl", path], build].concat();
    let program = case.build("origin", "build/program", &build)?;
    case.statify.convert(&program, &dir.join("output"), flags)?;
    Ok(dir)
}

fn moved(case: &Case, build: &[&str], flags: &[&str]) -> Result<()> {
    let dir = tree(case, build, flags)?;
    let said = |program: &Path| output(&mut case.command(program));
    let here = said(&dir.join("program"))?;
    ensure!(said(&dir.join("output"))? == here, "where it was converted");
    let elsewhere = case.dir.join("a-longer-name/elsewhere");
    fs::create_dir(case.dir.join("a-longer-name"))?;
    fs::rename(&dir, &elsewhere)?;
    let there = said(&elsewhere.join("program"))?;
    // musl does not expand what dlopen is given.
    ensure!(there.matches("a-longer-name").count() >= 3, "the original: {there}");
    let found = said(&elsewhere.join("output"))?;
    ensure!(found == there, "elsewhere:\n{found}\nand not\n{there}");
    // Whoever can write to the directory of the conversion has no say.
    for part in ["lib/of-library", "plugins"] {
        fs::create_dir_all(dir.join(part))?;
        for file in fs::read_dir(elsewhere.join(part))? {
            let file = file?;
            fs::copy(file.path(), dir.join(part).join(file.file_name()))?;
        }
    }
    fs::copy(elsewhere.join("output"), case.dir.join("alone"))?;
    let alone = said(&case.dir.join("alone"))?;
    ensure!(alone.matches("not found").count() == 4, "{alone}");
    ensure!(!alone.contains(&*dir.to_string_lossy()), "{alone}");
    Ok(())
}

/// A directory of the search path that is not there at the conversion, as plugins come to be installed.
fn later(case: &Case) -> Result<()> {
    let directory = case.dir.join("later");
    let path = format!("-Wl,-rpath,/nowhere:{}", directory.display());
    let program = case.build("origin", "program", &["-O1", "-DALONE", "-ldl", &path])?;
    let converted = case.convert(&program, &[])?;
    let said = |program: &Path| output(&mut case.command(program));
    ensure!(said(&converted)?.contains("not found"), "{}", said(&converted)?);
    fs::create_dir(&directory)?;
    case.library("later/libplugin.so", "int value;", &[])?;
    let expected = said(&program)?;
    ensure!(expected.contains("later/libplugin.so"), "{expected}");
    ensure!(said(&converted)? == expected, "{}", said(&converted)?);
    Ok(())
}

/// Where the kernel does not tell the directory it means none.
fn without_proc(case: &Case) -> Result<Done> {
    if !sandbox::is_possible() {
        return Done::not_here("namespaces cannot be made here");
    }
    let dir = tree(case, &[], &[])?;
    let root = case.dir.join("root");
    fs::create_dir_all(root.join("lib"))?;
    fs::copy(dir.join("output"), root.join("output"))?;
    // Neither the directory of the conversion nor the output's.
    let copy = root.join(dir.strip_prefix("/")?);
    for to in [&copy, &root] {
        fs::create_dir_all(to.join("plugins"))?;
        fs::copy(dir.join("plugins/libplugin.so"), to.join("plugins/libplugin.so"))?;
    }
    let said = output(&mut sandbox::in_root(&root, "output"))?;
    ensure!(said.matches("not found").count() == 4, "{said}");
    ensure!(said.contains("library: /dev/null/lib/liblinked.so\n"), "{said}");
    Ok(Done::Passed)
}
