//! The report's page, in a real browser: what it shows after parsing is what the JSON says, whatever the
//! names of files are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde_json::Value;
use statify_tests::case::{Case, Cases};
use statify_tests::machine::find_program;
use statify_tests::process::{self, End, Limits};

use crate::{guest, tool};

pub fn add(cases: &mut Cases) {
    cases
        .needing(&["static-libc", &format!("program:{}", BROWSERS.join("|"))])
        .check("report/page-in-a-browser", in_a_browser);
}

/// The names of Chromium, and of what is made of it.
const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Time given to the browser, which starts slowly on a busy machine.
const LIMIT: Limits = Limits::seconds(120);

/// A directory whose name, with that of a program in it, ends a script and begins another one.
const HOSTILE_DIR: &str = "usr/bin<script>alert(1)<";
const HOSTILE: [&str; 3] = ["script>", "<img src=x onerror=alert(1)>", "a&amp;\"'><b>\u{1b}b"];

fn in_a_browser(case: &Case) -> Result<()> {
    let browser = BROWSERS.iter().find_map(|name| find_program(name)).context("no Chromium")?;
    let root = guest::tiny(case.dir.join("guest"))?;
    fs::create_dir(root.path(HOSTILE_DIR))?;
    for name in HOSTILE {
        let path = root.path(HOSTILE_DIR).join(name);
        fs::copy("/bin/true", &path)?;
    }
    let still = case.build("answer", "three-static", &["-static"])?;
    let out = case.dir.join("out");
    let page = case.dir.join("page.html");
    tool::good([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--dirs".as_ref(),
        format!("/usr/bin,/{HOSTILE_DIR}").as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ])?;
    let json = tool::good([
        "report".as_ref(),
        out.as_os_str(),
        "--json".as_ref(),
        "--chunks".as_ref(),
        "--html".as_ref(),
        page.as_os_str(),
        "--compare-static".as_ref(),
        still.parent().context("no directory")?.as_os_str(),
    ])?;
    let report: Value = serde_json::from_str(&json)?;
    ensure!(report["statics"]["programs"][0]["name"] == "/usr/bin/three", "{}", report["statics"]);
    let source = fs::read_to_string(&page)?;
    for foreign in ["http://", "https://", "@import", "url("] {
        let source = source.replace("http://www.w3.org/2000/svg", "");
        ensure!(!source.contains(foreign), "the page has {foreign}");
    }
    let dom = dump(&browser, case, &page)?;
    same_numbers(&dom, &report)?;
    nothing_hostile(&dom, &report)?;
    looks_like_something(&browser, case, &page)
}

/// Runs it with an empty profile, and without asking anybody for anything.
fn run(browser: &Path, case: &Case, more: &[String]) -> Result<String> {
    let profile = tempfile::tempdir_in(&case.dir)?;
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more)
        .env("HOME", profile.path());
    let outcome = process::run(&mut command, b"", LIMIT)?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
    Ok(outcome.stdout_text())
}

fn url(page: &Path) -> String {
    format!("file://{}", page.display())
}

/// The document after the browser has parsed it.
fn dump(browser: &Path, case: &Case, page: &Path) -> Result<String> {
    run(browser, case, &["--dump-dom".into(), url(page)])
}

/// What is drawn is no empty page: a picture of one colour compresses to next to nothing.
fn looks_like_something(browser: &Path, case: &Case, page: &Path) -> Result<()> {
    let picture = case.dir.join("page.png");
    let more = [
        format!("--screenshot={}", picture.display()),
        "--window-size=1000,1400".into(),
        url(page),
    ];
    run(browser, case, &more)?;
    let bytes = fs::read(&picture)?;
    ensure!(bytes.starts_with(b"\x89PNG") && bytes.len() > 30_000, "{} bytes", bytes.len());
    Ok(())
}

fn text(html: &str) -> String {
    html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Each number on the page is that of the JSON, both of the page and of the command; and all are there.
fn same_numbers(dom: &str, report: &Value) -> Result<()> {
    let script = Regex::new(r#"(?s)<script type="application/json" id="report">(.*?)</script>"#)?;
    let embedded = script.captures(dom).context("no JSON in the page")?;
    let embedded: Value = serde_json::from_str(&embedded[1])?;
    ensure!(embedded == *report, "the page's JSON is another one");
    let number = Regex::new(r#"<(?:td|dd)[^>]* data-json="([^"]*)"[^>]*>([^<]*)<"#)?;
    let mut shown = BTreeSet::new();
    for found in number.captures_iter(dom) {
        let (pointer, said) = (text(&found[1]), text(&found[2]));
        let value = report.pointer(&pointer).with_context(|| format!("no {pointer}"))?;
        let wanted = match (value.as_u64(), value.as_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(times)) => format!("{times:.2}"),
            _ => anyhow::bail!("{pointer} is {value}"),
        };
        let bare = said.replace(',', "");
        let bare = bare.trim_end_matches(['×', '%', ' ']);
        ensure!(bare == wanted, "{pointer} is {wanted}, the page says {said}");
        shown.insert(pointer);
    }
    let mut wanted = vec!["/table/total/times".to_owned(), "/statics/total/static".into()];
    for (list, field) in [("programs", "converted"), ("libraries", "embedded")] {
        let count = report[list].as_array().map_or(0, Vec::len);
        ensure!(count > 0, "no {list}");
        wanted.extend((0..count).map(|index| format!("/{list}/{index}/{field}")));
    }
    for index in 0..4 {
        wanted.push(format!("/chunks/sizes/{index}/converted/unique_bytes"));
        wanted.push(format!("/chunks/sizes/{index}/original/unique_chunks"));
    }
    for pointer in wanted {
        ensure!(shown.contains(&pointer), "the page does not show {pointer}");
    }
    Ok(())
}

/// Names are text, and what they would have been is not in the document.
fn nothing_hostile(dom: &str, report: &Value) -> Result<()> {
    let element = Regex::new(r"<([a-zA-Z][a-zA-Z0-9]*)")?;
    let behind = dom.find("</script>").context("no end of the JSON")?;
    let before = dom.find("<script").context("no JSON")?;
    ensure!(!dom[behind + 9..].contains("<script"), "a second script");
    let elements: BTreeSet<_> =
        element.captures_iter(&dom[..before]).map(|found| found[1].to_owned()).collect();
    for wrong in ["img", "script", "b"] {
        ensure!(!elements.contains(wrong), "an element {wrong}: {elements:?}");
    }
    ensure!(elements.contains("svg") && elements.contains("polyline"), "no charts: {elements:?}");
    let name = Regex::new(r#"<th scope="row"><bdi>([^<]*)</bdi></th>"#)?;
    let shown: Vec<_> = name.captures_iter(dom).map(|found| text(&found[1])).collect();
    for program in report["programs"].as_array().into_iter().flatten() {
        let names: Vec<_> =
            program["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        ensure!(shown.contains(&names.join(" ")), "the page does not show {names:?}");
    }
    ensure!(shown.iter().any(|name| name.contains("</script>")), "nothing hostile: {shown:?}");
    Ok(())
}
