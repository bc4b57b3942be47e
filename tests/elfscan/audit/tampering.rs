//! Programs that overwrite something of their own.

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
    }
    cases.check("audit/tampering-by-mprotect", |case| {
        let program = case.build("tampered", "tampered", FULL)?;
        every_word(case, &program, true, true)
    });
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
        ensure!(alarm["symbol"].as_str() == symbol, "{what}: {alarm:#}");
        let module = PathBuf::from(alarm["module"].as_str().context("no module")?);
        let own = if what == "libc" { "libc.so.6" } else { "tampered" };
        ensure!(module.file_name().is_some_and(|name| name == own), "{what}: {alarm:#}");
        let found_module = if what == "middle" { "libc.so.6" } else { "tampered" };
        let found = &alarm["found"];
        ensure!(ends_with(&found["module"], found_module), "{what}: {alarm:#}");
        let is_named = has_symbols && what != "middle";
        ensure!(!is_named || found["symbol"] == "evil", "{what}: {alarm:#}");
        let named = expected.filter(|name| has_symbols || !matches!(*name, "victim" | "at_end"));
        ensure!(named.is_none_or(|name| alarm["expected"]["symbol"] == name), "{what}: {alarm:#}");
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
