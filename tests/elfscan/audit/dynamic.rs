//! Words that no relocation names, overwritten from outside by `/proc/PID/mem`: the dynamic section,
//! and the loader's own variables. And what looks like tampering and is none.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use goblin::elf::program_header::{PT_DYNAMIC, PT_GNU_RELRO};
use statify_tests::case::{Case, Cases};

use super::waiting::{Waiting, alarms, audit};

/// So many of the loader's words are overwritten.
const TRIES: u64 = 48;

pub fn add(cases: &mut Cases) {
    cases.check("audit/every-entry-of-a-dynamic-section", |case| {
        let program = case.build("tampered", "tampered", &["-Wl,-z,relro,-z,now"])?;
        every_entry(case, &program)
    });
    cases.check("audit/every-entry-of-a-dynamic-section-converted", |case| {
        let program = case.build("tampered", "tampered", &["-Wl,-z,relro,-z,now"])?;
        ensure_alarm_for_dt_fini(case, &case.convert(&program, &[])?)
    });
    cases.check("audit/the-loaders-own-variables", loader);
    for (name, flags) in [
        ("pie", &["-fPIE", "-pie"][..]),
        ("absolute", &["-fno-pie", "-no-pie"][..]),
        ("bound-now", &["-fPIE", "-pie", "-Wl,-z,now"][..]),
    ] {
        cases.check(&format!("audit/a-copy-of-the-debuggers-list-{name}"), move |case| {
            let program = case.build("debugger-list", "lister", flags)?;
            for program in [program.clone(), case.convert(&program, &["--force"])?] {
                silent(&Waiting::start(&mut case.command(&program))?)?;
            }
            Ok(())
        });
    }
    for (name, flags) in [("", &["-O1"][..]), ("-of-32-bits", &["-O1", "-m32"])] {
        let needs: &[&str] = if name.is_empty() { &[] } else { &["libc-32"] };
        cases.needing(needs).check(
            &format!("audit/a-function-behind-padding{name}"),
            move |case| {
                let program = case.build("padded", "padded", flags)?;
                for program in [program.clone(), case.convert(&program, &[])?] {
                    silent(&Waiting::start(&mut case.command(&program))?)?;
                }
                Ok(())
            },
        );
    }
    cases.check("audit/pages-written-with-what-they-had", |case| {
        let program = case.build("tampered", "tampered", &["-Wl,-z,relro,-z,now"])?;
        for program in [program.clone(), case.convert(&program, &[])?] {
            let waiting = Waiting::start(&mut case.command(&program))?;
            let memory = Memory::of(&waiting)?;
            for (start, end) in memory.mappings("/", |flags| !flags.contains('w'))? {
                for page in (start..end).step_by(4096) {
                    let mut byte = [0];
                    // What lies behind a file's end is not there.
                    if memory.file.read_exact_at(&mut byte, page).is_ok() {
                        memory.file.write_all_at(&byte, page)?;
                    }
                }
            }
            silent(&waiting)?;
        }
        Ok(())
    });
}

fn silent(waiting: &Waiting) -> Result<()> {
    let (report, status) = audit(&[waiting.pid()], &[])?;
    ensure!(status == 0 && alarms(&report)?.is_empty(), "{report:#}");
    Ok(())
}

/// The memory of a process.
struct Memory {
    maps: String,
    file: File,
}

impl Memory {
    fn of(waiting: &Waiting) -> Result<Self> {
        let dir = format!("/proc/{}", waiting.pid());
        let file = File::options().read(true).write(true).open(format!("{dir}/mem"))?;
        Ok(Self { maps: fs::read_to_string(format!("{dir}/maps"))?, file })
    }

    /// Those whose path begins so and whose flags are right.
    fn mappings(&self, path: &str, flags: impl Fn(&str) -> bool) -> Result<Vec<(u64, u64)>> {
        let mut found = Vec::new();
        for line in self.maps.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.get(5).is_some_and(|name| name.starts_with(path)) && flags(words[1]) {
                let (start, end) = words[0].split_once('-').context("no range")?;
                found.push((u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?));
            }
        }
        Ok(found)
    }

    fn word(&self, at: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn set(&self, at: u64, value: u64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_le_bytes(), at)?)
    }
}

