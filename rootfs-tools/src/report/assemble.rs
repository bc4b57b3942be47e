//! The report, put together from the journal and what is measured of the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use statify_files::path_text;
use statify_format::manifest::FileKind;

use super::contents::{Class, Failure, Image, Library, Pool, Report};
use super::figures::{self, Growth, Table};
use super::measured::{self, Measured, Wanted};
use super::program::Program;
use super::statics;
use crate::error::Result;
use crate::journal::record::{self, Record, Replacement, Size};
use crate::journal::{self, history};
use crate::measure::size;
use crate::tree::Tree;

/// The upper ends of the classes of growth, in times.
const CLASSES: [u64; 9] = [2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// Reads the journal of the tree `root`, and measures it.
pub fn read(root: &Path, wanted: &Wanted) -> Result<Report> {
    let tree = Tree::open(root)?;
    let records = journal::read(&tree)?;
    let now = size::tree(&tree)?;
    let measured = measured::measure(&tree, &records, &history::in_place(&records), wanted)?;
    let mut report = of(tree.path, &records, now, measured);
    if !wanted.statics.is_empty() {
        report.statics = Some(statics::table(&report.programs, &statics::find(&wanted.statics)?));
    }
    Ok(report)
}

/// What the records say of a tree that takes up `now`, and what was measured of it.
pub fn of(root: PathBuf, records: &[Record], now: Size, measured: Measured) -> Report {
    let replaced = history::in_place(records);
    let programs: Vec<Program> = replaced.iter().map(|replacement| program(replacement)).collect();
    let growths = |programs: &[&Program]| {
        Table::of(programs.iter().map(|program| (program.names[0].as_str(), &program.growth)))
    };
    let mut by_directory: BTreeMap<String, Vec<&Program>> = BTreeMap::new();
    for (program, replacement) in programs.iter().zip(&replaced) {
        let parent = replacement.names[0].parent().unwrap_or(Path::new("/"));
        by_directory.entry(path_text::to_text(parent)).or_default().push(program);
    }
    let directories = by_directory.iter().map(|(path, programs)| (path.clone(), growths(programs)));
    let failures = failures(records, &replaced);
    let mut failure_reasons = BTreeMap::new();
    for failure in &failures {
        *failure_reasons.entry(failure.reason.clone()).or_default() += 1;
    }
    let original = records.iter().find_map(|record| match record {
        Record::Begin(begin) => Some(begin.image),
        _ => None,
    });
    let original = original.unwrap_or_default();
    let left = records.iter().rev().find_map(|record| match record {
        Record::End(end) => Some((end.left.clone(), &end.foreign)),
        _ => None,
    });
    let (left, foreign) = left.map_or_else(Default::default, |(left, foreign)| {
        (left, foreign.iter().map(shown).collect())
    });
    Report {
        root,
        table: growths(&programs.iter().collect::<Vec<_>>()),
        directories: directories.collect(),
        libraries: libraries(&replaced),
        distribution: distribution(&programs),
        failures,
        failure_reasons,
        left,
        foreign,
        image: Image {
            original,
            converted: now,
            apparent_times: figures::times(now.apparent, original.apparent),
            allocated_times: figures::times(now.allocated, original.allocated),
            physical: measured.physical,
        },
        pool: pool(records),
        originals_missing: measured.originals_missing,
        chunks: measured.chunks,
        image_chunks: measured.image_chunks,
        statics: None,
        programs,
    }
}

fn texts(names: &[PathBuf]) -> Vec<String> {
    names.iter().map(|name| path_text::to_text(name)).collect()
}

fn program(replacement: &Replacement) -> Program {
    let (original, converted) = (&replacement.original, &replacement.converted);
    Program {
        names: texts(&replacement.names),
        growth: Growth::new(original.size, converted.size),
        original_allocated: original.allocated,
        converted_allocated: converted.allocated,
        libraries: converted.files.iter().filter(|file| file.kind != FileKind::Program).count(),
        cached: converted.cached,
    }
}

fn libraries(replaced: &[&Replacement]) -> Vec<Library> {
    let mut all: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    let files = replaced.iter().flat_map(|replacement| &replacement.converted.files);
    for file in files.filter(|file| file.kind != FileKind::Program) {
        let (programs, embedded) = all.entry(&file.path).or_default();
        *programs += 1;
        *embedded = embedded.saturating_add(file.stored);
    }
    let total = all.values().fold(0u64, |sum, (_, embedded)| sum.saturating_add(*embedded));
    let library = |(path, (programs, embedded)): (&str, _)| Library {
        path: path.into(),
        programs,
        embedded,
        percent: 100.0 * figures::times(embedded, total),
    };
    let mut libraries: Vec<_> = all.into_iter().map(library).collect();
    libraries.sort_by(|a, b| b.embedded.cmp(&a.embedded).then_with(|| a.path.cmp(&b.path)));
    libraries
}

/// The last one; what earlier runs have put into others counts, too.
fn pool(records: &[Record]) -> Option<Pool> {
    let sizes: Vec<u64> = history::pooled(records).map(|pooled| pooled.size).collect();
    let pool = history::pools(records).last().filter(|_| !sizes.is_empty())?;
    Some(Pool {
        path: path_text::to_text(&pool.path),
        files: sizes.len(),
        size: sizes.into_iter().fold(0, u64::saturating_add),
    })
}

fn distribution(programs: &[Program]) -> Vec<Class> {
    let froms = [1].into_iter().chain(CLASSES);
    let belows = CLASSES.into_iter().map(Some).chain([None]);
    froms
        .zip(belows)
        .map(|(from, below)| {
            let within = |growth: &Growth| {
                // Compared as whole numbers. What became smaller is in the first class.
                let at_least =
                    |times: u64| growth.converted >= times.saturating_mul(growth.original);
                (from == 1 || at_least(from)) && below.is_none_or(|below| !at_least(below))
            };
            let programs = programs.iter().filter(|program| within(&program.growth)).count();
            Class { from, below, programs }
        })
        .collect()
}

/// What the last run said of each program that is not converted since.
fn failures(records: &[Record], replaced: &[&Replacement]) -> Vec<Failure> {
    let converted: BTreeSet<&PathBuf> =
        replaced.iter().flat_map(|replacement| &replacement.names).collect();
    let last_run = records.iter().rposition(|record| matches!(record, Record::Begin(_)));
    let mut last: BTreeMap<&[PathBuf], &record::Failure> = BTreeMap::new();
    for record in &records[last_run.unwrap_or(0)..] {
        if let Record::Failed(failure) = record {
            last.insert(&failure.names, failure);
        }
    }
    last.retain(|names, _| !names.iter().any(|name| converted.contains(name)));
    last.into_values().map(shown).collect()
}

fn shown(failure: &record::Failure) -> Failure {
    Failure {
        names: texts(&failure.names),
        reason: failure.reason.clone(),
        message: failure.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::record::{Begin, Converted, Embedded, Original};

    fn replacement(id: u64, name: &str, sizes: (u64, u64)) -> Record {
        let library = |path: &str, stored| Embedded {
            path: path.into(),
            kind: FileKind::Library,
            stored,
            pooled: None,
        };
        Record::Replace(Replacement {
            id,
            names: vec![name.into()],
            original: Original { size: sizes.0, allocated: 4096, sha256: String::new() },
            converted: Converted {
                size: sizes.1,
                allocated: 8192,
                build_id: String::new(),
                shared: 0,
                cached: false,
                files: vec![library("/lib/a", 10), library("/lib/b", 1000)],
            },
            kept: None,
        })
    }

    #[test]
    fn what_counts() {
        let image = Size { files: 3, apparent: 1000, allocated: 4096 };
        let begin = Record::Begin(Begin {
            id: crate::tree::run_id::RunId::new().unwrap(),
            tree: "/r".into(),
            version: String::new(),
            fixed: false,
            align: 4096,
            preserve_privileges: false,
            source: None,
            backup: None,
            image,
        });
        let failed = |name: &str| {
            Record::Failed(record::Failure {
                names: vec![name.into()],
                reason: "other".into(),
                message: "no".into(),
            })
        };
        let records = [
            begin,
            replacement(0, "/bin/a", (100, 1000)),
            Record::Replaced { id: 0 },
            replacement(1, "/bin/b", (100, 190)),
            Record::Replaced { id: 1 },
            replacement(2, "/sbin/never", (1, 1)),
            replacement(3, "/sbin/undone", (1, 1)),
            Record::Replaced { id: 3 },
            Record::Restored { id: 3 },
            failed("/bin/c"),
            failed("/bin/c"),
            failed("/bin/a"),
            // The first one again, from a newer original.
            replacement(4, "/bin/a", (100, 5000)),
            Record::Replaced { id: 4 },
        ];
        let now = Size { files: 3, apparent: 6000, allocated: 8192 };
        let report = of("/r".into(), &records, now, Measured::default());
        let names: Vec<_> = report.programs.iter().map(|program| &program.names[0]).collect();
        assert_eq!(names, ["/bin/a", "/bin/b"]);
        let table = &report.table;
        assert_eq!((table.programs, table.total.original, table.total.converted), (2, 200, 5190));
        assert_eq!(table.largest.as_ref().unwrap().name, "/bin/a");
        assert_eq!(table.smallest.as_ref().unwrap().name, "/bin/b");
        assert_eq!(report.libraries[0].path, "/lib/b");
        assert_eq!((report.libraries[0].programs, report.libraries[0].embedded), (2, 2000));
        let counts: Vec<_> = report.distribution.iter().map(|class| class.programs).collect();
        assert_eq!(counts, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(report.failures.len(), 1);
        assert_eq!(report.image.apparent_times, 6.0);
    }
}
