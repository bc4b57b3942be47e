//! Every ELF file of this machine's /usr: the same as readelf and nm say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use anyhow::{Result, ensure};
use regex::Regex;
use serde_json::{Value, json};
use statify_tests::case::Cases;

use crate::elfscan::tool;

const DIRECTORY: &str = "/usr";
/// So many files for one call of a tool.
const FILES: usize = 150;

pub fn add(cases: &mut Cases) {
    cases.check("scan/agrees/every-elf-file-has-a-row", every_file);
    cases.check("scan/agrees/readelf", |_| compare_all("readelf", &["-hldnVW"], readelf));
    cases.check("scan/agrees/nm", |_| compare_all("nm", &["-D", "-u"], nm));
}

/// The rows of all of /usr.
fn rows() -> Result<&'static [Value]> {
    static ROWS: LazyLock<Result<Vec<Value>>> = LazyLock::new(|| {
        let mut command = tool::elfscan(["scan", "--json", DIRECTORY])?;
        let output = command.stderr(Stdio::inherit()).output()?;
        let mut found: Value = serde_json::from_slice(&output.stdout)?;
        match found["files"].take() {
            Value::Array(rows) => Ok(rows),
            other => anyhow::bail!("no rows: {other}"),
        }
    });
    ROWS.as_deref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