/// Which of these words are not found when all have these values; then they are as they were again.
fn missed(waiting: &Waiting, memory: &Memory, words: &[(u64, u64)]) -> Result<Vec<String>> {
    let mut before = Vec::new();
    for &(at, value) in words {
        before.push((at, memory.word(at)?));
        memory.set(at, value)?;
    }
    let (report, _) = audit(&[waiting.pid()], &[])?;
    for (at, value) in before {
        memory.set(at, value)?;
    }
    let found = alarms(&report)?;
    let told: HashSet<&str> = found.iter().filter_map(|alarm| alarm["address"].as_str()).collect();
    let all: Vec<String> = words.iter().map(|(at, _)| format!("{at:#x}")).collect();
    ensure!(told.iter().all(|at| all.iter().any(|word| word == at)), "{report:#}");
    Ok(all.into_iter().filter(|at| !told.contains(at.as_str())).collect())
}

fn every_entry(case: &Case, program: &Path) -> Result<()> {
    let waiting = Waiting::start(&mut case.command(program))?;
    silent(&waiting)?;
    let memory = Memory::of(&waiting)?;
    let path = fs::canonicalize(program)?.display().to_string();
    let first = memory.mappings(&path, |_| true)?.first().context("no mapping")?.0;
    let bytes = fs::read(program)?;
    let elf = Elf::parse(&bytes)?;
    let segment = elf.program_headers.iter().find(|segment| segment.p_type == PT_DYNAMIC);
    let segment = segment.context("no PT_DYNAMIC")?;
    let count = elf.dynamic.as_ref().map_or(0, |dynamic| dynamic.dyns.len() as u64);
    let entries = (0..count).map(|entry| first + segment.p_vaddr + 16 * entry);
    for (what, into, change) in [("value", 8, 0x10), ("tag", 0, 0x40)] {
        let words = entries
            .clone()
            .map(|at| -> Result<(u64, u64)> { Ok((at + into, memory.word(at + into)? ^ change)) });
        let words = words.collect::<Result<Vec<_>>>()?;
        let missed = missed(&waiting, &memory, &words)?;
        ensure!(missed.is_empty() && words.len() > 20, "{what}: {missed:?}");
    }
    silent(&waiting)
}

fn ensure_alarm_for_dt_fini(case: &Case, program: &Path) -> Result<()> {
    const DT_FINI: u64 = 13;
    let waiting = Waiting::start(&mut case.command(program))?;
    silent(&waiting)?;
    let memory = Memory::of(&waiting)?;
    let path = fs::canonicalize(program)?.display().to_string();
    // Every word that is the tag and is followed by an address in the file.
    let mut found = 0;
    for (start, end) in memory.mappings(&path, |flags| flags.starts_with("r-"))? {
        for at in (start..end).step_by(16) {
            let Ok(tag) = memory.word(at) else { break };
            let value = memory.word(at + 8)?;
            if tag != DT_FINI || memory.word(at - 16)? != 12 || value == 0 {
                continue;
            }
            let missed = missed(&waiting, &memory, &[(at + 8, value + 4)])?;
            ensure!(missed.is_empty(), "{missed:?}");
            found += 1;
        }
    }
    ensure!(found > 0, "no DT_FINI in memory");
    silent(&waiting)
}

/// Words of the loader's RELRO, all over it, with a pointer to code of the program's: what is not
/// found is what docs/src/guide/elfscan-audit.md says.
fn loader(case: &Case) -> Result<()> {
    let program = case.build("tampered", "tampered", &["-Wl,-z,relro,-z,now"])?;
    let waiting = Waiting::start(&mut case.command(&program))?;
    silent(&waiting)?;
    let line = waiting.said().first().context("it said nothing")?;
    let evil = line.rsplit(' ').next().and_then(|word| word.strip_prefix("0x"));
    let evil = u64::from_str_radix(evil.context("no address")?, 16)?;
    let memory = Memory::of(&waiting)?;
    let names: Vec<&str> =
        memory.maps.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
    let path = names.iter().find(|name| name.contains("/ld-")).context("no loader")?;
    let first = memory.mappings(path, |_| true)?.first().context("no mapping")?.0;
    let bytes = fs::read(path)?;
    let elf = Elf::parse(&bytes)?;
    let relro = elf.program_headers.iter().find(|segment| segment.p_type == PT_GNU_RELRO);
    let relro = relro.context("no PT_GNU_RELRO")?;
    let end = (relro.p_vaddr + relro.p_memsz) & !4095;
    let step = ((end - relro.p_vaddr) / TRIES).next_multiple_of(8);
    let words = (relro.p_vaddr..end).step_by(step as usize).map(|at| (first + at, evil));
    let missed = missed(&waiting, &memory, &words.collect::<Vec<_>>())?;
    ensure!(missed.is_empty(), "{path} at {first:#x}: {missed:?}");
    silent(&waiting)
}
