//! Programs that overwrite something of their own.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases};

use super::waiting::{Waiting, alarms, audit};

/// What is overwritten; the symbol of the alarm; where it should point, as far as that has a name.
const WORDS: [(&str, Option<&str>, Option<&str>); 7] = [
    ("slot", Some("getppid@GLIBC_2.2.5"), Some("getppid")),
    ("ifunc", Some("memmove@GLIBC_2.2.5"), Some("memmove@GLIBC_2.2.5")),
    ("middle", Some("memmove@GLIBC_2.2.5"), Some("memmove@GLIBC_2.2.5")),
    ("libc", None, None),
    ("pointer", None, Some("victim")),
    ("ending", None, Some("at_end")),
    ("resolver", None, None),
];
const LAZY: &[&str] = &["-Wl,-z,relro,-z,lazy"];
const FULL: &[&str] = &["-Wl,-z,relro,-z,now"];
const NONE: &[&str] = &["-Wl,-z,norelro,-z,lazy"];
const ABSOLUTE: &[&str] = &["-no-pie", "-fno-pie"];

pub fn add(cases: &mut Cases) {
    for (name, flags) in [("partial", LAZY), ("full", FULL), ("no", NONE), ("absolute", ABSOLUTE)] {
        cases.check(&format!("audit/tampering-with-{name}-relro"), move |case| {
            let program = case.build("tampered", "tampered", flags)?;
            every_word(case, &program, true, false)
        });
        cases.check(&format!("audit/tampering-with-{name}-relro-converted"), move |case| {
            let program = case.build("tampered", "tampered", flags)?;
            every_word(case, &case.convert(&program, &[])?, false, false)
        });
        cases.check(&format!("audit/tampering-with-{name}-relro-fixed"), move |case| {
            let program = case.build("tampered", "tampered", flags)?;
            every_word(case, &case.convert(&program, &["--fixed"])?, false, false)
        });
        cases.needing(&["libc-32"]).check(
            &format!("audit/tampering-with-{name}-relro-of-32-bits"),
            move |case| {
                let program = case.build("tampered", "tampered", &[flags, &["-m32"]].concat())?;
                every_word(case, &program, true, false)?;
                every_word(case, &case.convert(&program, &[])?, false, false)?;
                every_word(case, &case.convert(&program, &["--force", "--fixed"])?, false, false)
            },
        );
    }
    cases.check("audit/tampering-by-mprotect", |case| {
        let program = case.build("tampered", "tampered", FULL)?;
        every_word(case, &program, true, true)
    });
    cases.check("audit/times-of-the-loader", times);
    cases.check("audit/writable-relro", |case| {
        let program = case.build("tampered", "tampered", FULL)?;
        let mut command = case.command(&program);
        command.arg("slot").env("MPROTECT", "1").env("LEFT_WRITABLE", "1");
        let waiting = Waiting::start(&mut command)?;
        let (report, status) = audit(&[waiting.pid()], &[])?;
        let kinds: Vec<_> = alarms(&report)?.iter().map(|alarm| alarm["kind"].as_str()).collect();
        ensure!(status == 1 && kinds == [Some("writable_relro"), Some("entry")], "{report:#}");
        Ok(())
    });
}

/// The loader counts how long it has taken, in ticks of a clock: a number of them may be that of an address in a program at
/// low addresses, which is nobody's doing.
fn times(case: &Case) -> Result<()> {
    let program = case.build("tampered", "tampered", ABSOLUTE)?;
    let start = || Waiting::start(case.command(&program).arg("nothing"));
    let (one, two) = (start()?, start()?);
    let (words, others) = (constants_of_loader(&one)?, constants_of_loader(&two)?);
    let is_time = |word: u64| (10_000..1 << 40).contains(&word);
    let times =
        words.iter().zip(&others).filter(|((_, a), (_, b))| a != b && is_time(*a) && is_time(*b));
    let times: Vec<u64> = times.map(|((at, _), _)| *at).collect();
    ensure!(!times.is_empty(), "the loader has counted nothing");
    let code =
        mapping(&one, |line| line.contains("r-xp") && line.ends_with("/tampered"))?.start + 0x11;
    let memory = File::options().write(true).open(format!("/proc/{}/mem", one.pid()))?;
    for at in times {
        memory.write_all_at(&code.to_le_bytes(), at)?;
    }
    let (report, status) = audit(&[one.pid()], &[])?;
    ensure!(status == 0 && alarms(&report)?.is_empty(), "{report:#}");
    Ok(())
}

