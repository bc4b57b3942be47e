//! Files in directories, behind links, and in another root; how rows are chosen, ordered, printed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::process::End;

use crate::elfscan::tool;

pub fn add(cases: &mut Cases) {
    cases.check("scan/links-count-once", links_count_once);
    cases.check("scan/link-is-followed", |case| {
        let tree = tree(case)?;
        let outside = case.dir.join("outside");
        fs::create_dir(&outside)?;
        for name in ["program", "sub"] {
            symlink(tree.join(name), outside.join(name))?;
        }
        // The file is shown under a name below what was asked for.
        let rows = paths(&[&outside])?;
        let expected = [outside.join("program"), outside.join("sub/library.so")];
        ensure!(rows == expected, "{rows:?}");
        Ok(())
    });
    cases.check("scan/selected-and-ordered", selected_and_ordered);
    cases.check("scan/csv", csv);
    cases.needing(&["program:script"]).check("scan/table", table);
    cases.check("scan/root", root);
}

/// A directory with a program, and below it a library.
fn tree(case: &Case) -> Result<PathBuf> {
    let tree = case.dir.join("tree");
    fs::create_dir_all(tree.join("sub"))?;
    case.build("scanned", "tree/program", &[])?;
    case.build("scanned", "tree/sub/library.so", &["-shared", "-fPIC"])?;
    fs::write(tree.join("script"), "#!/bin/sh\n")?;
    fs::write(tree.join("text"), "text")?;
    fs::write(tree.join("empty"), "")?;
    Ok(tree)
}

fn scan(arguments: &[&OsStr]) -> Result<Value> {
    let all = ["scan".as_ref(), "--json".as_ref()].into_iter().chain(arguments.iter().copied());
    let (found, status) = tool::json(all.collect::<Vec<&OsStr>>())?;
    ensure!(status == 0, "{found}");
    Ok(found)
}

