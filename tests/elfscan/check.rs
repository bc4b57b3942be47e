//! `elfscan check`: a converted file is intact, and every changed bit of it is found.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use elfscan::converted::check::{self, Part, Problem};
use elfscan::converted::open::Converted;
use elfscan::converted::show;
use serde_json::Value;
use statify_tests::case::{Case, Cases, run};
use statify_tests::machine::find_program;
use statify_tests::process::End;
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use crate::elfscan::reseal::reseal;
use crate::elfscan::tool::{elfscan, json};

const PAGE: usize = 4096;
/// So many random flips of a file.
const FLIPS: usize = 600;
/// So many random changes of several bytes.
const MUTATIONS: usize = 2000;

pub fn add(cases: &mut Cases) {
    for (name, build, flags) in VARIANTS {
        cases.check(&format!("check/intact/{name}"), move |case| intact(case, build, flags));
        cases.check(&format!("check/random-flips/{name}"), move |case| flips(case, build, flags));
    }
    cases.add_for(Toolchain::Musl, "check/random-flips/musl", |case| {
        flips(case, &[], &[]).map(|()| Done::Passed)
    });
    cases.needing(&["program:git"]).check("check/intact/git", |case| of_machine(case, "git"));
    cases.needing(&["program:curl"]).check("check/intact/curl", |case| of_machine(case, "curl"));
    cases.check("check/intact/large-pages", large_pages);
    cases.check("check/every-bit-of-headers-and-tables", every_bit);
    cases.check("check/mutations-are-answered", mutations);
    cases.check("check/sparse-file-fast", sparse);
    cases.check("check/length", length);
    cases.check("check/several-files", several);
    cases.check("check/not-converted", not_converted);
    cases.check("check/consistent-forgery-of-a-table", forged_table);
}

/// Builds and conversions that are laid out differently.
const VARIANTS: [(&str, &[&str], &[&str]); 6] = [
    ("randomised", &["-pie"], &[]),
    ("fixed", &["-pie"], &["--fixed"]),
    ("aligned", &["-pie"], &["--align", "65536"]),
    ("at-its-own-addresses", &["-no-pie"], &[]),
    ("plugins", &["-pie"], &["--with", "libm.so.6", "libz.so.1"]),
    (
        "plugins-denying",
        &["-pie"],
        &["--align", "65536", "--with", "libm.so.6", "--host-libs", "deny"],
    ),
];

fn converted(case: &Case, build: &[&str], flags: &[&str]) -> Result<PathBuf> {
    let program = case.build("greet", "greet", &[&["-O1"], build].concat())?;
    case.convert(&program, flags)
}

fn intact(case: &Case, build: &[&str], flags: &[&str]) -> Result<()> {
    let out = converted(case, build, flags)?;
    expect_intact(&out)
}

fn of_machine(case: &Case, program: &str) -> Result<()> {
    let program = find_program(program).context("not installed")?;
    expect_intact(&case.convert(&program, &[])?)
}

/// A library for pages of 2 MiB has a gap between its segments that is longer than its file.
fn large_pages(case: &Case) -> Result<()> {
    let flags = ["-Wl,-soname,libwide.so.1,-z,max-page-size=0x200000,-z,noseparate-code"];
    case.library("libwide.so.1", "int number = 1; int *wide(void) { return &number; }", &flags)?;
    let link = case.link(&["libwide.so.1"]);
    let link: Vec<_> = link.iter().map(String::as_str).collect();
    expect_intact(&converted(case, &link, &[])?)
}

fn expect_intact(out: &Path) -> Result<()> {
    let said = run(&mut elfscan([Path::new("check"), out])?)?;
    ensure!(said.end == End::Exit(0), "{}: {}", said.end, said.stdout_text());
    ensure!(said.stdout_text() == format!("{}: intact\n", out.display()), "{}", said.stdout_text());
    let (answer, status) = json(["check".as_ref(), "--json".as_ref(), out.as_os_str()])?;
    ensure!(status == 0 && answer[0]["intact"] == true, "{answer}");
    ensure!(answer[0]["problems"] == Value::Array(Vec::new()), "{answer}");
    Ok(())
}

/// The problems of bytes; none if they are not even a converted file's.
fn problems(bytes: &[u8]) -> Option<Vec<Problem>> {
    let converted = Converted::read(bytes).ok()?;
    let all = 0..bytes.len() as u64;
    Some(check::check(&converted, std::slice::from_ref(&all)).problems)
}

