//! What the programs are given to do: a second or so of what each is used for.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// A program at work.
pub struct Job {
    /// For people: what it does.
    pub name: &'static str,
    /// The program; [`None`] if it is not installed.
    pub program: Option<PathBuf>,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Bytes that openssl and xz read.
const DATA: usize = 64 << 20;
/// Lines that sort and awk read.
const LINES: u32 = 600_000;
/// Functions that the compiler compiles.
const FUNCTIONS: u32 = 1500;

const PYTHON: &str = "
import json, re
words = [f'word{i * 7919 % 10007}' for i in range(200000)]
counts = {}
for word in words: counts[word] = counts.get(word, 0) + 1
text = json.dumps(counts); assert json.loads(text) == counts
assert len(re.findall(r'word(\\d+)', text)) == len(counts)
sum(i * i for i in range(5000000))
";
const PERL: &str = "
my %count; for my $i (1 .. 1500000) { $count{'word' . ($i * 7919 % 10007)} += 1 }
my $text = join ' ', map { qq($_=$count{$_}) } sort keys %count;
my $found = () = $text =~ /word(\\d+)=/g; die unless $found == keys %count;
";
const NODE: &str = "
const counts = new Map();
for (let i = 0; i < 4000000; i++) { const word = 'word' + i * 7919 % 10007; counts.set(word, (counts.get(word) || 0) + 1) }
if (JSON.parse(JSON.stringify([...counts])).length !== counts.size) process.exit(1);
";
const AWK: &str =
    "{ count[$1 % 10007] += $2 } END { for (key in count) sum += count[key]; print sum }";
const BASH: &str =
    "for ((i = 0; i < 300000; i++)); do a[i % 1000]=$((i * 7 % 13)); s=${a[i % 1000]}; done";
const SQL: &str = "create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 600000)
insert into t select i, 'word' || (i * 7919 % 10007) from n;
create index b on t(b); select count(*), sum(a) from t group by b order by 2 limit 3;";

/// All jobs; what they read is made in `dir`.
pub fn jobs(dir: &Path) -> Result<Vec<Job>> {
    let write = |name: &str, bytes: &[u8]| -> Result<OsString> {
        let path = dir.join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        Ok(path.into())
    };
    let data = write("data", &noise(DATA))?;
    let some = write("some", &noise(DATA / 16))?;
    let lines = write("lines", lines().as_bytes())?;
    let source = write("source.c", source().as_bytes())?;
    let null = || "/dev/null".into();
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let with = |all: &[&str], file: &OsString| [words(all), vec![file.clone()]].concat();
    let job = |name, program: &str, arguments| Job { name, program: find(program), arguments };
    Ok(vec![
        job("openssl: SHA-256 of 64 MiB", "openssl", with(&["dgst", "-sha256"], &data)),
        job("xz -6 of 4 MiB", "xz", with(&["-6", "--keep", "--stdout"], &some)),
        job("python3: dictionaries, JSON, regular expressions", "python3", words(&["-c", PYTHON])),
        job("perl: hashes, sort, regular expressions", "perl", words(&["-e", PERL])),
        job("node: maps, JSON", "node", words(&["-e", NODE])),
        Job {
            name: "gcc -O2: its compiler proper, 1500 functions",
            program: compiler_proper(),
            arguments: [with(&["-quiet", "-O2"], &source), vec!["-o".into(), null()]].concat(),
        },
        job("gawk: sums of 600,000 lines", "gawk", with(&[AWK], &lines)),
        job("sort of 600,000 lines", "sort", with(&["--parallel=1"], &lines)),
        job("bash: 300,000 rounds of arithmetic", "bash", words(&["-c", BASH])),
        job("sqlite3: 600,000 rows and an index", "sqlite3", words(&[":memory:", SQL])),
        job("git: hashes of 64 MiB", "git", with(&["hash-object", "--no-filters"], &data)),
    ])
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// cc1, which `gcc` starts.
fn compiler_proper() -> Option<PathBuf> {
    let output = Command::new("gcc").arg("-print-prog-name=cc1").output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_file().then_some(path)
}

/// Bytes without a pattern that would make it easy, the same each time (a linear congruence).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Few values, so that there is something to compress.
        b'a' + (state >> 60) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn lines() -> String {
    let mut text = String::new();
    for line in 0..LINES {
        let _ = writeln!(text, "{} {line}", line.wrapping_mul(2_654_435_761) >> 8);
    }
    text
}

fn source() -> String {
    let mut text = String::new();
    for number in 0..FUNCTIONS {
        let _ = writeln!(
            text,
            "int f{number}(int n, int *p) {{ int s = {number}; for (int i = 0; i < n; i++) {{ \
             s += p[i] * {number}; if (s & 1) s ^= p[i] << 3; else s -= i / 7; }} return s; }}"
        );
    }
    text
}
