//! The report, held against the files themselves.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases};

use crate::rootfs::{guest, tool};

pub fn add(cases: &mut Cases) {
    cases.check("report/against-the-files", against_the_files);
}

fn against_the_files(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    let out = case.dir.join("out");
    let dir = case.dir.join("report");
    root.add(&case.build("answer", "lost", &[])?, "/usr/bin/lost")?;
    // Of a C library that is not supported.
    fs::write(root.path("/usr/lib64/other"), fs::read(root.path("/usr/bin/true"))?)?;
    let other = case.build("answer", "other", &["-Wl,--dynamic-linker=/lib64/other"])?;
    root.add(&other, "/usr/bin/other")?;
    tool::good([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--keep-going".as_ref(),
        "--report".as_ref(),
        dir.as_os_str(),
    ])?;
    let text = tool::good(["report".as_ref(), out.as_os_str()])?;
    let json = tool::good(["report".as_ref(), out.as_os_str(), "--json".as_ref()])?;
    let csv = tool::good(["report".as_ref(), out.as_os_str(), "--csv".as_ref()])?;
    for (name, said) in [("report.txt", &text), ("report.json", &json), ("report.csv", &csv)] {
        ensure!(fs::read_to_string(dir.join(name))? == *said, "{name} differs");
    }
    let report: Value = serde_json::from_str(&json)?;
    let number = |value: &Value| value.as_u64().context("no number");
    let (mut originals, mut converted) = (0, 0);
    let programs = report["programs"].as_array().context("no programs")?;
    for program in programs {
        let name = program["names"][0].as_str().context("no name")?;
        let (before, after) = (root.path(name).metadata()?, out.join(&name[1..]).metadata()?);
        ensure!(number(&program["original"])? == before.len(), "{name}");
        ensure!(number(&program["converted"])? == after.len(), "{name}");
        ensure!(number(&program["converted_allocated"])? == after.blocks() * 512, "{name}");
        originals += before.len();
        converted += after.len();
    }
    let total = &report["table"]["total"];
    ensure!(number(&total["original"])? == originals && number(&total["converted"])? == converted);
    let by_class: u64 = report["distribution"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|class| class["programs"].as_u64())
        .sum();
    ensure!(by_class == programs.len() as u64, "{by_class} in classes");
    let image = &report["image"];
    let grown = number(&image["converted"]["apparent"])? - number(&image["original"]["apparent"])?;
    ensure!(grown == converted - originals, "the image grew by {grown}");
    let libc =
        report["libraries"].as_array().into_iter().flatten().find(|library| {
            library["path"].as_str().is_some_and(|path| path.ends_with("/libc.so.6"))
        });
    let libc = libc.context("no libc.so.6")?;
    ensure!(number(&libc["programs"])? == programs.len() as u64, "{libc}");
    ensure!(report["failures"][0]["names"][0] == "/usr/bin/other", "{}", report["failures"]);
    ensure!(report["failure_reasons"]["other C library"] == 1);
    ensure!(csv.lines().count() == programs.len() + 2, "{csv}");
    ensure!(text.contains("maximum: /usr/") && text.contains("1 other C library"), "{text}");
    Ok(())
}