/// What should be named for a changed byte at `at`.
struct Map {
    /// Ranges of file offsets with the embedded file's path, or none.
    memory: Vec<(std::ops::Range<u64>, Option<PathBuf>)>,
    /// Headers, tables, starter.
    front: u64,
    /// Notes and section headers.
    manifest: std::ops::Range<u64>,
    /// File offsets of what is not loaded.
    unloaded: Vec<std::ops::Range<u64>>,
}

impl Map {
    fn of(bytes: &[u8]) -> Result<Self> {
        let converted = Converted::read(bytes)?;
        let files = converted.manifest.files.iter();
        let of_files =
            files.flat_map(|file| file.memory.iter().map(|m| (m, Some(file.path.clone()))));
        let of_none = converted.manifest.memory.iter().map(|memory| (memory, None));
        let range = |memory: &statify_format::manifest::Memory| {
            memory.stored_at.map(|at| at..at + memory.size)
        };
        let memory: Vec<_> = of_files
            .chain(of_none)
            .filter_map(|(memory, path)| Some((range(memory)?, path)))
            .collect();
        let front = statify_format::build_id::front(&converted.elf).context("no starter")?.end;
        let notes = converted.elf.segments().last().context("no segments")?;
        let (table, size) = converted.elf.section_table();
        let manifest = notes.p_offset..(table + size).max(notes.p_offset + notes.p_filesz);
        let unloaded = converted.manifest.unloaded_at(bytes.len() as u64);
        let unloaded = unloaded.context("what is not loaded has no place")?;
        Ok(Self { memory, front, manifest, unloaded })
    }

    /// Whether one of the problems names what is damaged at `at`.
    fn is_named(&self, at: u64, problems: &[Problem]) -> bool {
        let page = at / PAGE as u64 * PAGE as u64;
        let memory = self.memory.iter().find(|(range, _)| range.contains(&at));
        if let Some(range) = self.unloaded.iter().find(|range| range.contains(&at)) {
            let is_named =
                |it: &Problem| it.part == Part::Unloaded && it.offset == Some(range.start);
            return problems.iter().any(is_named);
        }
        problems.iter().any(|problem| match memory {
            _ if self.manifest.contains(&at) => {
                problem.part == Part::Manifest || problem.what.contains("manifest")
            }
            Some((_, path)) => problem.module == *path && problem.offset == Some(page),
            None if at < self.front => {
                // The build-id is in the first page.
                let id = problem.what.contains("build-id");
                id || problem.offset == Some(page) || problem.part == Part::Headers
            }
            None => problem.part == Part::Padding && problem.offset == Some(page),
        })
    }
}

fn flips(case: &Case, build: &[&str], flags: &[&str]) -> Result<()> {
    let out = converted(case, build, flags)?;
    let mut bytes = fs::read(&out)?;
    ensure!(problems(&bytes) == Some(Vec::new()), "{:?}", problems(&bytes));
    let map = Map::of(&bytes)?;
    let mut random = Random(bytes.len() as u64);
    let last = (map.manifest.end - map.manifest.start) as usize;
    for flip in 0..FLIPS {
        // A third of them in the small parts that are not memory.
        let at = match flip % 6 {
            0 => random.below(map.front as usize),
            1 => map.manifest.start as usize + random.below(last),
            _ => random.below(bytes.len()),
        };
        let bit = 1 << random.below(8);
        bytes[at] ^= bit;
        match problems(&bytes) {
            Some(found) if found.is_empty() => bail!("bit {bit:#x} of byte {at:#x} was not missed"),
            Some(found) if !map.is_named(at as u64, &found) => {
                bail!("for bit {bit:#x} of byte {at:#x} it says {found:?}")
            }
            _ => bytes[at] ^= bit,
        }
    }
    Ok(())
}

/// A generator of numbers that are the same in each run (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end
    }
}

