//! The rows of the table, and what has to be built before one is measured.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use regex::Regex;
use statify_bench::spawn::Launch;
use statify_bench::{convert, measure};
use tempfile::TempDir;

use crate::generate::Generator;
use crate::rows::{Column, Row};

/// A row: where its program comes from.
#[derive(Clone, Copy)]
pub enum Case {
    /// The generated hello.
    Hello,
    /// A generated program with this many libraries.
    Libraries(usize),
    /// An installed program and arguments that make it end at once.
    Installed(&'static str, &'static [&'static str]),
}

/// A program that has not ended after this time never will.
const CHECK_LIMIT: Duration = Duration::from_secs(30);

const CASES: [Case; 10] = [
    Case::Hello,
    Case::Libraries(10),
    Case::Libraries(30),
    Case::Libraries(100),
    Case::Installed("curl", &["--version"]),
    Case::Installed("git", &["--version"]),
    Case::Installed("ssh", &["-V"]),
    Case::Installed("openssl", &["version"]),
    Case::Installed("python3", &["--version"]),
    Case::Installed("gdb", &["--version"]),
];

impl Case {
    /// The row's name: the command line, where there is one.
    pub fn name(self) -> String {
        match self {
            Self::Hello => "hello".into(),
            Self::Libraries(count) => format!("{count} libraries"),
            Self::Installed(program, arguments) => format!("{program} {}", arguments.join(" ")),
        }
    }

    fn subject(self) -> String {
        match self {
            Self::Installed(program, _) => program.into(),
            _ => self.name(),
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Installed(_, arguments) => arguments,
            _ => &[],
        }
    }
}

/// What all rows share.
pub struct Bench {
    statify: Option<PathBuf>,
    cases: Vec<Case>,
    generator: Generator,
    only_exits: PathBuf,
    directory: TempDir,
    /// Outputs take nothing from a pool that others than root could have filled.
    pool: Option<TempDir>,
}

impl Bench {
    /// The rows whose name `only` matches, converted by `statify` unless that is `None`.
    pub fn new(statify: Option<PathBuf>, only: Option<&Regex>) -> Result<Self> {
        // Beside cargo's other output rather than in /tmp, which may be another kind of file system than that of the originals.
        let directory =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).context("no temporary directory")?;
        let generator = Generator::new(directory.path());
        let wanted = |case: &Case| only.is_none_or(|only| only.is_match(&case.name()));
        Ok(Self {
            statify,
            cases: CASES.into_iter().filter(wanted).collect(),
            only_exits: generator.only_exits()?,
            generator,
            directory,
            pool: tempfile::Builder::new().prefix("statify-bench-").tempdir_in("/var/lib").ok(),
        })
    }

    /// The rows to measure.
    pub fn cases(&self) -> impl Iterator<Item = Case> {
        self.cases.iter().copied()
    }

    /// Builds and converts what `case` needs, measuring `conversions` conversions. What cannot be had is noted in the row.
    pub fn prepare(&self, case: Case, conversions: u32) -> Result<Prepared> {
        let mut row = Row { name: case.name(), subject: case.subject(), ..Row::default() };
        let mut programs = BTreeMap::new();
        let original = match case {
            Case::Hello => Some(self.generator.hello()?),
            Case::Libraries(count) => Some(self.generator.libraries(count)?),
            Case::Installed(name, _) => installed(name),
        };
        let Some(original) = original else {
            row.notes.push("not installed".into());
            return Ok(Prepared { row, programs: Vec::new() });
        };
        programs.insert(Column::OnlyExits, self.only_exits.clone());
        if matches!(case, Case::Hello) {
            match self.generator.hello_static() {
                Ok(path) => _ = programs.insert(Column::Static, path),
                Err(error) => row.notes.push(format!("no static build: {error:#}")),
            }
        }
        if let Some(statify) = &self.statify {
            let converted = self.directory.path().join("converted");
            match convert::measured(statify, &original, &converted, conversions) {
                Ok(conversion) => {
                    row.conversion = Some(conversion);
                    programs.insert(Column::Converted, converted);
                }
                Err(error) => row.notes.push(format!("{error:#}")),
            }
            let pool = self.pool.as_ref().and_then(|pool| pool.path().to_str());
            let pooled = pool.map(|pool| (Column::Pooled, vec!["--pool", pool]));
            for (column, options) in [(Column::Fixed, vec!["--fixed"])].into_iter().chain(pooled) {
                let output = self.directory.path().join(column.heading());
                match convert::convert(statify, &original, &output, &options) {
                    Ok(_) => _ = programs.insert(column, output),
                    Err(error) => row.notes.push(format!("{}: {error:#}", column.heading())),
                }
            }
            if pool.is_none() {
                row.notes.push("no pool: not run as root".into());
            }
        }
        programs.insert(Column::Original, original.clone());
        row.program = Some(original);

        let arguments: Vec<&OsStr> = case.arguments().iter().map(OsStr::new).collect();
        let mut launches = Vec::new();
        for (column, path) in programs {
            if let Err(error) = check(case, &path, &arguments) {
                row.notes.push(format!("{}: {error:#}", column.heading()));
                continue;
            }
            launches.push((column, Launch::new(&path, &arguments)?));
        }
        Ok(Prepared { row, programs: launches })
    }
}

/// Runs a program once, the generated ones with the argument that makes them check all of their libraries.
fn check(case: Case, path: &Path, arguments: &[&OsStr]) -> Result<()> {
    let launch = match case {
        Case::Libraries(_) => Launch::new(path, &[OsStr::new("all")])?,
        _ => Launch::new(path, arguments)?,
    };
    launch.check(CHECK_LIMIT)
}

/// A row whose programs stand ready.
pub struct Prepared {
    row: Row,
    programs: Vec<(Column, Launch)>,
}

impl Prepared {
    /// Measures the row's programs in turn.
    pub fn measure(self, rounds: u32) -> Result<Row> {
        let Self { mut row, programs } = self;
        let (columns, launches): (Vec<Column>, Vec<Launch>) = programs.into_iter().unzip();
        row.times = columns.into_iter().zip(measure::interleaved(&launches, rounds)?).collect();
        Ok(row)
    }
}

/// The first ELF file of that name in PATH; version managers put scripts before the programs.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| is_program(file))
}

fn is_program(path: &Path) -> bool {
    let executable =
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    let mut magic = [0; 4];
    executable
        && std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok())
        && magic == *b"\x7fELF"
}