fn paths_of(found: &Value) -> Vec<PathBuf> {
    let rows = found["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(|row| row["path"].as_str()).map(PathBuf::from).collect()
}

fn paths(asked: &[&Path]) -> Result<Vec<PathBuf>> {
    let arguments: Vec<&OsStr> = asked.iter().map(|path| path.as_os_str()).collect();
    Ok(paths_of(&scan(&arguments)?))
}

fn links_count_once(case: &Case) -> Result<()> {
    let tree = tree(case)?;
    let expected = [tree.join("program"), tree.join("sub/library.so")];
    fs::hard_link(tree.join("program"), tree.join("sub/same"))?;
    symlink("../program", tree.join("sub/a-link"))?;
    symlink("sub", tree.join("also-sub"))?;
    symlink("..", tree.join("sub/up"))?;
    symlink("self", tree.join("self"))?;
    symlink("nowhere", tree.join("dangling"))?;
    let found = scan(&[tree.as_os_str()])?;
    ensure!(paths_of(&found) == expected, "{found}");
    ensure!(found["totals"]["files"] == 2 && found["problems"] == serde_json::json!([]), "{found}");
    ensure!(found["not_elf"]["scripts"] == 1 && found["not_elf"]["others"] == 2, "{found}");
    // Under several names, in any order.
    let again = paths(&[&tree.join("also-sub"), &tree, &tree.join("program"), &tree])?;
    ensure!(again.len() == 2, "{again:?}");
    Ok(())
}

fn selected_and_ordered(case: &Case) -> Result<()> {
    let tree = tree(case)?;
    let select = |arguments: &[&str]| -> Result<Vec<String>> {
        let mut all: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        all.push(tree.as_os_str());
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(paths_of(&scan(&all)?).into_iter().filter_map(name).collect())
    };
    for (arguments, expected) in [
        (&["--only", "convertible"][..], &["program"][..]),
        (&["--only", "shared-library"], &["library.so"]),
        (&["--only", "convertible,shared-library"], &[]),
        (&["--only", "shared-library,dynamic-pie"], &["program", "library.so"]),
        (&["--only", "privileged"], &[]),
        (&["--sort", "path", "--reverse"], &["library.so", "program"]),
        (&["--sort", "kind"], &["program", "library.so"]),
        (&["--sort", "verdict", "--reverse"], &["library.so", "program"]),
    ] {
        let found = select(arguments)?;
        ensure!(found == expected, "{arguments:?}: {found:?}");
    }
    let sizes = |arguments: &[&str]| -> Result<Vec<u64>> {
        let mut all: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        all.push(tree.as_os_str());
        let found = scan(&all)?;
        let rows = found["files"].as_array().context("files")?;
        Ok(rows.iter().filter_map(|row| row["size"].as_u64()).collect())
    };
    let (up, down) = (sizes(&["--sort", "size"])?, sizes(&["--sort", "size", "--reverse"])?);
    ensure!(up.is_sorted() && down.iter().rev().is_sorted() && up.len() == 2, "{up:?} {down:?}");
    Ok(())
}

fn csv(case: &Case) -> Result<()> {
    let tree = tree(case)?;
    let odd = tree.join("a,\"odd\"\nname");
    fs::copy(tree.join("program"), &odd)?;
    let text = output(&mut tool::elfscan([
        "scan".as_ref(),
        "--csv".as_ref(),
        "--only=convertible".as_ref(),
        tree.as_os_str(),
    ])?)?;
    ensure!(text.starts_with("path,size,class,machine,kind,"), "{text}");
    ensure!(text.contains("a,\"\"odd\"\"\\nname\","), "{text}");
    ensure!(text.matches(",convertible,").count() == 2, "{text}");
    Ok(())
}

fn table(case: &Case) -> Result<()> {
    let tree = tree(case)?;
    fs::copy(tree.join("program"), tree.join("a\x1b[31m\nred"))?;
    // No verb is this one.
    let text = output(&mut tool::elfscan([tree.as_os_str()])?)?;
    ensure!(!text.contains('\x1b'), "a name speaks to the terminal: {text:?}");
    let program = tree.join("program");
    let row = text.lines().find(|line| line.starts_with(&*program.to_string_lossy()));
    let row = row.with_context(|| text.clone())?;
    for word in ["dynamic PIE", "x86-64", "/lib64/ld-linux-x86-64.so.2", "nx", "convertible"] {
        ensure!(row.contains(word), "no {word} in {row}");
    }
    ensure!(text.contains("3 ELF files") && text.contains("1 scripts, 2 others"), "{text}");
    // Fits a terminal of 80 columns.
    let command = format!(
        "stty cols 80; exec '{}' '{}'",
        tool::elfscan(["x"])?.get_program().to_string_lossy(),
        tree.display()
    );
    let mut script = case.command("script");
    script.args(["-qec", &command, "/dev/null"]);
    let shown = run(&mut script)?;
    if shown.end == End::Exit(0) {
        let text = shown.stdout_text();
        let rows = text.lines().take_while(|line| !line.contains("ELF files"));
        let widest = rows.map(|line| line.trim_end().chars().count()).max();
        ensure!(widest.is_some_and(|widest| (40..=80).contains(&widest)), "{widest:?}:\n{text}");
    }
    Ok(())
}

/// The guest's own paths, links and interpreter.
fn root(case: &Case) -> Result<()> {
    let guest = case.dir.join("guest");
    fs::create_dir_all(guest.join("usr/bin"))?;
    fs::create_dir_all(guest.join("lib64"))?;
    let program = case.build("scanned", "guest/usr/bin/program", &[])?;
    symlink("/usr/bin", guest.join("bin"))?;
    symlink("/usr/bin/program", guest.join("lib64/link"))?;
    // Would lead out, and is a loop instead.
    symlink("../../../../../..", guest.join("usr/bin/out"))?;
    let find = |asked: &str| -> Result<Value> {
        scan(&["--root".as_ref(), guest.as_os_str(), asked.as_ref()])
    };
    let refused = find("/bin")?;
    ensure!(paths_of(&refused) == [Path::new("/bin/program")], "{refused}");
    let mut statify = case.statify.command(["--root".as_ref(), guest.as_os_str()]);
    statify.args(["/bin/program", "-o"]).arg(case.dir.join("out"));
    let said = run(&mut statify)?.stderr_text();
    let reason = refused["files"][0]["reason"].as_str().unwrap_or_default();
    ensure!(said.trim_end() == format!("statify: {reason}"), "{said}{reason}");
    ensure!(reason.contains("ld-linux-x86-64.so.2 cannot be opened"), "{reason}");

    fs::copy("/lib64/ld-linux-x86-64.so.2", guest.join("lib64/ld-linux-x86-64.so.2"))?;
    let found = find("/")?;
    let expected = ["/lib64/ld-linux-x86-64.so.2", "/usr/bin/program"].map(PathBuf::from);
    ensure!(paths_of(&found) == expected, "{found}");
    ensure!(found["files"][1]["verdict"] == "refused", "{found}");
    let reason = found["files"][1]["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("the library libc.so.6, needed by"), "{reason}");

    let libc = output(case.command("ldd").arg(&program))?;
    let libc = libc.split_whitespace().find(|word| word.ends_with("/libc.so.6"));
    fs::create_dir(guest.join("lib"))?;
    fs::copy(libc.context("ldd names no libc.so.6")?, guest.join("lib/libc.so.6"))?;
    let found = find("/usr/bin/program")?;
    ensure!(found["files"][0]["verdict"] == "convertible", "{found}");
    ensure!(found["problems"] == serde_json::json!([]), "{found}");
    Ok(())
}
