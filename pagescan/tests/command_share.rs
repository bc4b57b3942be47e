//! The verbs share and export, as they are called.

mod made;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use made::{ANONYMOUS, Machine};
use pagescan::snapshot::Scope;

fn pagescan(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pagescan")).current_dir(dir).args(arguments).output().unwrap()
}

fn stdout(dir: &Path, arguments: &[&str]) -> String {
    let output = pagescan(dir, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A directory with a snapshot of two processes with three equal pages, one of which has a name that no terminal should see.
fn directory() -> tempfile::TempDir {
    let mut machine = Machine::new("host", 1, Scope::All);
    let frames: Vec<u64> = (0..3).map(|number| machine.frame(number, 1, ANONYMOUS)).collect();
    machine.process(1, None, &frames[..1]);
    machine.process(2, None, &frames[1..]);
    machine.processes[1].name = "\x1b[31m=evil".into();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("snapshot"), machine.write(Vec::new())).unwrap();
    dir
}

#[test]
fn a_snapshot_is_told_in_four_ways() {
    let dir = directory();
    let text = stdout(dir.path(), &["share", "snapshot", "--html", "page.html"]);
    assert!(text.contains("savable at most: 2 frames (8.0 KiB)"), "{text}");
    assert!(!text.contains('\x1b') && text.contains("\\u{1b}[31m=evil (2)"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(dir.path(), &["share", "snapshot", "--json"])).unwrap();
    assert_eq!(json["savable"]["at_most"], 2);
    assert_eq!(json["classes"]["anonymous"]["external"]["frames"], 3);
    let csv = stdout(dir.path(), &["share", "snapshot", "--csv"]);
    assert!(csv.contains("\"opportunity, anonymous\",external,3,3\n"), "{csv}");
    let csv = stdout(dir.path(), &["share", "snapshot", "--csv=domains"]);
    assert_eq!(csv.lines().nth(2).unwrap(), "p1 (1),1,1,1,0,1,0,0,0,0,0");
    let page = fs::read_to_string(dir.path().join("page.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains('\x1b'), "{page}");
}

#[test]
fn tables_are_written() {
    let dir = directory();
    let text = stdout(dir.path(), &["export", "snapshot", "--parquet", "tables", "--csv", "pages"]);
    assert_eq!(text, "1 snapshot written\n");
    for table in ["snapshots", "frames", "files", "processes", "mappings", "pages"] {
        let files: Vec<_> = fs::read_dir(dir.path().join("tables").join(table)).unwrap().collect();
        assert_eq!(files.len(), 1, "{table}");
    }
    assert_eq!(fs::read_dir(dir.path().join("pages")).unwrap().count(), 1);
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    let dir = directory();
    fs::write(dir.path().join("other"), "something else").unwrap();
    let failed = |arguments: &[&str], status: i32, said: &str| {
        let output = pagescan(dir.path(), arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    };
    failed(&["share", "other"], 1, "other: it is no snapshot of pagescan");
    failed(&["share", "none"], 1, "none: it cannot be read: No such file");
    failed(&["share", "snapshot", "--at", "2"], 1, "there is no snapshot 2: it has 1");
    failed(&["share", "snapshot", "--max-page-sharing", "1"], 2, "--max-page-sharing");
    failed(&["export", "snapshot"], 2, "--csv");
    failed(&["export", "snapshot", "--csv", "other"], 1, "other");
}

#[test]
fn tables_lie_in_folders_by_host_and_day() {
    let dir = directory();
    stdout(dir.path(), &["export", "snapshot", "--parquet", "tables", "--hive"]);
    for table in ["snapshots", "frames", "files", "processes", "mappings", "pages"] {
        let folder = dir.path().join("tables").join(table).join("host=host/day=1970-01-01");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{}", folder.display());
    }
    let refused = pagescan(dir.path(), &["export", "snapshot", "--csv", "lines", "--hive"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!dir.path().join("lines").exists());
}
