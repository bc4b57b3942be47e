//! `elfscan extract`: the files that come out, held against the originals by their bytes and by what binutils
//! say of both; and backtraces and profiles of converted programs, held against the originals'.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use goblin::elf::Elf;
use goblin::elf::program_header::PT_LOAD;
use regex::Regex;
use serde_json::Value;
use statify_elf::ElfFile;
use statify_format::manifest::Manifest;
use statify_tests::builder;
use statify_tests::case::{Case, Cases, run};
use statify_tests::machine::find_program;
use statify_tests::process::End;
use statify_tests::report::Done;

use crate::elfscan::tool::{elfscan, json};

pub fn add(cases: &mut Cases) {
    cases.check("extract/small-program", |case| {
        let program = case.build("extract-crash", "small", &["-O1"])?;
        agrees(case, &program, &[])
    });
    cases.check("extract/small-program-fixed", |case| {
        let program = case.build("extract-crash", "small", &["-O1"])?;
        agrees(case, &program, &["--fixed"])
    });
    cases.check("extract/not-position-independent", |case| {
        let program = case.build("extract-crash", "small", &["-O1", "-no-pie"])?;
        agrees(case, &program, &[])
    });
    cases.check("extract/lazy-now-and-ibt", |case| {
        for (name, flags) in [
            ("lazy", &["-O1", "-Wl,-z,lazy"][..]),
            ("now", &["-O1", "-Wl,-z,now"]),
            ("ibt", &["-O1", "-fcf-protection=full", "-Wl,-z,ibtplt,-z,lazy"]),
            ("packed", &["-O1", "-Wl,-z,pack-relative-relocs"]),
            ("no-separate-code", &["-O1", "-Wl,-z,noseparate-code"]),
        ] {
            let program = case.build("extract-crash", name, flags)?;
            agrees(case, &program, &[]).context(name)?;
        }
        Ok(())
    });
    cases.check("extract/constants-beside-code", |case| {
        let text = "const int shown[] = {1, 2, 3};\nint first(void) { return shown[0]; }";
        for (name, flags) in [("usual", &[][..]), ("no-unwinding", NO_UNWINDING)] {
            let flags = [&["-Wl,-z,noseparate-code"][..], flags].concat();
            case.library(&format!("lib{name}.so"), text, &flags)?;
        }
        let link = case.link(&["libusual.so", "libno-unwinding.so"]);
        let link = ["-O1", "-Wl,--no-as-needed"].into_iter().chain(link.iter().map(String::as_str));
        let program = case.build("extract-crash", "small", &link.collect::<Vec<_>>())?;
        agrees(case, &program, &[])
    });
    // Addends stand in the words that relocations write there.
    for (name, flags, convert) in [
        ("pie", &["-pie", "-fPIE"][..], &[][..]),
        ("no-pie", &["-no-pie", "-fno-pie"], &[]),
        ("fixed", &["-pie", "-fPIE"], &["--fixed"]),
        ("lazy", &["-Wl,-z,lazy"], &[]),
        ("now", &["-Wl,-z,now"], &[]),
    ] {
        cases.needing(&["libc-32"]).check(&format!("extract/32-bits-{name}"), move |case| {
            case.library("libaddends.so", ADDENDS, &["-m32"])?;
            let link = case.link(&["libaddends.so"]);
            let link = link.iter().map(String::as_str);
            let flags = [&["-m32", "-O1"][..], flags].concat().into_iter().chain(link);
            let program = case.build("extract-crash", "small", &flags.collect::<Vec<_>>())?;
            agrees(case, &program, convert)
        });
    }
    for name in ["git", "curl", "python3.11", "gdb"] {
        let need = format!("program:{name}");
        cases.needing(&[need]).check(&format!("extract/{name}"), move |case| {
            agrees(case, &find_program(name).context("not installed")?, &[])
        });
    }
    cases.needing(&["c++"]).check("extract/c++", |case| agrees(case, &cxx(case)?, &[]));
    cases.check("extract/disassembly", disassembly);
    cases.check("extract/exact", exact);
    cases.check("extract/plugin-is-the-whole-file", plugin);
    cases.check("extract/nothing-is-overwritten", nothing_is_overwritten);
    cases.check("extract/paths-do-not-lead-out", paths_do_not_lead_out);
    cases.check("extract/not-converted", not_converted);
    for (kind, compile, convert) in [
        ("pie", &["-pie", "-fPIE"][..], &[][..]),
        ("no-pie", &["-no-pie", "-fno-pie"], &[]),
        ("fixed", &["-pie", "-fPIE"], &["--fixed"]),
    ] {
        let name = format!("extract/backtrace-{kind}");
        cases.needing(&["program:gdb"]).check(&name, move |case| {
            let flags = [compile, &["-O1", "-g", "-rdynamic"]].concat();
            let program = case.build("extract-crash", "crash", &flags)?;
            backtraces(case, &program, convert, &["compare", "sort", "main"])
        });
    }
    cases.needing(&["program:gdb", "c++"]).check("extract/backtrace-c++", |case| {
        let program = cxx(case)?;
        backtraces(case, &program, &[], &["__cxa_throw", "element", "main"])
    });
    cases.needing(&["program:perf"]).add("extract/perf", perf);
}

