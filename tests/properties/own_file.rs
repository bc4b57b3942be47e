//! What a program reads in its own file: what is appended to it, sections that are not loaded, symbols
//! and lines.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::compare::{against_each_other, normalise, said};
use statify_tests::machine::find_program;
use statify_tests::process::End;
use statify_tests::report::Done;
use statify_tests::small_root::SmallRoot;
use statify_tests::tool;

/// Builds and conversions that are laid out differently.
const VARIANTS: [(&str, &str, &[&str]); 4] = [
    ("pie", "-pie", &[]),
    ("no-pie", "-no-pie", &[]),
    ("fixed", "-pie", &["--fixed"]),
    ("aligned", "-pie", &["--align", "65536"]),
];
const PAYLOAD: &[u8] = b"PAYLOAD 01234567";
/// A program of this size has a payload behind all that an output has at its beginning.
const LARGE: &str = "-DSIZE=300000";

pub fn add(cases: &mut Cases) {
    for (name, build, flags) in VARIANTS {
        let mut add = |what: &str, test: fn(&Case, &str, &[&str]) -> Result<()>| {
            cases.check(&format!("own-file/{what}/{name}"), move |case| test(case, build, flags));
        };
        add("payload", payload);
        add("payload-at-its-offset", at_its_offset);
        add("section-that-is-not-loaded", unloaded_section);
        add("symbols", symbols);
        // At fixed addresses sections keep the program's own, which no PT_LOAD has.
        if name != "fixed" {
            add("readelf-is-silent", readelf);
        }
    }
    cases.check("own-file/payload-elsewhere-is-refused", refused);
    cases.check("own-file/bytes-between-are-kept-or-refused", between);
    cases.check("own-file/strip", strip);
    cases.check("own-file/compressed-debug-information", compressed);
    cases.add("own-file/zip", zip);
    cases.check("own-file/lines", lines);
    cases.needing(&["program:rustc"]).check("own-file/panic-of-rust", panic);
}

fn build(case: &Case, name: &str, flags: &[&str]) -> Result<PathBuf> {
    case.build("own-file", name, &[&["-O1"], flags].concat())
}

fn append(file: &Path, bytes: &[u8]) -> Result<()> {
    Ok(OpenOptions::new().append(true).open(file)?.write_all(bytes)?)
}

/// Runs both with the same arguments; what they say, which must be the same.
fn both(case: &Case, program: &Path, converted: &Path, arguments: &[&str]) -> Result<String> {
    let said = output(case.command(program).args(arguments))?;
    let own = output(case.command(converted).args(arguments))?;
    ensure!(own == said, "{arguments:?}: it says {own:?}, and the original {said:?}");
    Ok(said)
}

/// From the end, and behind the section headers.
fn payload(case: &Case, flag: &str, flags: &[&str]) -> Result<()> {
    for (name, more) in [("small", &[][..]), ("large", &[LARGE]), ("stripped", &["-s"])] {
        let program = build(case, name, &[&[flag], more].concat())?;
        append(&program, PAYLOAD)?;
        let converted = case.convert(&program, flags)?;
        for how in ["end", "behind"] {
            ensure!(both(case, &program, &converted, &[how])?.starts_with("PAYLOAD"), "{how}");
        }
        check(&converted)?;
    }
    Ok(())
}

/// At an offset from the file's beginning, which the payload's own end or the program tells.
fn at_its_offset(case: &Case, flag: &str, flags: &[&str]) -> Result<()> {
    let program = build(case, "telling", &[flag, LARGE])?;
    let at = fs::metadata(&program)?.len();
    append(&program, &[PAYLOAD, &at.to_le_bytes()[..]].concat())?;
    let converted = case.convert(&program, flags)?;
    for how in [&["offset"][..], &["known-offset", &at.to_string()], &["behind"]] {
        ensure!(both(case, &program, &converted, how)?.starts_with("PAYLOAD"), "{how:?}");
    }
    check(&converted)
}

fn unloaded_section(case: &Case, flag: &str, flags: &[&str]) -> Result<()> {
    let program = build(case, "with-section", &[flag])?;
    let contents = case.dir.join("contents");
    fs::write(&contents, PAYLOAD)?;
    let section = format!("mydata={}", contents.display());
    output(case.command("objcopy").arg("--add-section").arg(section).arg(&program))?;
    for flags in [flags, &[flags, &["--strip", "--force"]].concat()] {
        let converted = case.convert(&program, flags)?;
        let said = both(case, &program, &converted, &["section", "mydata"])?;
        ensure!(said == "PAYLOAD 01234567 0\n", "{said}");
        check(&converted)?;
    }
    Ok(())
}

