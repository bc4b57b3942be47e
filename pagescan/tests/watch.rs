//! `pagescan watch` on processes of this kernel.

#[macro_use]
mod trials;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

trials! {
    as_the_papers_savedmemory: [];
    the_figures_are_those_of_share: [];
    planted_sharings_live_as_long_as_they_do: [];
    an_end_by_a_signal_leaves_whole_files: [];
    one_that_ends_is_told_and_files_are_whole: [];
    the_terminal_is_put_back: [Program("script")];
}

const PAGESCAN: &str = env!("CARGO_BIN_EXE_pagescan");
const PAGE: usize = 4096;

/// Ends it, whatever becomes of the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeper() -> Process {
    Process(Command::new("sleep").arg("1000").spawn().expect("it starts"))
}

/// Runs `pagescan watch`.
fn watch(arguments: &[&str]) -> Output {
    Command::new(PAGESCAN).arg("watch").args(arguments).output().expect("it starts")
}

/// Lines of CSV, each by the names of the columns.
fn rows(csv: &[u8]) -> Vec<HashMap<String, f64>> {
    let text = String::from_utf8(csv.to_vec()).expect("it is UTF-8");
    let mut lines = text.lines();
    let names: Vec<_> = lines.next().expect("a head").split(',').collect();
    let row = |line: &str| {
        let cells = line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN));
        names.iter().map(|name| (*name).to_owned()).zip(cells).collect()
    };
    lines.map(row).collect()
}

fn as_the_papers_savedmemory() {
    let (one, other) = (sleeper(), sleeper());
    let pids = [one.0.id().to_string(), other.0.id().to_string()];
    let ran = watch(&["--every", "0.2", "--count", "4", "--csv", &pids[0], &pids[1]]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let rows = rows(&ran.stdout);
    assert_eq!(rows.len(), 4);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["processes"], 2.0);
        assert!(row["pages"] > 20.0 && row["sharings"] > 0.0, "{row:?}");
        if index > 0 {
            let late = row["seconds"] - index as f64 * 0.2;
            assert!(late > -0.05, "{row:?}");
            assert_eq!(
                (row["changed"], row["vanished"]),
                (0.0, 0.0),
                "nobody does anything: {row:?}"
            );
        }
    }
}

/// Of processes that stand still, both verbs say the same.
fn the_figures_are_those_of_share() {
    let targets = [sleeper(), sleeper()];
    let pids = targets.each_ref().map(|target| target.0.id().to_string());
    // They are in sleep's own code by then.
    std::thread::sleep(Duration::from_millis(300));
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("two.pages").display().to_string();
    let run = |arguments: &[&str]| {
        let ran = Command::new(PAGESCAN).args(arguments).output().expect("it starts");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    };
    run(&["snapshot", &pids[0], &pids[1], "-o", &file]);
    let watched = run(&["watch", "--count", "1", "--json", &pids[0], &pids[1]]);
    let watched: serde_json::Value = serde_json::from_slice(&watched).expect("JSON");
    let most = watched["ksm"]["max_page_sharing"].as_u64().unwrap_or(256).to_string();
    let shared = run(&["share", &file, "--json", "--by", "library", "--max-page-sharing", &most]);
    let shared: serde_json::Value = serde_json::from_slice(&shared).expect("JSON");
    let number = |value: &serde_json::Value, path: &str| {
        value.pointer(path).and_then(serde_json::Value::as_u64).expect(path)
    };
    for class in ["shared", "anonymous", "named", "mixed", "private", "zero", "unread"] {
        let pages = match class {
            "private" | "zero" | "unread" => number(&shared, &format!("/classes/{class}/pages")),
            _ => ["internal", "external"]
                .iter()
                .map(|side| number(&shared, &format!("/classes/{class}/{side}/pages")))
                .sum(),
        };
        assert_eq!(number(&watched, &format!("/classes/{class}")), pages, "{class}");
    }
    let names = [
        ("savable", "at_most"),
        ("attainable", "attainable"),
        ("zero_savable", "zero"),
        ("zero_attainable", "zero_attainable"),
    ];
    for (watch, share) in names {
        let told = number(&watched, &format!("/classes/{watch}"));
        assert_eq!(told, number(&shared, &format!("/savable/{share}")), "{watch}");
    }
    assert!(number(&watched, "/classes/savable") > 0, "{watched}");
}