/// Nothing tells where functions end but the sections of code.
const NO_UNWINDING: &[&str] = &["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];

/// A library with pointers into others and thread-local variables, all with addends.
const ADDENDS: &str = "\
#include <stdio.h>
extern char **environ;
static __thread int before[3] = {1, 2, 3};
__thread int shown[5] = {4, 5, 6, 7, 8};
int array[9];
int *inside = &array[7];
char *const far_away[] = {(char *)&environ + 1, (char *)&stdout, (char *)array + 5};
int (*const call)(const char *) = puts;
int sum(void) { return before[2] + shown[3] + *inside + far_away[0][0] + call(\"\"); }
";

fn cxx(case: &Case) -> Result<PathBuf> {
    let output = case.dir.join("throw");
    let source = case.sources.join("extract-throw.cc");
    let compiler = case.toolchain.compiler(true)?;
    builder::compile_by(compiler, &[&source], &output, ["-O1", "-g", "-rdynamic"])?;
    Ok(output)
}

/// Converts `program`, extracts everything, and holds each file against its original.
fn agrees(case: &Case, program: &Path, flags: &[&str]) -> Result<()> {
    let out = case.convert(program, flags)?;
    let dir = case.dir.join(format!("{}.files", program.file_name().unwrap_or_default().display()));
    let files = extract(&out, &dir, &[])?;
    ensure!(files.len() > 2, "{files:?}");
    for (original, extracted) in &files {
        same_bytes(original, extracted).with_context(|| format!("{}", original.display()))?;
        for tool in [&["readelf", "-aW"][..], &["objdump", "-pTh"], &["nm", "-D"]] {
            let (theirs, own) = (said(tool, original)?, said(tool, extracted)?);
            ensure!(own.1.is_empty() || theirs.1 == own.1, "{tool:?}: {}", own.1);
            // The letters are the sections', so that this is about those, too.
            let same = tool[0] != "nm" || theirs.0 == own.0;
            ensure!(same, "{}: nm -D differs", original.display());
        }
    }
    Ok(())
}

/// The original and the extracted path of everything that elfscan says it extracted.
fn extract(out: &Path, dir: &Path, more: &[&str]) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut arguments = vec![OsStr::new("extract"), "--json".as_ref(), out.as_ref(), "-o".as_ref()];
    arguments.push(dir.as_ref());
    arguments.extend(more.iter().map(OsStr::new));
    let (answer, status) = json(arguments)?;
    ensure!(status == 0);
    let path = |file: &Value, name: &str| file[name].as_str().map(PathBuf::from).context("a path");
    let files = answer["files"].as_array().context("no files")?;
    files.iter().map(|file| Ok((path(file, "path")?, path(file, "extracted")?))).collect()
}

/// What a tool says of a file, with the file's name and format taken out, on stdout and stderr.
fn said(tool: &[&str], file: &Path) -> Result<(String, String)> {
    let outcome = run(Command::new(tool[0]).args(&tool[1..]).arg(file).env("LC_ALL", "C"))?;
    let name = file.display().to_string();
    let plain = |text: String| text.replace(&name, "FILE");
    Ok((plain(outcome.stdout_text()), plain(outcome.stderr_text())))
}

/// Every loaded byte is the original's, but for the position of the section headers and what the
/// loader and the C library have written into their own data.
fn same_bytes(original: &Path, extracted: &Path) -> Result<()> {
    let (theirs, own) = (fs::read(original)?, fs::read(extracted)?);
    let elf = Elf::parse(&theirs)?;
    let section_headers = if elf.is_64 { [40..48, 58..64] } else { [32..36, 46..52] };
    let mut differ = BTreeMap::new();
    for load in elf.program_headers.iter().filter(|load| load.p_type == PT_LOAD) {
        let range = load.p_offset as usize..(load.p_offset + load.p_filesz) as usize;
        for at in range.filter(|at| !section_headers.iter().any(|range| range.contains(at))) {
            if own.get(at) != theirs.get(at) {
                ensure!(load.is_write(), "the byte at {at:#x}, which nobody writes to, differs");
                *differ.entry(load.p_vaddr).or_insert(0) += 1;
            }
        }
    }
    let differ: i32 = differ.values().sum();
    let name = original.file_name().context("a name")?.to_string_lossy();
    let most = match &*name {
        name if name.starts_with("ld-linux") => 1024,
        name if name.starts_with("libc.so") => 16,
        _ => 0,
    };
    ensure!(differ <= most, "{differ} bytes of data differ");
    Ok(())
}

/// Instructions of a file's .text by address; without the names of what they refer to.
fn instructions(file: &Path) -> Result<BTreeMap<u64, String>> {
    let output = Command::new("objdump").arg("-d").arg(file).output()?;
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(name) = line.strip_prefix("Disassembly of section ") {
            section = name.into();
        } else if let Some((address, rest)) = line.split_once(":\t")
            && let Ok(address) = u64::from_str_radix(address.trim(), 16)
        {
            let rest = rest.split('<').next().unwrap_or_default().trim_end();
            let is_text = section == ".text:";
            found.insert(address, format!("{}{rest}", if is_text { "" } else { "(elsewhere) " }));
        }
    }
    Ok(found)
}

/// All instructions of the original's .text are found, function names with them.
fn disassembly(case: &Case) -> Result<()> {
    let program = case.build("extract-crash", "small", &["-O1", "-rdynamic"])?;
    let out = case.convert(&program, &[])?;
    for (original, extracted) in extract(&out, &case.dir.join("files"), &[])? {
        let (theirs, own) = (instructions(&original)?, instructions(&extracted)?);
        ensure!(theirs.len() > 20, "objdump says little of {}", original.display());
        for (address, text) in theirs.iter().filter(|(_, text)| !text.starts_with('(')) {
            let found = own.get(address).map(|text| text.trim_start_matches("(elsewhere) "));
            ensure!(found == Some(text), "{}: {address:#x}: {found:?}", original.display());
        }
    }
    let extracted = case.dir.join("files").join(program.strip_prefix("/")?);
    let text = said(&["objdump", "-d"], &extracted)?.0;
    for name in ["<compare>:", "<sort>:", "<main>:", "<strlen@plt>:", "<qsort@plt>:"] {
        let versioned = name.replace(">:", "@@Base>:");
        ensure!(text.contains(name) || text.contains(&versioned), "objdump -d has no {name}");
    }
    Ok(())
}

fn exact(case: &Case) -> Result<()> {
    let program = case.build("extract-crash", "small", &["-O1"])?;
    let out = case.convert(&program, &[])?;
    let dir = case.dir.join("files");
    for (original, extracted) in extract(&out, &dir, &["--exact"])? {
        ensure!(fs::read(&original)? == fs::read(extracted)?, "{}", original.display());
    }
    // Another file is no original.
    fs::write(&program, b"something else")?;
    let mut command = elfscan(["extract", "--exact", "--force"])?;
    refused(command.arg(&out).arg("-o").arg(&dir), "the original is not there any more")
}

fn plugin(case: &Case) -> Result<()> {
    let program = case.build("extract-crash", "small", &["-O1"])?;
    let library = case.library("libplugin.so", "int plugin(void) { return 1; }", &[])?;
    let with = library.to_str().context("a path")?;
    let out = case.convert(&program, &["--with", with])?;
    let files = extract(&out, &case.dir.join("files"), &["libplugin.so"])?;
    ensure!(files.len() == 1 && fs::read(&files[0].1)? == fs::read(&library)?, "{files:?}");
    Ok(())
}

fn nothing_is_overwritten(case: &Case) -> Result<()> {
    let program = case.build("extract-crash", "small", &["-O1"])?;
    let out = case.convert(&program, &[])?;
    let dir = case.dir.join("files");
    let files = extract(&out, &dir, &["libc.so.6"])?;
    ensure!(files.len() == 1, "{files:?}");
    fs::write(&files[0].1, b"mine")?;
    let mut command = elfscan(["extract"])?;
    refused(command.arg(&out).arg("-o").arg(&dir).arg("libc.so.6"), "it exists already")?;
    ensure!(fs::read(&files[0].1)? == b"mine");
    extract(&out, &dir, &["--force", "libc.so.6"])?;
    ensure!(fs::read(&files[0].1)? != b"mine");
    let mut command = elfscan(["extract"])?;
    refused(
        command.arg(&out).arg("-o").arg(&dir).arg("libmissing.so"),
        "no embedded file is called",
    )
}

/// Runs elfscan, which must say this in one line and exit with status 1.
fn refused(command: &mut Command, says: &str) -> Result<()> {
    let outcome = run(command)?;
    let text = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "{}: {text}", outcome.end);
    ensure!(text.contains(says) && text.lines().count() == 1, "{text}");
    Ok(())
}