fn symbols(case: &Case, flag: &str, flags: &[&str]) -> Result<()> {
    let program = build(case, "program", &[flag, "-g"])?;
    let converted = case.convert(&program, flags)?;
    let said = both(case, &program, &converted, &["name"])?;
    ensure!(said == "a_function_with_a_name\n", "{said}");
    both(case, &program, &converted, &["constants"])?;
    // At fixed addresses no program header says where the program is.
    if flag == "-pie" && !flags.contains(&"--fixed") {
        let said = both(case, &program, &converted, &["name-by-mapping"])?;
        ensure!(said == "a_function_with_a_name\n", "by the mapping: {said}");
    }
    let names = |file: &Path| output(case.command("nm").arg("-a").arg(file));
    ensure!(names(&program)? == names(&converted)?, "nm -a differs");
    let lines = |file: &Path| -> Result<String> {
        let said =
            output(case.command("readelf").args(["-W", "--debug-dump=decodedline"]).arg(file))?;
        Ok(said.replace(&file.display().to_string(), "FILE"))
    };
    ensure!(lines(&program)? == lines(&converted)?, "readelf --debug-dump=decodedline differs");
    check(&converted)
}

fn readelf(case: &Case, flag: &str, flags: &[&str]) -> Result<()> {
    let program = build(case, "program", &[flag, "-g"])?;
    let converted = case.convert(&program, flags)?;
    let said = run(case.command("readelf").arg("-aW").arg(&converted))?;
    ensure!(said.end == End::Exit(0) && said.stderr.is_empty(), "{}", said.stderr_text());
    ensure!(!said.stdout_text().contains("arning"), "{}", said.stdout_text());
    let (theirs, own) = (fs::read(&program)?, fs::read(&converted)?);
    let (theirs, own) = (Elf::parse(&theirs)?, Elf::parse(&own)?);
    let names = |elf: &Elf<'_>| -> Vec<String> {
        let names = elf.section_headers.iter().map(|section| section.sh_name);
        names.filter_map(|name| elf.shdr_strtab.get_at(name).map(String::from)).collect()
    };
    ensure!(names(&theirs) == names(&own), "{:?}", names(&own));
    Ok(())
}

/// In the words of all three tools.
fn refused(case: &Case) -> Result<()> {
    let program = build(case, "program", &["-s"])?;
    let at = fs::metadata(&program)?.len();
    append(&program, &[PAYLOAD, &at.to_le_bytes()[..]].concat())?;
    refused_by_all(case, &program, "24 bytes, which say themselves that they lie at offset")
}

fn refused_by_all(case: &Case, program: &Path, words: &str) -> Result<()> {
    let outcome = case.statify.run::<&str>(program, &case.dir.join("out"), &[])?;
    let said = outcome.stderr_text();
    let reason = said.strip_prefix("statify: ").context("no sentence")?.trim_end();
    ensure!(outcome.end == End::Exit(1) && reason.contains(words), "{}", said);
    let mut scan = Command::new(tool::locate("elfscan")?);
    let said = output(scan.args(["scan", "--json"]).arg(program))?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    ensure!(said["files"][0]["reason"] == reason, "{}", said["files"][0]["reason"]);
    ensure!(said["files"][0]["verdict"] == "refused");
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(program, "/usr/bin/program")?;
    let (_, what) = reason.split_once(": ").context("no path")?;
    let mut convert = Command::new(tool::locate("rootfs-tools")?);
    let said = run(convert.args(["convert", "--dry-run"]).arg(&root.dir))?;
    ensure!(
        said.stdout_text().contains(&format!("/usr/bin/program: {what}")),
        "{}",
        said.stdout_text()
    );
    Ok(())
}

/// Bytes that no header accounts for and that are not the file's end.
fn between(case: &Case) -> Result<()> {
    // A hole before the section headers, which move to the new end.
    let with_hole = |name: &str, flags: &[&str]| -> Result<(PathBuf, u64)> {
        let program = build(case, name, flags)?;
        let mut bytes = fs::read(&program)?;
        let at = Elf::parse(&bytes)?.header.e_shoff as usize;
        let table = bytes.split_off(at);
        bytes.extend(PAYLOAD);
        let len = bytes.len() as u64;
        bytes[40..48].copy_from_slice(&len.to_le_bytes());
        bytes.extend(table);
        fs::write(&program, bytes)?;
        Ok((program, at as u64))
    };
    let (program, at) = with_hole("large", &[LARGE])?;
    let converted = case.convert(&program, &[])?;
    let at = at.to_string();
    ensure!(both(case, &program, &converted, &["known-offset", &at])?.starts_with("PAYLOAD"));
    check(&converted)?;
    let (program, _) = with_hole("small", &["-s"])?;
    refused_by_all(case, &program, "bytes at offset")
}

