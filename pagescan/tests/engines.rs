//! DuckDB and Spark are asked the questions in `sql/`, over the Parquet files of made up snapshots of several machines and moments:
//! they say the same as the classifier, to the last page. Needs a Python with duckdb, by TEST_PYTHON (tests/requirements.txt).

mod made;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use made::{Machine, any_snapshots};
use pagescan::export::{Kind, export};
use pagescan::share::{Class, Options, Source, share};
use pagescan::snapshot::Header;
use serde_json::{Value, json};

/// So few pages are in a frame at most that it counts in small snapshots.
const MOST: u64 = 3;

fn ask(python: &Path, engine: &str, tables: &[PathBuf]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/ask.py");
    let mut command = Command::new(python);
    let output =
        command.arg(script).args([engine, &MOST.to_string()]).args(tables).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a machine or a snapshot is called in the tables.
fn machine_id(header: &Header) -> i64 {
    xxhash_rust::xxh3::xxh3_64(format!("{}\0{}", header.host, header.boot).as_bytes()) as i64
}

/// The classifier's answers, as rows.
fn expected(machines: &[Machine]) -> Value {
    let snapshots: Vec<_> = machines.iter().map(Machine::snapshot).collect();
    let sources: Vec<_> = snapshots.iter().map(Source::Memory).collect();
    let options = Options { max_page_sharing: MOST, ..Options::default() };
    let answer = share(&sources, &options).unwrap();
    let mut classes = Vec::new();
    for class in Class::ALL {
        let sides = answer.classes.of(class);
        for (side, count) in [("internal", sides.internal), ("external", sides.external)] {
            if count.frames > 0 {
                classes.push((class.name(), side, count.pages, count.frames));
            }
        }
    }
    classes.sort_unstable();
    let savable = &answer.savable;
    let savings = [(
        savable.at_most,
        answer.contents,
        savable.attainable,
        savable.internal,
        savable.attainable_internal,
    )];
    // Names of domains as the views have them.
    let hosts: BTreeMap<&str, i64> = machines
        .iter()
        .map(|machine| (&machine.header.host[..], machine_id(&machine.header)))
        .collect();
    let name = |domain: usize| {
        let label = &answer.domains[domain].name;
        let (host, label) =
            label.split_once(": ").unwrap_or((machines[0].header.host.as_str(), label));
        let id = hosts[host];
        match label {
            "page cache" => format!("{id} cache"),
            "all memory" => format!("{id} memory"),
            process => {
                let pid = process.split_once('(').unwrap().1.trim_end_matches(')');
                format!("{id} {pid} {}", pid.parse::<u64>().unwrap() * 10)
            }
        }
    };
    let mut matrix = Vec::new();
    for pair in &answer.matrix.pairs {
        let (a, b) = (name(pair.a), name(pair.b));
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        matrix.push((a, b, pair.shared, pair.could));
    }
    matrix.sort_unstable();
    json!({ "classes": classes, "savings": savings, "matrix": matrix, "lifetimes": lifetimes(machines) })
}

/// When a snapshot was taken, and in how many frames each content was.
type Moment = (u64, BTreeMap<u64, u64>);

/// Rows of successive snapshots in which a content is there more than once, counted plainly.
fn lifetimes(machines: &[Machine]) -> Vec<(u64, u64, u64)> {
    let mut hosts: BTreeMap<&str, Vec<Moment>> = BTreeMap::new();
    for machine in machines {
        let mut frames = BTreeMap::new();
        for frame in machine.frames.iter().filter(|frame| frame.flags.0 & 114_704 == 0) {
            *frames.entry(frame.content).or_default() += 1;
        }
        hosts.entry(&machine.header.host).or_default().push((machine.header.taken, frames));
    }
    let mut lived: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for moments in hosts.values() {
        for content in 0..25 {
            let is_shared =
                |moment: &Moment| moment.1.get(&content).is_some_and(|frames| *frames > 1);
            for row in moments.chunk_by(|a, b| is_shared(a) == is_shared(b)) {
                if is_shared(&row[0]) {
                    let seconds = (row[row.len() - 1].0 - row[0].0) / 1_000_000_000;
                    *lived.entry((seconds, row.len() as u64)).or_default() += 1;
                }
            }
        }
    }
    lived
        .into_iter()
        .map(|((seconds, snapshots), sharings)| (seconds, snapshots, sharings))
        .collect()
}

/// Holds an engine's answers about so many made up fleets against the classifier's.
fn hold(engine: &str, fleets: RangeInclusive<u64>, least: usize) {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        eprintln!(
            "not run: TEST_PYTHON does not name a Python with {engine} (tests/requirements.txt)"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut tables = Vec::new();
    let mut all = Vec::new();
    for fleet in fleets {
        let mut machines = any_snapshots(fleet.wrapping_mul(0x9e37_79b9_7f4a_7c15), true);
        for machine in &mut machines {
            // Moments two seconds apart.
            machine.header.taken *= 2_000_000_000;
        }
        let dir = dir.path().join(fleet.to_string());
        std::fs::create_dir(&dir).unwrap();
        tables.push(dir.join("tables"));
        let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for machine in &machines {
            // All moments of a machine in one file.
            let bytes = files.entry(&machine.header.host).or_default();
            *bytes = machine.write(std::mem::take(bytes));
        }
        for (host, bytes) in files {
            let file = dir.join(host);
            std::fs::write(&file, bytes).unwrap();
            export(&file, Kind::Parquet, &dir.join("tables")).unwrap();
        }
        all.push(expected(&machines));
    }
    let answers = ask(Path::new(&python), engine, &tables);
    for (fleet, (answer, expected)) in answers.iter().zip(&all).enumerate() {
        for question in ["classes", "savings", "matrix", "lifetimes"] {
            assert_eq!(answer[question], expected[question], "{question}, fleet {fleet}");
        }
    }
    let pairs: usize =
        all.iter().map(|expected| expected["matrix"].as_array().unwrap().len()).sum();
    assert!(
        answers.len() == all.len() && pairs >= least,
        "{pairs} pairs are too few to say anything"
    );
}

#[test]
fn duckdb_says_the_same() {
    hold("duckdb", 1..=25, 100);
}

/// The same SQL. Needs pyspark and a Java.
#[test]
#[ignore = "it needs a Spark, and minutes"]
fn spark_says_the_same() {
    hold("spark", 19..=20, 20);
}
