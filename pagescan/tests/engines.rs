//! DuckDB and Spark are asked the questions in `sql/`, over the Parquet files of made up snapshots of several machines and moments:
//! they say the same as the classifier, to the last page. Needs a Python with duckdb, by TEST_PYTHON (tests/requirements.txt).

mod asked;
mod made;
#[macro_use]
mod trials;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use asked::{QUESTIONS, ask, expected};
use made::{Machine, any_snapshots};
use pagescan::export::{Kind, export};
use pagescan::share::{Options, Source, share};
use pagescan::snapshot::Snapshot;

trials! {
    duckdb_says_the_same: [Python("duckdb")];
    spark_says_the_same: [Python("pyspark")] asked for;
}

/// So few pages are in a frame at most that it counts in small snapshots.
const MOST: u64 = 3;

/// Holds an engine's answers about so many made up fleets against the classifier's.
fn hold(engine: &str, fleets: RangeInclusive<u64>, least: usize) {
    let python = trials::python().expect("there is one, or it were not run");
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
        tables.push(dir.join("tables").to_str().unwrap().to_owned());
        let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for machine in &machines {
            // All moments of a machine in one file.
            let bytes = files.entry(&machine.header.host).or_default();
            *bytes = machine.write(std::mem::take(bytes));
        }
        // Some in folders and some not: both are read alike.
        let kind = if fleet % 2 == 0 { Kind::Hive } else { Kind::Parquet };
        for (host, bytes) in files {
            let file = dir.join(host);
            std::fs::write(&file, bytes).unwrap();
            export(&file, kind, &dir.join("tables")).unwrap();
        }
        let snapshots: Vec<Snapshot> = machines.iter().map(Machine::snapshot).collect();
        let sources: Vec<_> = snapshots.iter().map(Source::Memory).collect();
        let options = Options { max_page_sharing: MOST, ..Options::default() };
        all.push(expected(&share(&sources, &options).unwrap(), &snapshots));
    }
    let most = MOST.to_string();
    let mut arguments = vec![engine, &most];
    arguments.extend(tables.iter().map(String::as_str));
    let answers = ask(Path::new(&python), &arguments, &[]);
    for (fleet, (answer, expected)) in answers.iter().zip(&all).enumerate() {
        for question in QUESTIONS {
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

fn duckdb_says_the_same() {
    hold("duckdb", 1..=25, 100);
}

/// The same SQL, by executors that are processes of their own. It takes minutes, and a Java besides.
fn spark_says_the_same() {
    hold("spark", 19..=20, 20);
}