/// A converted program without the C library: so small that it is checked quickly.
fn small(case: &Case) -> Result<Vec<u8>> {
    // The loader asks for these names.
    let names = "calloc free malloc realloc".split(' ');
    let functions =
        names.map(|name| format!("void *{name}(unsigned long a) {{ return (void *)a; }}\n"));
    let versions = case.dir.join("versions");
    fs::write(&versions, "GLIBC_2.2.5 { calloc; free; malloc; realloc; };")?;
    let script = format!("-Wl,-soname,libsmall.so,--version-script,{}", versions.display());
    let flags = ["-nostdlib", "-fno-builtin", &script];
    case.library("libsmall.so", &functions.collect::<String>(), &flags)?;
    let source = case.dir.join("small.c");
    fs::write(
        &source,
        "void _start(void) { __asm__(\"mov $60, %eax; xor %edi, %edi; syscall\"); }",
    )?;
    let program = case.dir.join("small");
    let linked = case.link(&["libsmall.so"]);
    let flags = ["-O1", "-nostdlib", "-pie"].into_iter().chain(linked.iter().map(String::as_str));
    statify_tests::builder::compile_by(
        case.toolchain.compiler(false)?,
        &[&source],
        &program,
        flags,
    )?;
    Ok(fs::read(case.convert(&program, &[])?)?)
}

/// Every bit of ELF header, program headers and parameters, and of the tables' first page.
fn every_bit(case: &Case) -> Result<()> {
    let bytes = small(case)?;
    ensure!(problems(&bytes) == Some(Vec::new()), "{:?}", problems(&bytes));
    let converted = Converted::read(&bytes)?;
    let headers = 64 + 56 * converted.elf.segments().len() + statify_format::build_id::NOTE;
    let parameters = statify_format::parameters::Parameters::read(&converted.elf)?;
    let code = parameters.code.start as usize;
    let sizes = parameters.tables().map(|(_, table, _)| table.offset as usize);
    let tables = code - size_of::<statify_params::Params>() - sizes.into_iter().max().unwrap_or(0);
    let places = (0..headers).chain(tables..code.min(tables + PAGE)).chain(code - 272..code);
    let mut bytes = bytes.clone();
    for at in places {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let found = problems(&bytes);
            ensure!(found != Some(Vec::new()), "bit {bit} of byte {at:#x} was not missed");
            bytes[at] ^= 1 << bit;
        }
    }
    Ok(())
}

/// Reads, checks and describes a file.
fn look(bytes: &[u8]) {
    if let Ok(converted) = Converted::read(bytes) {
        let all = 0..bytes.len() as u64;
        let _ = check::check(&converted, std::slice::from_ref(&all));
        let _ = show::describe(&converted, 0, None);
    }
}

/// Whatever stands in headers, tables, manifest and checksums: an answer, and soon.
fn mutations(case: &Case) -> Result<()> {
    let bytes = small(case)?;
    let map = Map::of(&bytes)?;
    let mut random = Random(1);
    for _ in 0..MUTATIONS {
        let mut changed = bytes.clone();
        for _ in 0..1 + random.below(4) {
            let (start, len) = match random.below(3) {
                0 => (0, PAGE / 4),
                1 => (map.front as usize - 4 * PAGE, 2 * PAGE),
                _ => {
                    let len = map.manifest.end - map.manifest.start;
                    (map.manifest.start as usize, len as usize)
                }
            };
            let at = start + random.below(len);
            let values = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', random.below(256) as u8];
            changed[at] = values[random.below(values.len())];
        }
        if random.below(8) == 0 {
            changed.truncate(random.below(bytes.len()));
        }
        let start = Instant::now();
        look(&changed);
        ensure!(start.elapsed().as_secs() < 10, "it took {:?}", start.elapsed());
    }
    Ok(())
}

/// A file of more than three gigabytes, nearly all of it holes: as fast as any other.
fn sparse(case: &Case) -> Result<()> {
    let out = converted(case, &["-pie"], &["--align", "1073741824"])?;
    ensure!(out.metadata()?.len() > 2 << 30, "it is not as large as it should be");
    let start = Instant::now();
    expect_intact(&out)?;
    let took = start.elapsed();
    ensure!(took.as_secs() < 5, "it took {took:?}");
    // A byte in the middle of nothing.
    let mut file = OpenOptions::new().write(true).open(&out)?;
    file.seek(SeekFrom::Start((1 << 30) + (1 << 29) + 5))?;
    file.write_all(b"x")?;
    expect_problem(&out, "padding, file offset 0x60000000: it is not zero")
}

fn expect_problem(out: &Path, what: &str) -> Result<()> {
    let said = run(&mut elfscan([Path::new("check"), out])?)?;
    let text = said.stdout_text();
    ensure!(said.end == End::Exit(1), "{}: {text}", said.end);
    ensure!(text.contains(what), "it does not say {what:?} but {text}");
    Ok(())
}