fn planted_sharings_live_as_long_as_they_do() {
    const PAIRS: usize = 300;
    let mut memory = vec![0u8; (2 * PAIRS + 1) * PAGE];
    let offset = memory.as_ptr().align_offset(PAGE);
    for page in 0..2 * PAIRS {
        let at = offset + page * PAGE;
        memory[at..at + PAGE].fill(0x5a);
        memory[at..at + 8].copy_from_slice(&(page as u64 / 2).to_ne_bytes());
    }
    let pid = std::process::id().to_string();
    let watch = Command::new(PAGESCAN)
        .args(["watch", "--every", "0.5", "--count", "6", "--csv", &pid])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    std::thread::sleep(Duration::from_millis(1300));
    for page in (0..2 * PAIRS).step_by(2) {
        memory[offset + page * PAGE + 100] = 1;
    }
    let rows = rows(&watch.wait_with_output().expect("it ends").stdout);
    assert_eq!(rows.len(), 6);
    let pairs = PAIRS as f64;
    assert!(rows[0]["opportunity_anonymous"] >= 2.0 * pairs, "{:?}", rows[0]);
    assert!(rows[0]["savable"] >= pairs && rows[0]["attainable"] >= pairs, "{:?}", rows[0]);
    assert!(rows.iter().any(|row| row["sharings_ended"] >= pairs), "{rows:?}");
    assert!(rows.iter().any(|row| row["changed"] >= pairs), "{rows:?}");
    assert!(rows[5]["sharings"] <= rows[0]["sharings"] - pairs + 50.0, "{rows:?}");
    assert!(memory[offset + 100] == 1);
}

fn an_end_by_a_signal_leaves_whole_files() {
    let target = sleeper();
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let mut watch = Process(
        // A test run in the background of a script hands on that interrupts are ignored.
        Command::new("env")
            .args(["--default-signal=INT", PAGESCAN])
            .args(["watch", "--every", "0.1", &target.0.id().to_string(), "-o"])
            .arg(at("a.jsonl"))
            .arg("--svg")
            .arg(at("a.svg"))
            .arg("--html")
            .arg(at("a.html"))
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts"),
    );
    let until = Instant::now() + Duration::from_secs(20);
    let lines = || fs::read_to_string(at("a.jsonl")).unwrap_or_default().lines().count();
    while lines() < 3 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-INT", &watch.0.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    assert!(watch.0.wait().expect("it ends").success());
    let text = fs::read_to_string(at("a.jsonl")).expect("it is there");
    assert!(text.ends_with("}\n") && text.lines().count() >= 3, "{text}");
    for line in text.lines() {
        let sample: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        assert!(sample["frames"].as_u64().is_some_and(|frames| frames > 0), "{line}");
    }
    let read = |name| fs::read_to_string(at(name)).expect("it is there");
    assert!(read("a.svg").trim_end().ends_with("</svg>"));
    assert!(read("a.html").ends_with("</html>") && read("a.html").matches("<svg").count() >= 4);
}

fn one_that_ends_is_told_and_files_are_whole() {
    let mut target = sleeper();
    let dir = tempfile::tempdir().expect("a directory");
    let html = dir.path().join("a.html");
    let watch = Command::new(PAGESCAN)
        .args(["watch", "--every", "0.2", &target.0.id().to_string(), "--html"])
        .arg(&html)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    std::thread::sleep(Duration::from_millis(900));
    target.0.kill().expect("it is ours");
    target.0.wait().expect("it is ours");
    let ran = watch.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1));
    assert!(said.contains(&format!("process {}", target.0.id())), "{said}");
    assert!(fs::read_to_string(html).expect("it is there").ends_with("</html>"));
}

/// Runs it on a terminal of its own, and ends it in this way. Returns what it wrote there.
fn on_a_terminal(dir: &Path, end: &str, keys: &[u8]) -> String {
    let target = sleeper();
    let script = format!(
        "stty rows 40 cols 120; stty -g > before; ({end}) & {PAGESCAN} watch --every 0.2 {}; echo status $?; stty -g > after",
        target.0.id()
    );
    // A test run that was started by nohup(1) hands on that hang-ups are ignored, one in the background that interrupts are.
    let mut script = Command::new("env")
        .current_dir(dir)
        .args(["--default-signal=HUP,INT", "timeout", "--foreground", "100"])
        .args(["script", "-qec", &script, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is there");
    let mut keyboard = script.stdin.take().expect("it is piped");
    std::thread::sleep(Duration::from_millis(1500));
    keyboard.write_all(keys).expect("it is read");
    let ran = script.wait_with_output().expect("it ends");
    let [before, after] =
        ["before", "after"].map(|name| fs::read_to_string(dir.join(name)).expect("it is there"));
    assert!(!before.is_empty());
    assert_eq!(before, after, "the terminal is as it was");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn the_terminal_is_put_back() {
    let dir = tempfile::tempdir().expect("a directory");
    // Only its own: the process whose parent is the shell that this runs in, once it is there and has drawn.
    let by_signal = |name| {
        format!("until p=$(pgrep -P $$ pagescan); do sleep 0.1; done; sleep 1.5; kill -{name} $p")
    };
    let ends = [
        (by_signal("INT"), &b""[..]),
        (by_signal("TERM"), b""),
        (by_signal("HUP"), b""),
        (":".into(), b"q"),
        (":".into(), b"\x03"),
    ];
    for (end, keys) in ends {
        let written = on_a_terminal(dir.path(), &end, keys);
        let (shown, left) = (written.find("\x1b[?1049h"), written.rfind("\x1b[?1049l"));
        assert!(shown.is_some() && shown < left, "{end} {keys:?}: {written:?}");
        assert!(
            written.contains("Pages") && written.contains("status 0"),
            "{end} {keys:?}: {written:?}"
        );
    }
}
