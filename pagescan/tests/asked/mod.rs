//! An engine asked the questions in `sql/`, and what the classifier answers to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use pagescan::hash::PageHash;
use pagescan::share::{Answer, Class};
use pagescan::snapshot::{Header, Snapshot};
use serde_json::{Value, json};

/// The questions.
pub const QUESTIONS: [&str; 4] = ["classes", "savings", "matrix", "lifetimes"];

/// Has `sql/ask.py` ask, with these arguments and variables; the answers about each place.
pub fn ask(python: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/ask.py");
    let mut command = Command::new(python);
    let output = command.arg(script).args(arguments).envs(variables.iter().copied());
    let output = output.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    if arguments.contains(&"--cost") {
        eprint!("{stderr}");
    }
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a machine is called in the tables.
fn machine_id(header: &Header) -> i64 {
    xxhash_rust::xxh3::xxh3_64(format!("{}\0{}", header.host, header.boot).as_bytes()) as i64
}

/// The classifier's answer, as rows, and the lifetimes in these snapshots. A host has one start only.
pub fn expected(answer: &Answer, snapshots: &[Snapshot]) -> Value {
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
    let names: Vec<String> = domain_names(answer, snapshots);
    let mut matrix = Vec::new();
    for pair in &answer.matrix.pairs {
        let (a, b) = (&names[pair.a], &names[pair.b]);
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        matrix.push((a, b, pair.shared, pair.could));
    }
    matrix.sort_unstable();
    json!({ "classes": classes, "savings": savings, "matrix": matrix, "lifetimes": lifetimes(snapshots) })
}

/// Names of domains as the views have them.
fn domain_names(answer: &Answer, snapshots: &[Snapshot]) -> Vec<String> {
    let mut hosts: BTreeMap<&str, i64> = BTreeMap::new();
    let mut starts: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for Snapshot { header, tasks, .. } in snapshots {
        hosts.insert(&header.host, machine_id(header));
        for task in tasks {
            starts.insert((&header.host, task.process.pid), task.process.start);
        }
    }
    let name = |label: &str| {
        let (host, label) =
            label.split_once(": ").unwrap_or((snapshots[0].header.host.as_str(), label));
        let id = hosts[host];
        match label {
            "page cache" => format!("{id} cache"),
            "all memory" => format!("{id} memory"),
            process => {
                let pid = process.rsplit_once('(').unwrap().1.trim_end_matches(')');
                let pid = pid.parse().unwrap();
                format!("{id} {pid} {}", starts[&(host, pid)])
            }
        }
    };
    answer.domains.iter().map(|domain| name(&domain.name)).collect()
}

/// When a snapshot was taken, and in how many frames each content was.
type Moment = (u64, BTreeMap<PageHash, u64>);

/// Rows of successive snapshots in which a content is there more than once, counted plainly.
fn lifetimes(snapshots: &[Snapshot]) -> Vec<(u64, u64, u64)> {
    let mut hosts: BTreeMap<&str, Vec<Moment>> = BTreeMap::new();
    for Snapshot { header, frames: all, .. } in snapshots {
        let mut frames = BTreeMap::new();
        for (index, hash) in all.hashes.iter().enumerate() {
            // Neither free, nor zeros, nor unread.
            if all.attributes(index).flags.0 & 114_704 == 0 {
                *frames.entry(*hash).or_default() += 1;
            }
        }
        hosts.entry(&header.host).or_default().push((header.taken, frames));
    }
    let mut lived: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for moments in hosts.values() {
        let contents: BTreeSet<&PageHash> =
            moments.iter().flat_map(|moment| moment.1.keys()).collect();
        for content in contents {
            let is_shared =
                |moment: &Moment| moment.1.get(content).is_some_and(|frames| *frames > 1);
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