fn strip(case: &Case) -> Result<()> {
    let program = build(case, "program", &["-g"])?;
    let with = case.convert(&program, &[])?;
    let size = fs::metadata(&with)?.len();
    let converted = case.convert(&program, &["--strip", "--force"])?;
    ensure!(fs::metadata(&converted)?.len() < size);
    let bytes = fs::read(&converted)?;
    let elf = Elf::parse(&bytes)?;
    let names = elf.section_headers.iter().filter_map(|s| elf.shdr_strtab.get_at(s.sh_name));
    let names: Vec<_> = names.collect();
    ensure!(names.contains(&".text") && names.contains(&".comment"), "{names:?}");
    ensure!(!names.iter().any(|name| name.starts_with(".debug")), "{names:?}");
    ensure!(elf.syms.is_empty(), "{} symbols", elf.syms.len());
    let said = output(case.command(&converted).arg("name"))?;
    ensure!(said == "no table\n", "{said}");
    let said = run(case.command("readelf").arg("-aW").arg(&converted))?;
    ensure!(said.end == End::Exit(0) && said.stderr.is_empty(), "{}", said.stderr_text());
    check(&converted)
}

fn compressed(case: &Case) -> Result<()> {
    let program = build(case, "program", &["-g", "-gz=zlib"])?;
    let converted = case.convert(&program, &[])?;
    let dump = |file: &Path| -> Result<String> {
        let said = output(case.command("readelf").args(["-W", "--debug-dump=info"]).arg(file))?;
        Ok(said.replace(&file.display().to_string(), "FILE"))
    };
    ensure!(dump(&program)? == dump(&converted)?, "readelf --debug-dump=info differs");
    check(&converted)
}

/// An archive behind an interpreter that looks for one there.
fn zip(case: &Case) -> Result<Done> {
    let Some(python) = find_program("python3") else {
        return Done::not_here("python3 is not installed");
    };
    let program = case.dir.join("program");
    fs::copy(fs::canonicalize(&python)?, &program)?;
    let archive = case.dir.join("archive");
    let script = "import sys, zipfile\n\
                  with zipfile.ZipFile(sys.argv[1], 'w') as z: z.writestr('__main__.py', 'print(6 * 7)')";
    output(case.command(&python).args(["-c", script]).arg(&archive))?;
    append(&program, &fs::read(&archive)?)?;
    let converted = case.convert(&program, &[])?;
    for program in [&program, &converted] {
        ensure!(output(case.command(program).arg(program))? == "42\n", "{}", program.display());
    }
    check(&converted)?;
    Ok(Done::Passed)
}

/// What addr2line(1) says of an address counted from where the program lies.
fn lines(case: &Case) -> Result<()> {
    let program = build(case, "program", &["-g", "-pie"])?;
    let converted = case.convert(&program, &[])?;
    let names = output(case.command("nm").arg(&program))?;
    let line = names.lines().find(|line| line.ends_with("a_function_with_a_name"));
    let address = line.and_then(|line| line.split(' ').next()).context("no symbol")?;
    let at =
        |file: &Path| output(case.command("addr2line").args(["-f", "-e"]).arg(file).arg(address));
    let said = at(&program)?;
    ensure!(said.contains("own-file.c:"), "{said}");
    ensure!(at(&converted)? == said, "{}", at(&converted)?);
    Ok(())
}

/// The standard library finds names and lines in /proc/self/exe.
fn panic(case: &Case) -> Result<()> {
    let (source, program) = (case.dir.join("source.rs"), case.dir.join("panic"));
    let text = "#[inline(never)] fn inner(n: usize) -> usize { [1, 2][n] }\n\
                fn main() { println!(\"{}\", inner(std::env::args().count() + 1)); }\n";
    fs::write(&source, text)?;
    for flags in [&["-g"][..], &["-Cdebuginfo=0"], &["-g", "-Crelocation-model=static"]] {
        let mut rustc = Command::new("rustc");
        output(rustc.args(flags).args(["--crate-name", "panic", "-o"]).arg(&program).arg(&source))?;
        let converted = case.convert(&program, &["--force"])?;
        let crash = |program: &Path| {
            run(case.command(program).env("RUST_BACKTRACE", "full")).map(|mut outcome| {
                outcome.stderr = normalise(&outcome.stderr, program, "$EXE");
                // Addresses and process ids are others at each start.
                outcome.stderr = without_numbers(&outcome.stderr_text()).into_bytes();
                outcome
            })
        };
        let (theirs, own) = (crash(&program)?, crash(&converted)?);
        ensure!(theirs.stderr_text().contains("panic::inner"), "{}", said(&theirs));
        let wrong = against_each_other(&theirs, &own);
        ensure!(wrong.is_empty(), "{flags:?}: {}", wrong.join("\n"));
    }
    Ok(())
}

/// Without hexadecimal numbers, and what begins with them.
fn without_numbers(text: &str) -> String {
    let words = text.lines().map(|line| {
        let words = line.split_whitespace().filter(|word| !word.starts_with("0x"));
        words.filter(|word| !word.starts_with('(')).collect::<Vec<_>>().join(" ")
    });
    words.collect::<Vec<_>>().join("\n")
}

/// elfscan finds nothing wrong with it.
fn check(converted: &Path) -> Result<()> {
    let mut command = Command::new(tool::locate("elfscan")?);
    let said = run(command.arg("check").arg(converted))?;
    ensure!(said.end == End::Exit(0), "{}", said.stdout_text());
    Ok(())
}