/// An output that has this manifest, behind everything else.
fn with_manifest(output: &[u8], manifest: &Manifest) -> Result<Vec<u8>> {
    let elf = ElfFile::parse(output)?;
    // Elf64_Phdr of the last PT_NOTE: p_offset, p_filesz.
    let header = elf.header().e_phoff as usize + 56 * (elf.segments().len() - 1);
    let note = manifest.to_note();
    let mut bytes = output.to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let at = bytes.len() as u64;
    bytes[header + 8..header + 16].copy_from_slice(&at.to_le_bytes());
    bytes[header + 32..header + 40].copy_from_slice(&(note.len() as u64).to_le_bytes());
    bytes.extend(note);
    Ok(bytes)
}

/// A manifest with other paths.
fn paths_do_not_lead_out(case: &Case) -> Result<()> {
    let program = case.build("extract-crash", "small", &["-O1"])?;
    let out = case.convert(&program, &[])?;
    let bytes = fs::read(&out)?;
    let path = program.to_str().context("a path")?;
    let manifest = Manifest::read(&ElfFile::parse(&bytes)?).context("no manifest")?;
    ensure!(manifest.files[0].path == program, "{:?}", manifest.files[0].path);
    let dir = case.dir.join("a/b/c");
    let up = "/../../../x";
    let filled = |start: &str| format!("{start}{}", "y".repeat(path.len() - start.len()));
    let escape = filled("/a\n");
    for bad in [filled(up), filled("relative/"), filled("/link/"), escape, "/".repeat(path.len())] {
        let mut other = manifest.clone();
        other.files[0].path = bad.clone().into();
        let file = case.dir.join("changed");
        fs::write(&file, with_manifest(&bytes, &other)?)?;
        let _ = fs::remove_dir_all(case.dir.join("a"));
        let outside = case.dir.join("outside");
        fs::create_dir_all(&dir)?;
        fs::create_dir_all(&outside)?;
        std::os::unix::fs::symlink(&outside, dir.join("link"))?;
        let outcome = run(elfscan(["extract", "--force"])?.arg(&file).arg("-o").arg(&dir))?;
        ensure!(outcome.end == End::Exit(1), "{bad}: {}", outcome.stderr_text());
        ensure!(fs::read_dir(&outside)?.count() == 0, "{bad} has come out");
        ensure!(fs::read_dir(case.dir.join("a"))?.count() == 1, "{bad} has come out");
        let files = fs::read_dir(&case.dir)?.flatten().map(|file| file.file_name());
        let strange: Vec<_> =
            files.filter(|name| name.to_string_lossy().starts_with('x')).collect();
        ensure!(strange.is_empty(), "{bad} has come out");
    }
    Ok(())
}

