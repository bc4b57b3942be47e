//! Many machines' tables in an object store, asked there: DuckDB says of them what `pagescan share` says of their snapshots. The store
//! is moto's S3 server on the loopback interface, by the Python that TEST_PYTHON names (tests/requirements.txt).

mod asked;
mod bucket;
#[macro_use]
mod trials;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use asked::{QUESTIONS, ask, expected};
use bucket::Bucket;
use pagescan::export::{Kind, export};
use pagescan::hash::PageHash;
use pagescan::share::{Answer, Options, Source, share};
use pagescan::snapshot::{FrameFlags, Header, Snapshot, Totals, Writer, read_all};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

trials! {
    duckdb_says_the_same_of_a_bucket:
        [Python("moto"), Python("duckdb"), Python("duckdb_extension_httpfs")];
    duckdb_says_the_same_of_thousands_of_machines:
        [Python("moto"), Python("duckdb"), Python("duckdb_extension_httpfs")] asked for;
}

/// Hosts whose processes have a page more than those of others: the largest domains of all.
const LARGE: u64 = 12;

/// A snapshot of two processes that wait.
fn taken(dir: &Path) -> Snapshot {
    let wait = |command: &mut Command| {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    };
    let mut children =
        [wait(&mut Command::new("cat")), wait(Command::new("sh").args(["-c", "read x"]))];
    // Until they wait; nothing depends on how far they are.
    std::thread::sleep(Duration::from_millis(200));
    let file = dir.join("taken");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagescan"));
    command.arg("snapshot").args(children.iter().map(|child| child.id().to_string()));
    let output = command.arg("-o").arg(&file).output().unwrap();
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read_all(&fs::read(file).unwrap()[..]).unwrap().remove(0)
}

/// How a host is called; one of them so that nothing may take its name for a path.
fn name(host: u64) -> String {
    if host == 7 { "web=7%2f..".into() } else { format!("web{host}") }
}

/// The snapshot as if it were of another host at a later moment: of its anonymous frames some are only there, some in a part of
/// the hosts, some differ from moment to moment; what is of files is as it was.
fn write(snapshot: &Snapshot, host: u64, moment: u64, bytes: Vec<u8>) -> Vec<u8> {
    let header = Header {
        host: name(host),
        boot: format!("start of {host}"),
        taken: snapshot.header.taken + moment * 60_000_000_000,
        ..snapshot.header.clone()
    };
    let writer =
        if bytes.is_empty() { Writer::new(bytes, header) } else { Writer::append(bytes, header) };
    let mut writer = writer.unwrap();
    for index in 0..snapshot.frames.len() {
        let attributes = *snapshot.frames.attributes(index);
        let mut hash = snapshot.frames.hashes[index];
        if attributes.flags.has(FrameFlags::ANONYMOUS) {
            let number = xxh3_64(format!("{index} {host}").as_bytes());
            let other =
                |of: [u64; 3]| PageHash(xxh3_128(&of.map(u64::to_le_bytes).concat()).to_be_bytes());
            match number % 8 {
                0..3 => hash = other([1, index as u64, host]),
                3..5 => hash = other([2, number % 10, 0]),
                5 => hash = other([3, number % 10, moment]),
                _ => {}
            }
        }
        let number = snapshot.frames.numbers.get(index).copied();
        writer.frame(number, attributes, hash).unwrap();
    }
    for file in &snapshot.files {
        writer.file(file.file.clone()).unwrap();
    }
    for task in &snapshot.tasks {
        writer.process(task.process.clone()).unwrap();
        let last = task.vmas.iter().rposition(|vma| !vma.runs.is_empty());
        for (nth, vma) in task.vmas.iter().enumerate() {
            writer.mapping(vma.mapping.clone()).unwrap();
            let pages = vma
                .runs
                .iter()
                .flat_map(|run| (0..run.len).map(|at| (run.page + at, run.frame + at, run.flags)));
            let mut pages: Vec<_> = pages.collect();
            if Some(nth) == last && host >= LARGE {
                pages.pop();
            }
            for (page, frame, flags) in pages {
                writer.page(page, frame, flags).unwrap();
            }
        }
    }
    writer.finish(Totals::default()).unwrap()
}

/// A fleet: the files of its snapshots, and all tables below one directory.
struct Fleet {
    files: Vec<PathBuf>,
    tables: PathBuf,
}