/// The words of what the loader has made read-only of its own data, with their addresses, as far from its beginning in each
/// process.
fn constants_of_loader(waiting: &Waiting) -> Result<Vec<(u64, u64)>> {
    let is_constant = |line: &str| line.contains("r--p") && line.contains("/ld-linux");
    // Its headers and its constants are read-only, too; these come last.
    let range = mappings(waiting, is_constant)?.pop().context("no loader")?;
    let memory = File::open(format!("/proc/{}/mem", waiting.pid()))?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    memory.read_exact_at(&mut bytes, range.start)?;
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    Ok((range.start..).step_by(8).zip(words).collect())
}

fn mapping(waiting: &Waiting, wanted: impl Fn(&str) -> bool) -> Result<Range<u64>> {
    mappings(waiting, wanted)?.into_iter().next().context("no such mapping")
}

/// The addresses of those mappings whose line in /proc/PID/maps is wanted.
fn mappings(waiting: &Waiting, wanted: impl Fn(&str) -> bool) -> Result<Vec<Range<u64>>> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", waiting.pid()))?;
    let range = |line: &str| -> Result<Range<u64>> {
        let (start, rest) = line.split_once('-').context("no range")?;
        let end = rest.split(' ').next().unwrap_or_default();
        Ok(u64::from_str_radix(start, 16)?..u64::from_str_radix(end, 16)?)
    };
    maps.lines().filter(|line| wanted(line)).map(range).collect()
}

/// Each of them is found, and nothing else.
fn every_word(case: &Case, program: &Path, has_symbols: bool, by_mprotect: bool) -> Result<()> {
    let start = |what: &str| {
        let mut command = case.command(program);
        command.arg(what);
        if by_mprotect {
            command.env("MPROTECT", "1");
        }
        Waiting::start(&mut command)
    };
    let untouched = start("nothing")?;
    let (report, status) = audit(&[untouched.pid()], &[])?;
    ensure!(status == 0 && alarms(&report)?.is_empty(), "{report:#}");
    let has_relro = !case.dir.to_string_lossy().contains("-no-relro");
    // The first version that the C library has for the machine.
    let is_64 = std::fs::read(program)?.get(4) == Some(&2);
    let of_machine =
        |name: &str| if is_64 { name.to_owned() } else { name.replace("2.2.5", "2.0") };
    for (what, symbol, expected) in WORDS {
        // Without RELRO only a section's name says that it is a constant; outputs have no sections.
        if what == "pointer" && !has_relro && !has_symbols {
            continue;
        }
        let waiting = start(what)?;
        let (slot, value, _) = addresses(&waiting)?;
        let (report, status) = audit(&[waiting.pid()], &[])?;
        ensure!(status == 1, "{what}: status {status}");
        let [alarm] = &alarms(&report)?[..] else { anyhow::bail!("{what}: {report:#}") };
        ensure!(alarm["kind"] == "entry" && alarm["address"] == slot, "{what}: {slot} {alarm:#}");
        ensure!(alarm["found"]["address"] == value, "{what}: {value} {alarm:#}");
        let symbol = symbol.map(of_machine);
        ensure!(alarm["symbol"].as_str() == symbol.as_deref(), "{what}: {alarm:#}");
        let module = PathBuf::from(alarm["module"].as_str().context("no module")?);
        let own = if what == "libc" { "libc.so.6" } else { "tampered" };
        ensure!(module.file_name().is_some_and(|name| name == own), "{what}: {alarm:#}");
        let found_module = if what == "middle" { "libc.so.6" } else { "tampered" };
        let found = &alarm["found"];
        ensure!(ends_with(&found["module"], found_module), "{what}: {alarm:#}");
        let is_named = has_symbols && what != "middle";
        ensure!(!is_named || found["symbol"] == "evil", "{what}: {alarm:#}");
        let named = expected.filter(|name| has_symbols || !matches!(*name, "victim" | "at_end"));
        let named = named.map(of_machine);
        ensure!(named.is_none_or(|name| alarm["expected"]["symbol"] == *name), "{what}: {alarm:#}");
    }
    let waiting = start("code")?;
    let (slot, _, victim) = addresses(&waiting)?;
    ensure!(slot == victim);
    let (report, status) = audit(&[waiting.pid()], &[])?;
    let [alarm] = &alarms(&report)?[..] else { anyhow::bail!("code: {report:#}") };
    ensure!(status == 1 && alarm["kind"] == "code" && alarm["address"] == slot, "{alarm:#}");
    ensure!(
        alarm["found_bytes"].as_str().is_some_and(|bytes| bytes.starts_with("e9785634")),
        "{alarm:#}"
    );
    Ok(())
}

fn ends_with(module: &Value, name: &str) -> bool {
    module.as_str().is_some_and(|module| module.ends_with(name))
}

/// Slot, value and the function `victim`, as the program says.
fn addresses(waiting: &Waiting) -> Result<(String, String, String)> {
    let line = waiting.said().first().context("it said nothing")?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut next = || words.next().context("too few words");
    Ok((next()?, next()?, next()?))
}
