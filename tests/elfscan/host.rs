//! `elfscan host`: small programs that do one thing each, programs of the machine, and what they
//! all really load.

mod converted;
mod loads;
mod real;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases, output};
use statify_tests::machine::find_program;
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use crate::elfscan::tool::{self, elfscan};

pub fn add(cases: &mut Cases) {
    // What each does: its findings of kind code as `category` and `name`, `*` for unknown ones.
    let small: [(&str, &[&str]); 19] = [
        ("HELLO", &[]),
        ("MENTIONS", &[]),
        ("CONSTANT", &["dlopen libz.so.1"]),
        ("THERE", &[]),
        (
            "BRANCHES",
            &["dlopen ?", "dlopen libfirst.so", "dlopen libsecond.so", "dlopen libthird.so.3"],
        ),
        ("POINTER", &["dlopen ?", "dlopen libpointer.so"]),
        ("ARGUMENT", &["dlopen ?"]),
        ("USER", &["nss libnss_*.so.2"]),
        ("HOST", &["idn libidn2.so.0", "nss libnss_*.so.2"]),
        ("ICONV", &["gconv */gconv/*.so"]),
        ("MODE", &["gconv */gconv/*.so"]),
        ("PLAIN_MODE", &[]),
        ("LOCALE", &["gconv */gconv/*.so"]),
        ("C_LOCALE", &[]),
        ("UTF8_LOCALE", &[]),
        ("CANCEL", &["unwinder libgcc_s.so.1"]),
        ("BACKTRACE", &["unwinder libgcc_s.so.1"]),
        ("PROGRAM", &[]),
        ("NO_PIE", &["dlopen libz.so.1"]),
    ];
    for (what, expected) in small {
        let name = what.to_lowercase().replace('_', "-");
        cases.check(&format!("host/small/{name}"), move |case| small_program(case, what, expected));
    }
    cases.add_for(Toolchain::Musl, "host/musl", |case| musl(case).map(|()| Done::Passed));
    cases.check("host/library-that-opens", library_that_opens);
    cases
        .needing(&["program:gio", &format!("file:{GMODULE}")])
        .check("host/library-that-opens-for-others", wrapper);
    cases.check("host/data-and-programs", data_and_programs);
    cases.check("host/exit-status", exit_status);
    cases.check("host/missing-library", missing_library);
    cases.check("host/refused", refused);
    real::add(cases);
    converted::add(cases);
}

fn verdict(path: &Path) -> Result<Value> {
    Ok(tool::json(["host".as_ref(), "--json".as_ref(), path.as_os_str()])?.0)
}

/// The open findings of kind code, each name by itself.
fn code(verdict: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for finding in verdict["findings"].as_array().into_iter().flatten() {
        if finding["kind"] != "code" || finding["answer"] != "host" {
            continue;
        }
        let category = finding["category"].as_str().unwrap_or_default();
        if finding["unknown_names"] == true {
            found.push(format!("{category} ?"));
        }
        let names = finding["names"].as_array().into_iter().flatten();
        found.extend(
            names.filter_map(|name| Some(format!("{category} {}", name["name"].as_str()?))),
        );
    }
    found.sort();
    found.dedup();
    found
}

fn small_program(case: &Case, what: &str, expected: &[&str]) -> Result<()> {
    let (what, pie): (_, &[&str]) =
        if what == "NO_PIE" { ("CONSTANT", &["-no-pie", "-fno-pie"]) } else { (what, &[]) };
    let define = format!("-D{what}");
    // With and without a procedure linkage table, bound early and late.
    for flags in [&["-O2"][..], &["-O0"], &["-O2", "-fno-plt"], &["-O2", "-Wl,-z,lazy"]] {
        let flags = [flags, &[&define, "-pthread", "-ldl"], pie].concat();
        let program = case.build("host", "program", &flags)?;
        let verdict = verdict(&program)?;
        let found = code(&verdict);
        // Unoptimised code keeps names on the stack, where they are not followed.
        let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
        if flags[0] == "-O0" && what != "HELLO" {
            found.retain(|name| expected.contains(name));
        }
        ensure!(found == expected, "{flags:?}: {found:?} instead of {expected:?}\n{verdict:#}");
        ensure!(verdict["clean"] == expected.is_empty(), "{flags:?}: {verdict:#}");
        for load in loads::loads(case, &mut case.command(&program))? {
            ensure!(loads::is_predicted(&verdict, &load)?, "{load:?} is not in {verdict:#}");
        }
    }
    Ok(())
}

/// What a library calls counts for the program that is loaded with it.
fn library_that_opens(case: &Case) -> Result<()> {
    let text =
        "#include <dlfcn.h>\nint opens(const char *name) { return dlopen(name, RTLD_NOW) != 0; }";
    let library = case.library("libopens.so", text, &[])?;
    let link = case.link(&["libopens.so"]);
    let flags: Vec<&str> =
        ["-DLIBRARY", "-O2"].into_iter().chain(link.iter().map(String::as_str)).collect();
    let program = case.build("host", "program", &flags)?;
    for file in [&program, &library] {
        let verdict = verdict(file)?;
        let finding = &verdict["findings"][0];
        ensure!(finding["module"] == "libopens.so", "{verdict:#}");
        ensure!(finding["category"] == "dlopen" && finding["unknown_names"] == true, "{verdict:#}");
        let symbol = &finding["symbols"][0];
        ensure!(symbol["name"] == "dlopen" && symbol["provider"] == "libc.so.6", "{verdict:#}");
    }
    let verdict = verdict(&program)?;
    let loads = loads::loads(case, &mut case.command(&program))?;
    ensure!(loads.len() == 1, "{loads:?}");
    ensure!(loads::is_predicted(&verdict, &loads[0])?, "{verdict:#}");
    Ok(())
}

