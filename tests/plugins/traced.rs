//! `--trace`: what a run of the program opens is embedded.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::process::End;

pub fn add(cases: &mut Cases) {
    cases.check_glibc("traced/threads-and-children", threads_and_children);
    cases.check_glibc("traced/names-as-asked", names_as_asked);
}

fn plugins(case: &Case) -> Result<Vec<String>> {
    (1..=3)
        .map(|number| {
            let text = format!("int plugin_value(void) {{ return {number}; }}");
            Ok(case.library(&format!("plugin{number}.so"), &text, &[])?.display().to_string())
        })
        .collect()
}

fn threads_and_children(case: &Case) -> Result<()> {
    let plugins = plugins(case)?;
    let program = case.build("traced", "traced", &["-O2", "-pthread", "-ldl"])?;
    let out = case.dir.join("out");
    let mut command = case.statify.command([program.as_path(), "-o".as_ref(), &out]);
    command.args(["--json", "--host-libs", "deny", "--trace", "--"]).args(&plugins);
    let outcome = run(&mut command)?;
    ensure!(outcome.end == End::Exit(0), "statify: {}", outcome.stderr_text());
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout_text())?;
    ensure!(report["traced"] == "exit status 7", "traced: {}", report["traced"]);
    let files = report["manifest"]["files"].as_array().context("no files")?;
    let embedded: Vec<&str> = files
        .iter()
        .filter(|file| file["kind"] == "plugin")
        .filter_map(|file| file["path"].as_str())
        // What the C library may open.
        .filter(|path| !path.ends_with("/libgcc_s.so.1"))
        .collect();
    // What sh maps is none of it.
    ensure!(embedded == plugins, "embedded: {embedded:?}");
    for plugin in &plugins {
        fs::remove_file(plugin)?;
    }
    let outcome = run(case.command(&out).args(&plugins))?;
    ensure!(outcome.end == End::Exit(7), "converted: {}", outcome.end);
    Ok(())
}

/// A relative name is one, wherever the program runs.
fn names_as_asked(case: &Case) -> Result<()> {
    plugins(case)?;
    let program = case.build("open", "open", &["-O2", "-ldl"])?;
    let out = case.dir.join("out");
    let mut command = case.statify.command([program.as_path(), "-o".as_ref(), &out]);
    command.args(["--host-libs", "deny", "--trace", "--", "./plugin2.so"]).current_dir(&case.dir);
    output(&mut command)?;
    let said = output(case.command(out).arg("./plugin2.so").current_dir(Path::new("/")))?;
    ensure!(said.starts_with("1: same as 1, value 2\n"), "it said {said}");
    Ok(())
}