fn not_converted(case: &Case) -> Result<()> {
    let program = case.build("extract-crash", "small", &["-O1"])?;
    let text = case.dir.join("text");
    fs::write(&text, b"no ELF file")?;
    for file in [&program, &text, &case.dir] {
        let mut command = elfscan(["extract", "-o"])?;
        refused(command.arg(case.dir.join("files")).arg(file), "not a file that statify")?;
    }
    Ok(())
}

/// A core of a program that dies, made by gdb.
fn core(case: &Case, program: &Path, name: &str) -> Result<PathBuf> {
    let core = case.dir.join(name);
    let mut gdb = gdb(case);
    gdb.args(["-ex", "run", "-ex", &format!("generate-core-file {}", core.display())]);
    let outcome = run(gdb.arg(program))?;
    ensure!(core.is_file(), "{}{}", outcome.stdout_text(), outcome.stderr_text());
    Ok(core)
}

fn gdb(case: &Case) -> Command {
    let mut command = case.command("gdb");
    command.args(["-nx", "-batch", "-iex", "set disable-randomization off"]);
    command.args(["-iex", "set debuginfod enabled off"]);
    command
}

/// The functions of gdb's backtrace, innermost first.
fn functions(gdb: &mut Command) -> Result<Vec<String>> {
    let outcome = run(gdb.args(["-ex", "bt"]))?;
    let text = outcome.stdout_text();
    let frame = Regex::new(r"(?m)^#\d+ +(?:0x[0-9a-f]+ in )?(.+?) \(")?;
    let mut frames: Vec<String> = frame.captures_iter(&text).map(|found| found[1].into()).collect();
    // The innermost frame is told when the core is opened, too, before the symbols are there.
    let begin = Regex::new(r"(?m)^#0")?.find_iter(&text).count();
    frames.drain(..begin.saturating_sub(1));
    ensure!(!frames.is_empty(), "{text}{}", outcome.stderr_text());
    // What lies behind main is shown if gdb does not take it for the program's first.
    let main = frames.iter().position(|name| name == "main");
    frames.truncate(main.map_or(frames.len(), |main| main + 1));
    Ok(frames)
}