fn length(case: &Case) -> Result<()> {
    let out = converted(case, &["-pie"], &[])?;
    let len = out.metadata()?.len();
    let file = OpenOptions::new().append(true).open(&out)?;
    (&file).write_all(&[0; 3])?;
    expect_problem(&out, "3 bytes behind the file's end")?;
    file.set_len(len)?;
    expect_intact(&out)?;
    let map = Map::of(&fs::read(&out)?)?;
    for (cut, what) in [
        (len - 1, "beyond the file's end"),
        (len / 2, "beyond the file's end"),
        (map.manifest.start + 100, "damaged or truncated"),
        (70, "damaged or truncated"),
        (0, "not an ELF file"),
    ] {
        file.set_len(cut)?;
        expect_problem(&out, what).with_context(|| format!("cut to {cut}"))?;
    }
    Ok(())
}

fn several(case: &Case) -> Result<()> {
    let out = converted(case, &["-pie"], &[])?;
    let bad = case.dir.join("bad");
    fs::copy(&out, &bad)?;
    let mut bytes = fs::read(&bad)?;
    let (range, path) = Map::of(&bytes)?.memory.into_iter().nth(1).context("no memory")?;
    let address = statify_elf::ElfFile::parse(&bytes)?
        .loads()
        .find(|load| load.p_offset == range.start)
        .map(|load| load.p_vaddr)
        .context("no PT_LOAD")?;
    bytes[range.start as usize + 100] ^= 4;
    fs::write(&bad, &bytes)?;
    let said = run(&mut elfscan([Path::new("check"), &out, &bad, &out])?)?;
    let (good, path) = (out.display(), path.context("no file")?);
    let expected = format!(
        "{good}: intact\n{}: {}, segment r-x, address {:#x}, file offset {:#x}: the page is not as it \
         was written\n{good}: intact\n",
        bad.display(),
        path.display(),
        address,
        range.start
    );
    ensure!(said.stdout_text() == expected, "{}", said.stdout_text());
    ensure!(said.end == End::Exit(1), "{}", said.end);
    let (answer, status) = json(["check".as_ref(), "--json".as_ref(), bad.as_os_str()])?;
    let problem = &answer[0]["problems"][0];
    ensure!(status == 1 && answer[0]["intact"] == false, "{answer}");
    ensure!(problem["part"] == "module" && problem["offset"] == range.start, "{answer}");
    Ok(())
}

fn not_converted(case: &Case) -> Result<()> {
    let program = case.build("greet", "greet", &["-O1"])?;
    expect_problem(&program, "it is not a converted file: it has no manifest")?;
    let text = case.dir.join("text");
    fs::write(&text, "no ELF")?;
    expect_problem(&text, "it is not a converted file: it is not an ELF file")?;
    expect_problem(&case.dir.join("none"), "No such file or directory")?;
    expect_problem(&case.dir, "it is not a regular file")?;
    let fifo = case.dir.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    expect_problem(&fifo, "it is not a regular file")?;
    drop(File::open(&text)?);
    let said = run(&mut elfscan(["check"])?)?;
    ensure!(said.end == End::Exit(2), "{}", said.end);
    Ok(())
}

/// Tables that would make code writable are found though the build-id was made anew.
fn forged_table(case: &Case) -> Result<()> {
    let out = converted(case, &["-pie"], &[])?;
    let mut bytes = fs::read(&out)?;
    let (at, id) = {
        let converted = Converted::read(&bytes)?;
        let parameters = statify_format::parameters::Parameters::read(&converted.elf)?;
        let table = parameters.params.protects;
        let block = parameters.code.start as usize - size_of::<statify_params::Params>();
        ensure!(table.count > 0, "there is nothing to change");
        (block - table.offset as usize + 16, converted.elf.build_id())
    };
    bytes[at] = all_prot();
    reseal(&mut bytes)?;
    let new = Converted::read(&bytes)?.elf.build_id();
    ensure!(id != new, "the build-id does not depend on the tables");
    fs::write(&out, &bytes)?;
    expect_problem(&out, "permissions for pages that are not mapped, or not for code")
}

/// PROT_READ | PROT_WRITE | PROT_EXEC.
fn all_prot() -> u8 {
    7
}
