//! One script, its tools, and the comparison of its two runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use statify_tests::compare::{against_each_other, said};
use statify_tests::convert::{SYSTEM_PATH, Statify};
use statify_tests::machine::find_program;
use statify_tests::process::{self, End, Limits, Outcome};
use statify_tests::report::Done;

/// Time given to one run of a script.
const LIMIT: Limits = Limits::seconds(120);

/// A script, for one of its tools if it is to be run for each.
pub struct Job {
    /// `script` or `script/tool`.
    pub name: String,
    script: PathBuf,
    tools: Vec<String>,
    each: Option<String>,
}

/// Every job of the scripts in `dir`, by name.
pub fn all(dir: &Path) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sh") {
            jobs.extend(read(&path).with_context(|| format!("reading {}", path.display()))?);
        }
    }
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(jobs)
}

fn read(script: &Path) -> Result<Vec<Job>> {
    let name = script.file_stem().unwrap_or_default().to_string_lossy();
    let (mut tools, mut each) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(script)?.lines() {
        let Some(directive) = line.strip_prefix("#: ") else {
            continue;
        };
        let words = |list: &str| list.split_whitespace().map(str::to_owned).collect();
        match directive.split_once(": ") {
            Some(("Tools", list)) => tools = words(list),
            Some(("Each", list)) => each = words(list),
            _ => bail!("no directive: `{directive}`"),
        }
    }
    let job = |name: String, each: Option<String>| {
        let tools = tools.iter().chain(&each).cloned().collect();
        Job { name, script: script.to_owned(), tools, each }
    };
    if each.is_empty() {
        ensure!(!tools.is_empty(), "it names no tools");
        return Ok(vec![job(name.into_owned(), None)]);
    }
    Ok(each.iter().map(|tool| job(format!("{name}/{tool}"), Some(tool.clone()))).collect())
}

impl Job {
    /// Runs the script with the tools as they are and converted, in the same place, and compares.
    pub fn check(&self, statify: &Statify, dir: &Path) -> Result<Done> {
        let mut tools = Vec::new();
        for tool in &self.tools {
            match find(tool)? {
                Some(found) => tools.push(found),
                None => return Done::not_here(format!("{tool}: not installed")),
            }
        }
        let bin = dir.join("bin");
        fs::create_dir(&bin)?;
        for (name, path) in &tools {
            fs::copy(path, bin.join(name))
                .with_context(|| format!("copying {}", path.display()))?;
        }
        let original = self.run(dir, &bin)?;
        ensure!(
            original.end == End::Exit(0),
            "the originals fail: {}\n{}",
            original.end,
            said(&original)
        );

        fs::remove_dir_all(&bin)?;
        fs::create_dir(&bin)?;
        for (name, path) in &tools {
            statify.convert::<&str>(path, &bin.join(name), &[])?;
        }
        let converted = self.run(dir, &bin)?;
        let wrong = against_each_other(&original, &converted);
        ensure!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), said(&converted));
        Ok(Done::Passed)
    }

    fn run(&self, dir: &Path, bin: &Path) -> Result<Outcome> {
        let work = dir.join("work");
        fs::create_dir(&work)?;
        let mut command = Command::new("/bin/sh");
        command
            .arg("-eu")
            .arg(&self.script)
            .current_dir(&work)
            .env_clear()
            .env("PATH", format!("{}:{SYSTEM_PATH}", bin.display()))
            .env("BIN", bin)
            .env("HOME", &work)
            .env("TMPDIR", &work)
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC");
        if let Some(tool) = &self.each {
            command.env("TOOL", tool);
        }
        let outcome = process::run(&mut command, b"", LIMIT)?;
        fs::remove_dir_all(work)?;
        Ok(outcome)
    }
}

/// Name and file of a tool; `None` if the machine lacks it.
fn find(tool: &str) -> Result<Option<(&str, PathBuf)>> {
    let Some((part, driver)) = tool.split_once('@') else {
        return Ok(find_program(tool).map(|path| (tool, path)));
    };
    let Some(driver) = find_program(driver) else {
        return Ok(None);
    };
    let mut command = Command::new(driver);
    command.arg(format!("-print-prog-name={part}"));
    let answer = process::run(&mut command, b"", Limits::seconds(10))?.stdout_text();
    // A name without a directory is the driver's way to say that it has none.
    let path = PathBuf::from(answer.trim());
    Ok((path.is_absolute() && path.is_file()).then_some((part, path)))
}
