//! What the programs are given to do: a second or so of what each is used for.

use std::ffi::OsString;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::find;

/// A program at work.
pub struct Job {
    /// For people: what it does.
    pub name: &'static str,
    /// The program; its name if it is not installed.
    pub program: Result<PathBuf, String>,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Bytes that openssl and xz read.
const DATA: usize = 64 << 20;
/// Lines that sort and awk read.
const LINES: u32 = 600_000;
/// Functions that the compiler compiles.
const FUNCTIONS: u32 = 300;

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
    // Byte by byte: what this process has had in memory counts as memory of those that it starts (getrusage(2)).
    let write = |name: &str, bytes: &mut dyn Iterator<Item = u8>| -> Result<OsString> {
        let path = dir.join(name);
        let written = fs::File::create(&path).and_then(|file| {
            let mut out = BufWriter::new(file);
            for byte in bytes {
                out.write_all(&[byte])?;
            }
            out.flush()
        });
        written.with_context(|| path.display().to_string())?;
        Ok(path.into())
    };
    let data = write("data", &mut noise().take(DATA))?;
    let some = write("some", &mut noise().take(DATA / 32))?;
    let lines = write("lines", &mut lines())?;
    let source = write("source.c", &mut source())?;
    let null = || "/dev/null".into();
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let with = |all: &[&str], file: &OsString| [words(all), vec![file.clone()]].concat();
    let job =
        |name, program: &str, arguments| Job { name, program: find::program(program), arguments };
    Ok(vec![
        job("openssl: SHA-256 of 64 MiB", "openssl", with(&["dgst", "-sha256"], &data)),
        job("xz -6 of 2 MiB", "xz", with(&["-6", "--keep", "--stdout"], &some)),
        job("python3: dictionaries, JSON, regular expressions", "python3", words(&["-c", PYTHON])),
        job("perl: hashes, sort, regular expressions", "perl", words(&["-e", PERL])),
        job("node: maps, JSON", "node", words(&["-e", NODE])),
        Job {
            name: "gcc -O2: its compiler proper, 300 functions",
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

/// cc1, which `gcc` starts.
fn compiler_proper() -> Result<PathBuf, String> {
    let output = Command::new("gcc").arg("-print-prog-name=cc1").output();
    let path = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let path = path.map(|path| PathBuf::from(path.trim()));
    path.filter(|path| path.is_file()).ok_or_else(|| "cc1".to_owned())
}

/// Bytes without a pattern that would make it easy, the same each time (a linear congruence).
fn noise() -> impl Iterator<Item = u8> {
    let mut state = 1u64;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Few values, so that there is something to compress.
        b'a' + (state >> 60) as u8
    })
}

fn lines() -> impl Iterator<Item = u8> {
    let line = |line: u32| format!("{} {line}\n", line.wrapping_mul(2_654_435_761) >> 8);
    (0..LINES).flat_map(move |number| line(number).into_bytes())
}

fn source() -> impl Iterator<Item = u8> {
    let function = |number: u32| {
        format!(
            "int f{number}(int n, int *p) {{ int s = {number}; for (int i = 0; i < n; i++) {{ \
             s += p[i] * {number}; if (s & 1) s ^= p[i] << 3; else s -= i / 7; }} return s; }}\n"
        )
    };
    (0..FUNCTIONS).flat_map(move |number| function(number).into_bytes())
}