/// musl has no modules of its own; what is opened is opened by dlopen.
fn musl(case: &Case) -> Result<()> {
    for (what, expected) in [
        ("HELLO", &[][..]),
        ("USER", &[]),
        ("ICONV", &[]),
        ("LOCALE", &[]),
        ("CANCEL", &[]),
        ("CONSTANT", &["dlopen libz.so.1"]),
        ("ARGUMENT", &["dlopen ?"]),
    ] {
        let define = format!("-D{what}");
        let program = case.build("host", "program", &["-O2", &define, "-DMUSL"])?;
        let verdict = verdict(&program)?;
        ensure!(code(&verdict) == expected, "{what}: {verdict:#}");
    }
    Ok(())
}

const GMODULE: &str = "/usr/lib/x86_64-linux-gnu/libgmodule-2.0.so.0";

/// libgmodule opens what its callers name; looked at by itself, it may open anything.
fn wrapper(_case: &Case) -> Result<()> {
    let caller = find_program("gio").context("no gio")?;
    ensure!(code(&verdict(Path::new(GMODULE))?).contains(&"dlopen ?".into()));
    let verdict = verdict(&caller)?;
    let findings = verdict["findings"].as_array().context("no findings")?;
    let is_of = |module: &str| {
        let of = |finding: &Value| finding["module"] == module && finding["category"] != "nss";
        findings.iter().any(|finding| of(finding) && finding["unknown_names"] == true)
    };
    ensure!(is_of("libgio-2.0.so.0") && !is_of("libgmodule-2.0.so.0"), "{verdict:#}");
    Ok(())
}

fn data_and_programs(case: &Case) -> Result<()> {
    let kinds = |what: &str| -> Result<Vec<String>> {
        let program = case.build("host", "program", &[&format!("-D{what}"), "-O2", "-pthread"])?;
        let verdict = verdict(&program)?;
        let findings = verdict["findings"].as_array().context("no findings")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = findings.iter().map(|finding| {
            let names = finding["names"].as_array().into_iter().flatten();
            let names: Vec<String> = names.map(|name| text(&name["name"])).collect();
            format!("{} {}", text(&finding["kind"]), names.join(" "))
        });
        Ok(all
            .filter(|finding| !finding.starts_with("start ") && !finding.starts_with("code "))
            .collect())
    };
    ensure!(kinds("HELLO")?.is_empty());
    ensure!(kinds("C_LOCALE")?.is_empty());
    ensure!(kinds("PROGRAM")? == ["programs /bin/true"], "{:?}", kinds("PROGRAM")?);
    ensure!(kinds("LOCALE")? == ["data */locale/*"], "{:?}", kinds("LOCALE")?);
    ensure!(kinds("HOST")?.iter().any(|data| data.contains("/etc/resolv.conf")));
    Ok(())
}

fn exit_status(case: &Case) -> Result<()> {
    let status = |arguments: &[&str], file: &Path| -> Result<Option<i32>> {
        Ok(elfscan(arguments)?.arg(file).output()?.status.code())
    };
    let clean = case.build("host", "hello", &["-DHELLO"])?;
    let open = case.build("host", "user", &["-DUSER"])?;
    let converted = case.convert(&clean, &["--host-libs", "deny"])?;
    for (file, by_default, code, any) in
        [(&clean, 0, 0, 1), (&open, 0, 1, 1), (&converted, 0, 0, 0)]
    {
        ensure!(status(&["host"], file)? == Some(by_default), "{file:?}");
        ensure!(status(&["host", "--deny"], file)? == Some(code), "{file:?}");
        ensure!(status(&["host", "--deny=any"], file)? == Some(any), "{file:?}");
        ensure!(status(&["host", "--deny=code", "--json"], file)? == Some(code), "{file:?}");
    }
    ensure!(status(&["host", "--deny=nothing"], &clean)? == Some(2));
    let said = output(elfscan(["host"])?.arg(&clean))?;
    ensure!(said.contains("no code comes from the host once it runs"), "{said}");
    ensure!(!said.contains('\x1b'), "colours on a pipe: {said}");
    Ok(())
}

fn missing_library(case: &Case) -> Result<()> {
    case.library("libgone.so", "int opens(const char *name) { return name != 0; }", &[])?;
    let link = case.link(&["libgone.so"]);
    let flags: Vec<&str> =
        ["-DLIBRARY", "-O2"].into_iter().chain(link.iter().map(String::as_str)).collect();
    let program = case.build("host", "program", &flags)?;
    fs::remove_file(case.dir.join("libgone.so"))?;
    let verdict = verdict(&program)?;
    ensure!(code(&verdict) == ["missing libgone.so"], "{verdict:#}");
    Ok(())
}

fn refused(case: &Case) -> Result<()> {
    let fixed = case.build("host", "static", &["-DHELLO", "-static"])?;
    let position_independent = case.build("host", "static-pie", &["-DHELLO", "-static-pie"])?;
    let text = case.dir.join("text");
    fs::write(&text, "text")?;
    let fifo = case.dir.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    for (file, reason) in [
        (fixed, "statically linked"),
        (position_independent, "statically linked"),
        (text, "not an ELF file"),
        (fifo, "not a regular file"),
        (case.dir.clone(), "a directory"),
        (case.dir.join("none"), "No such file"),
    ] {
        let outcome = elfscan(["host"])?.arg(&file).output()?;
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        ensure!(outcome.status.code() == Some(1) && said.contains(reason), "{file:?}: {said}");
        ensure!(said.lines().count() == 1, "{said}");
    }
    Ok(())
}
