//! `elfscan show`: what it says is what readelf, the conversion itself and the files say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::machine::find_program;
use statify_tests::process::End;
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use crate::elfscan::tool::{elfscan, json};

const PAGE: u64 = 4096;

pub fn add(cases: &mut Cases) {
    for (name, build, flags) in [
        ("randomised", "-pie", &[][..]),
        ("fixed", "-pie", &["--fixed"]),
        ("aligned", "-pie", &["--align", "65536"]),
        ("at-its-own-addresses", "-no-pie", &[]),
        ("plugins", "-pie", &["--with", "libm.so.6", "libz.so.1"]),
    ] {
        let needs = if name == "plugins" { &["library:libz.so.1"][..] } else { &[] };
        cases.needing(needs).check(&format!("show/as-others-say/{name}"), move |case| {
            let program = case.build("greet", "greet", &["-O1", build])?;
            as_others_say(case, &program, flags)
        });
    }
    cases.add_for(Toolchain::Musl, "show/as-others-say/musl", |case| {
        let program = case.build("greet", "greet", &["-O1"])?;
        as_others_say(case, &program, &[]).map(|()| Done::Passed)
    });
    cases.needing(&["program:git"]).check("show/as-others-say/git", |case| {
        as_others_say(case, &find_program("git").context("no git")?, &[])
    });
    cases.check("show/originals", originals);
    cases.check("show/text", text);
}

fn show(out: &Path, arguments: &[&str]) -> Result<Value> {
    let out = out.display().to_string();
    let arguments = [&["show", "--json", &*out], arguments].concat();
    let (shown, status) = json(arguments)?;
    ensure!(status == 0, "exit status {status}");
    Ok(shown)
}

fn as_others_say(case: &Case, program: &Path, flags: &[&str]) -> Result<()> {
    let out = case.dir.join("out");
    let mut command = case.statify.command(flags);
    let report = output(command.arg("--json").arg("-o").arg(&out).arg(program))?;
    let report: Value = serde_json::from_str(&report)?;
    let shown = show(&out, &[])?;
    ensure!(shown["manifest"] == report["manifest"], "another manifest");
    ensure!(shown["sizes"]["file"] == report["size"], "{} {}", shown["sizes"], report["size"]);
    ensure!(out.metadata()?.len() == number(&report["size"]), "the report has another size");
    compare_headers(&out, &shown)?;
    compare_fixups(&shown, &report)?;
    let mapped = number(&shown["starter"]["maps"]) + number(&shown["starter"]["zeros"]);
    ensure!(mapped == number(&report["mapped"]), "{mapped} mappings are made");
    compare_sizes(&shown, &report)?;
    compare_pages(&out, &shown)?;
    Ok(())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Against readelf.
fn compare_headers(out: &Path, shown: &Value) -> Result<()> {
    let said = output(Command::new("readelf").args(["-lWn"]).arg(out))?;
    let loads = said.lines().filter_map(|line| line.trim().strip_prefix("LOAD"));
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16);
    let mut expected = Vec::new();
    for load in loads {
        let words: Vec<&str> = load.split_whitespace().collect();
        let [offset, address, _, stored, size, flags @ ..] = &words[..] else { continue };
        let flags = flags[..flags.len() - 1].concat();
        let bit =
            |letter: char| if flags.contains(letter) { letter.to_ascii_lowercase() } else { '-' };
        let prot =
            format!("{}{}{}", bit('R'), bit('W'), if flags.contains('E') { 'x' } else { '-' });
        expected.push((hex(address)?, hex(size)?, prot, hex(offset)?, hex(stored)?));
    }
    let found: Vec<_> = list(&shown["loads"])
        .map(|load| {
            let field = |name: &str| number(&load[name]);
            let prot = load["prot"].as_str().unwrap_or_default().to_owned();
            (field("address"), field("size"), prot, field("offset"), field("stored"))
        })
        .collect();
    ensure!(!found.is_empty() && found == expected, "{found:?} and {expected:?}");
    let id = said.lines().find_map(|line| Some(line.split_once("Build ID: ")?.1.trim()));
    ensure!(shown["build_id"].as_str() == id, "{} and {id:?}", shown["build_id"]);
    Ok(())
}

/// Against what the conversion counted.
fn compare_fixups(shown: &Value, report: &Value) -> Result<()> {
    let starter = &shown["starter"];
    let pointers = list(&starter["pointers"]).map(|pointers| number(&pointers["count"]));
    let mut found: BTreeMap<String, u64> = BTreeMap::from([("pointer".into(), pointers.sum())]);
    for (name, count) in starter["fixups"].as_object().context("no fix-ups")? {
        let name = match name.as_str() {
            "unaligned pointer" => continue,
            "stack" | "envp" | "auxv" => "stack".to_owned(),
            "rseq size" => "rseq".into(),
            name if name.starts_with("auxv ") => "auxv".into(),
            name if name.starts_with("vdso ") => "vdso".into(),
            name => name.replace(' ', "_"),
        };
        *found.entry(name).or_default() += number(count);
    }
    let expected = report["fixups"].as_object().context("no fix-ups")?;
    let expected: BTreeMap<String, u64> =
        expected.iter().map(|(name, count)| (name.clone(), number(count))).collect();
    ensure!(found == expected, "{found:?} and {expected:?}");
    ensure!(starter["is_ours"] == true, "another starter");
    Ok(())
}