/// A converted program's backtrace names the same functions as the original's; and those of `known`, in
/// this order, where the original is not there any more and no debug file.
fn backtraces(case: &Case, program: &Path, flags: &[&str], known: &[&str]) -> Result<()> {
    let out = case.convert(program, flags)?;
    let (theirs, own) =
        (core(case, program, "core.original")?, core(case, &out, "core.converted")?);
    let expected = functions(gdb(case).arg(program).arg(theirs))?;
    ensure!(expected.len() > 5, "{expected:?}");
    let dir = case.dir.join("files");
    extract(&out, &dir, &[])?;
    let found = functions(gdb(case).arg(&out).arg(&own).arg("-x").arg(dir.join("gdb")))?;
    // Where gdb has no name for the original's, module and address stand.
    let same =
        |(own, theirs): (&String, &String)| own == theirs || theirs == "??" && own.contains("+0x");
    let alike = found.len() == expected.len() && found.iter().zip(&expected).all(same);
    ensure!(alike, "{found:#?}\nrather than\n{expected:#?}");

    let (bare, nothing) = (case.dir.join("bare"), case.dir.join("nothing"));
    fs::create_dir(&nothing)?;
    extract(&out, &bare, &["--root", nothing.to_str().context("a path")?])?;
    fs::rename(program, case.dir.join("gone"))?;
    let mut gdb = gdb(case);
    gdb.arg("-iex").arg(format!("set debug-file-directory {}", nothing.display()));
    let found = functions(gdb.arg(&out).arg(&own).arg("-x").arg(bare.join("gdb")))?;
    let mut rest = found.iter();
    for name in known {
        let is_it = |frame: &String| frame.split('(').next() == Some(name);
        ensure!(rest.any(is_it), "{name} is missing in {found:#?}");
    }
    Ok(())
}

fn perf(case: &Case) -> Result<Done> {
    let program = case.build("extract-busy", "busy", &["-O1"])?;
    let out = case.convert(&program, &[])?;
    let data = case.dir.join("data");
    let mut record = case.command("perf");
    record.args(["record", "-q", "-e", "cpu-clock", "-o"]).arg(&data).arg(&out);
    let outcome = run(&mut record)?;
    if outcome.end != End::Exit(0) {
        return Done::not_here(format!("perf cannot record: {}", outcome.stderr_text()));
    }
    let tree = case.dir.join("tree");
    let symbols = tree.join(out.strip_prefix("/")?);
    let outcome = run(elfscan(["extract"])?.arg(&out).arg("--symbols").arg(&symbols))?;
    ensure!(outcome.end == End::Exit(0), "{}", outcome.stderr_text());
    let mut report = case.command("perf");
    report.args(["report", "--stdio", "--symfs"]).arg(&tree).arg("-i").arg(&data);
    let text = run(report.env("HOME", &case.dir))?.stdout_text();
    let top = text.lines().find(|line| line.contains('%') && !line.starts_with('#'));
    let Some(top) = top else { bail!("perf reports nothing: {text}") };
    ensure!(Regex::new("str|msort|qsort|compare")?.is_match(top), "{text}");
    ensure!(text.contains("busy.conv"), "{text}");
    Ok(Done::Passed)
}