impl Fleet {
    /// Every third host has two snapshots.
    fn make(dir: &Path, snapshot: &Snapshot, hosts: u64) -> Self {
        let tables = dir.join("tables");
        let mut files = Vec::new();
        for host in 0..hosts {
            let mut bytes = Vec::new();
            for moment in 0..if host % 3 == 0 { 2 } else { 1 } {
                bytes = write(snapshot, host, moment, bytes);
            }
            let file = dir.join(format!("{host}.pagescan"));
            fs::write(&file, bytes).unwrap();
            export(&file, Kind::Hive, &tables).unwrap();
            files.push(file);
        }
        Self { files, tables }
    }

    /// What is expected of these of its hosts; with the largest domains, as many as there are of one size, held against one another.
    fn expected(&self, hosts: impl Fn(u64) -> bool) -> (Answer, serde_json::Value) {
        let files =
            self.files.iter().zip(0..).filter(|(_, host)| hosts(*host)).map(|(file, _)| file);
        let sources: Vec<_> =
            files.clone().flat_map(|file| Source::outline(file).unwrap()).collect();
        let mut options = Options { matrix: 0, ..Options::default() };
        let answer = share(&sources, &options).unwrap();
        let sizes = answer.domains.iter().map(|domain| domain.count.pages);
        options.matrix =
            sizes.clone().take_while(|pages| Some(*pages) == sizes.clone().next()).count();
        let since = Instant::now();
        let answer = share(&sources, &options).unwrap();
        eprintln!("pagescan share: {:.1} s", since.elapsed().as_secs_f64());
        let snapshots: Vec<Snapshot> =
            files.flat_map(|file| read_all(&fs::read(file).unwrap()[..]).unwrap()).collect();
        let expected = expected(&answer, &snapshots);
        (answer, expected)
    }
}

/// How a part of the hosts is chosen, and whether a host is of it.
type Asked<'a> = (&'a [&'a str], &'a dyn Fn(u64) -> bool);

/// Holds what DuckDB says of so many hosts in a bucket against the classifier's.
fn hold(hosts: u64) {
    let python = trials::python().expect("there is one, or it were not run");
    let mut bucket = Bucket::start(&python);
    let dir = tempfile::tempdir().unwrap();
    let snapshot = taken(dir.path());
    if (0..snapshot.frames.len())
        .any(|at| snapshot.frames.attributes(at).flags.has(FrameFlags::UNREAD))
    {
        trials::not_here(
            "other processes of ours cannot be read here (/proc/sys/kernel/yama/ptrace_scope)",
        );
    }
    let since = Instant::now();
    let fleet = Fleet::make(dir.path(), &snapshot, hosts);
    let objects = bucket.put(&fleet.tables, "fleet/");
    assert_eq!(objects as u64, 6 * (hosts + hosts.div_ceil(3)));
    eprintln!("{objects} objects made in {:.1} s", since.elapsed().as_secs_f64());
    let variables = bucket.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let place = bucket.place("fleet");
    let two = ["--where", "host IN ('web0', 'web=7%2f..')"];
    let asked: [Asked; 2] = [(&[], &|_| true), (&two, &|host| host == 0 || host == 7)];
    let mut told = BTreeMap::new();
    for (selection, is_asked) in asked {
        let (answer, expected) = fleet.expected(is_asked);
        let matrix = answer.matrix.domains.to_string();
        let mut arguments = vec!["--cost", "--matrix", &matrix];
        arguments.extend(selection);
        arguments.extend(["duckdb", "256", &place]);
        let before = bucket.requests();
        let [said] = &ask(&python, &arguments, &variables)[..] else { panic!("one answer") };
        told.insert(selection.len(), bucket.requests() - before);
        for question in QUESTIONS {
            assert_eq!(said[question], expected[question], "{question}, {selection:?}");
            assert!(!said[question].as_array().unwrap().is_empty(), "{question}");
        }
        let frames = answer.classes.all().frames;
        eprintln!(
            "{selection:?}: {} snapshots, {frames} frames, {} domains",
            answer.snapshots.len(),
            answer.domains.len()
        );
    }
    eprintln!("requests: {told:?}");
    // Of two hosts, the files of others are not read.
    assert!(told[&2] * 3 < told[&0], "{told:?}");
}

fn duckdb_says_the_same_of_a_bucket() {
    hold(20);
}

fn duckdb_says_the_same_of_thousands_of_machines() {
    hold(2000);
}