fn compare_sizes(shown: &Value, report: &Value) -> Result<()> {
    let sizes = &shown["sizes"];
    let parts = [
        "headers",
        "tables",
        "starter",
        "modules",
        "other_memory",
        "unloaded",
        "manifest",
        "padding",
    ];
    let sum: u64 = parts.iter().map(|part| number(&sizes[part])).sum();
    ensure!(sum == number(&sizes["file"]), "{sizes}");
    let loaded = number(&sizes["modules"]) + number(&sizes["other_memory"]);
    ensure!(loaded == number(&report["loaded"]), "{sizes} and {}", report["loaded"]);
    ensure!(loaded == number(&shown["pages"]["stored"]) * PAGE, "{}", shown["pages"]);
    Ok(())
}

/// Counts again which pages are those of the originals, from the bytes.
fn compare_pages(out: &Path, shown: &Value) -> Result<()> {
    let bytes = fs::read(out)?;
    let part = |from: u64| bytes.get(from as usize..(from + PAGE) as usize);
    for (file, pages) in list(&shown["manifest"]["files"]).zip(list(&shown["pages_by_file"])) {
        let path = file["path"].as_str().context("no path")?;
        ensure!(pages["path"] == path && pages["original"] == "same", "{pages}");
        let mut original = fs::read(path)?;
        original.resize(original.len().next_multiple_of(PAGE as usize), 0);
        let (mut stored, mut same, mut zero) = (0, 0, 0);
        for memory in list(&file["memory"]) {
            let size = number(&memory["size"]);
            let Some(at) = memory["stored_at"].as_u64() else {
                zero += if memory["prot"] == "---" { 0 } else { size / PAGE };
                continue;
            };
            for page in (0..size).step_by(PAGE as usize) {
                stored += 1;
                let own = memory["file_offset"].as_u64().and_then(|offset| {
                    let start = (offset + page) as usize;
                    original.get(start..start + PAGE as usize)
                });
                same += u64::from(own.is_some() && own == part(at + page));
            }
        }
        let counted = &pages["pages"];
        let found = ["stored", "as_in_original", "zero"].map(|name| number(&counted[name]));
        ensure!(found == [stored, same, zero], "{path}: {counted} and {:?}", [stored, same, zero]);
        let written = number(&counted["written_at_start"]);
        ensure!(written <= stored + zero, "{path}: {counted}");
        // What is neither patched by the loader at conversion nor at start is shared.
        ensure!(number(&counted["shared"]) + written >= stored, "{path}: {counted}");
    }
    Ok(())
}

/// Where the embedded files are not what they were.
fn originals(case: &Case) -> Result<()> {
    let program = case.build("greet", "greet", &["-O1"])?;
    let out = case.convert(&program, &[])?;
    let root = case.dir.join("root");
    let inside = root.join(program.strip_prefix("/")?);
    fs::create_dir_all(inside.parent().context("no parent")?)?;
    let ask = || -> Result<Value> {
        let shown = show(&out, &["--root", &root.display().to_string()])?;
        Ok(shown["pages_by_file"][0].clone())
    };
    ensure!(ask()?["original"] == "missing", "{}", ask()?);
    fs::copy(&program, &inside)?;
    ensure!(ask()?["original"] == "same", "{}", ask()?);
    fs::write(&inside, "another")?;
    let pages = ask()?;
    ensure!(pages["original"] == "changed", "{pages}");
    ensure!(pages["pages"]["as_in_original"].is_null(), "{pages}");
    Ok(())
}

fn text(case: &Case) -> Result<()> {
    let program = case.build("greet", "greet", &["-O1"])?;
    let out = case.convert(&program, &[])?;
    let said = output(elfscan(["show".as_ref(), out.as_os_str()])?.current_dir(&case.dir))?;
    for part in [
        "addresses       new at every start, to the page\nseals           what is constant, unless under a seccomp filter\n",
        "SEGMENT OF",
        "\ncanary ",
        "IFUNC resolvers",
        "kernel calls made again: arch_prctl",
        "WRITTEN AT START",
        "manifest and checksums",
    ] {
        ensure!(said.contains(part), "{part:?} is not in {said}");
    }
    ensure!(!said.contains('\x1b'), "control characters");
    let refused = run(&mut elfscan(["show".as_ref(), program.as_os_str()])?)?;
    let expected = format!("elfscan: {}: it is not a converted file", program.display());
    ensure!(refused.end == End::Exit(1), "{}", refused.end);
    ensure!(refused.stderr_text().starts_with(&expected), "{}", refused.stderr_text());
    Ok(())
}