fn every_file(_: &statify_tests::case::Case) -> Result<()> {
    let mut by_id = BTreeMap::new();
    let mut left = vec![PathBuf::from(DIRECTORY)];
    let mut seen = BTreeSet::new();
    while let Some(directory) = left.pop() {
        let metadata = fs::metadata(&directory)?;
        if !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        // What only root may read.
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry?.path();
            // Links that lead nowhere.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                left.push(path);
            } else if metadata.is_file() {
                let mut start = [0; 4];
                let Ok(mut file) = fs::File::open(&path) else { continue };
                if file.read_exact(&mut start).is_ok() && &start == b"\x7fELF" {
                    by_id.entry((metadata.dev(), metadata.ino())).or_insert(path);
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    for row in rows()? {
        let metadata = fs::metadata(row["path"].as_str().unwrap_or_default())?;
        let id = (metadata.dev(), metadata.ino());
        ensure!(found.insert(id), "twice: {row}");
        ensure!(by_id.contains_key(&id), "no ELF file: {row}");
    }
    let missing: Vec<_> = by_id.iter().filter(|(id, _)| !found.contains(id)).take(5).collect();
    ensure!(missing.is_empty(), "no row for {missing:?}");
    Ok(())
}

/// What a tool says of a file, as far as it is compared; `None` for all that it has nothing to say of.
type Oracle = fn(&str, &Value) -> Option<Value>;

/// Has a tool tell of all files, both CPUs at it, and compares.
fn compare_all(tool: &str, arguments: &[&str], oracle: Oracle) -> Result<()> {
    let rows = rows()?;
    let chunks: Vec<&[Value]> = rows.chunks(FILES).collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let compared = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(rows) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let texts = ask(tool, arguments, rows)?;
            for row in *rows {
                let path = row["path"].as_str().unwrap_or_default();
                let Some(text) = texts.get(path) else { continue };
                let Some(expected) = oracle(text, row) else { continue };
                compared.fetch_add(1, Ordering::Relaxed);
                for (name, value) in expected.as_object().into_iter().flatten() {
                    let found = row.get(name).unwrap_or(&row["hardening"][name]);
                    if found != value
                        && let Ok(mut wrong) = wrong.lock()
                    {
                        wrong.push(format!("{path}: {name} is {found}, {tool} says {value}"));
                    }
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let wrong = wrong.into_inner().unwrap_or_default();
    let compared = compared.into_inner();
    ensure!(
        wrong.is_empty(),
        "{} of {compared} files: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(30)]
    );
    ensure!(compared * 2 > rows.len(), "only {compared} of {} were compared", rows.len());
    Ok(())
}

/// A tool's output by file.
fn ask(tool: &str, arguments: &[&str], rows: &[Value]) -> Result<BTreeMap<String, String>> {
    let files = rows.iter().filter_map(|row| row["path"].as_str());
    let mut command = Command::new(tool);
    // An archive's name would have it look for members. More than one, so that it says which it is.
    command.args(arguments).args(files).args([Path::new("/bin/true"), Path::new("/bin/true")]);
    let output = command.env("LC_ALL", "C").stderr(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let name = match tool {
            "nm" => line.strip_suffix(':').filter(|name| name.starts_with('/')),
            _ => line.strip_prefix("File: "),
        };
        if let Some(name) = name {
            current = name.to_owned();
            // Also where nothing follows.
            texts.insert(current.clone(), String::new());
            continue;
        }
        let text = texts.entry(current.clone()).or_default();
        text.push_str(line);
        text.push('\n');
    }
    Ok(texts)
}

fn readelf(text: &str, row: &Value) -> Option<Value> {
    let field = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name))?;
        Some(line.split_once(':')?.1.trim())
    };
    let kind = field("Type:")?;
    let machine = match (field("Machine:")?, field("Class:")?) {
        ("Advanced Micro Devices X86-64", "ELF64") => json!("x86-64"),
        ("Advanced Micro Devices X86-64", _) => json!("x32"),
        ("Intel 80386", _) => json!("i386"),
        ("AArch64", "ELF64") => json!("aarch64"),
        ("ARM", _) => json!("arm"),
        ("RISC-V", "ELF64") => json!("riscv64"),
        ("IBM S/390", "ELF64") => json!("s390x"),
        // Every other name would be a second table.
        _ => row["machine"].clone(),
    };
    let interpreter = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("[Requesting program interpreter: "))
        .and_then(|rest| rest.strip_suffix(']'));
    let is_core_or_object = kind.starts_with("REL") || kind.starts_with("CORE");
    let segment = |name: &str| {
        let mut lines = text.lines().map(str::trim_start);
        lines.find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '))
    };
    let dynamic = text.contains("Dynamic section at offset");
    let now = text.lines().any(|line| {
        line.contains("(BIND_NOW)")
            || line.contains("(FLAGS)") && line.contains("BIND_NOW")
            || line.contains("(FLAGS_1)") && line.contains("NOW")
    });
    let relro = match (segment("GNU_RELRO"), now) {
        (None, _) => "none",
        (Some(_), false) => "partial",
        (Some(_), true) => "full",
    };
    // Flags stand between sizes and alignment.
    let nx = segment("GNU_STACK").is_some_and(|line| {
        let words: Vec<&str> = line.split_whitespace().skip(6).collect();
        !words[..words.len().saturating_sub(1)].concat().contains('E')
    });
    let expected_kind = match (kind.split(' ').next()?, interpreter.is_some()) {
        ("REL", _) => json!("relocatable"),
        ("CORE", _) => json!("core"),
        ("EXEC", true) => json!("dynamic_non_pie"),
        ("EXEC", false) => json!("static"),
        // readelf's own judgement; without the flag it is guesswork.
        ("DYN", true) if kind.contains("Position-Independent") => json!("dynamic_pie"),
        ("DYN", false) if kind.contains("Position-Independent") => json!("static_pie"),
        _ => row["kind"].clone(),
    };
    static NEEDED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"Name: GLIBC_(\S+)\s+Flags: (\S.*?)\s+Version:").expect("a sound pattern")
    });
    let versions = NEEDED.captures_iter(text).filter(|found| !found[2].contains("WEAK"));
    let numbers = versions.filter_map(|found| match &found[1] {
        "ABI_DT_RELR" => Some(vec![2, 36]),
        version => version.split('.').map(|number| number.parse().ok()).collect(),
    });
    let floor = numbers.max().map(|version: Vec<u32>| {
        version.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
    });
    let features = text.lines().filter(|line| line.contains("x86 feature:"));
    let features: String = features.collect();
    let is_x86 = text.contains("X86-64") || text.contains("80386");
    let flag = |word: &str| (is_x86 && !is_core_or_object).then(|| features.contains(word));
    let mut expected = json!({
        "class": if field("Class:")? == "ELF64" { 64 } else { 32 },
        "machine": machine,
        "kind": expected_kind,
        "interpreter": interpreter,
        "libraries": dynamic.then(|| text.matches("(NEEDED)").count()),
        "glibc": floor,
    });
    if !is_core_or_object {
        let more = json!({"relro": relro, "bind_now": now, "nx": nx, "ibt": flag("IBT"), "shstk": flag("SHSTK")});
        expected.as_object_mut()?.extend(more.as_object()?.clone());
    }
    // No section headers: readelf finds neither versions nor notes.
    if field("Number of section headers:") == Some("0") {
        for name in ["glibc", "ibt", "shstk"] {
            expected.as_object_mut()?.remove(name);
        }
    }
    Some(expected)
}

/// Names of undefined symbols that mean something.
fn nm(text: &str, row: &Value) -> Option<Value> {
    if row["libraries"].is_null() || row["hardening"]["canary"].is_null() {
        return None;
    }
    if row["kind"] != "dynamic_pie"
        && row["kind"] != "dynamic_non_pie"
        && row["kind"] != "shared_library"
    {
        return None;
    }
    let names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter_map(|name| name.split('@').next())
        .collect();
    let canary = names.contains("__stack_chk_fail");
    let fortify = names.iter().any(|name| name.starts_with("__") && name.ends_with("_chk"));
    Some(json!({"canary": canary, "fortify": fortify}))
}
