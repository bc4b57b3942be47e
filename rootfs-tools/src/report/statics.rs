//! Programs that also exist statically linked: Table 2 of the paper.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;
use statify_elf::{ElfFile, Excerpt};
use statify_files::path_text;
use statify_format::manifest;

use super::figures::times;
use super::program::Program;
use crate::error::{Error, Result};

/// What distributions put behind the names of static variants.
const SUFFIXES: [&str; 2] = ["-static", ".static"];

/// A statically linked program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Static {
    /// Where.
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
}

/// A program's three sizes, or those of many, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sizes {
    /// As it was.
    pub dynamic: u64,
    /// Statically linked.
    #[serde(rename = "static")]
    pub linked: u64,
    /// Converted.
    pub converted: u64,
    /// The second, divided by the first.
    pub static_times: f64,
    /// The third, divided by the first.
    pub converted_times: f64,
    /// The third, divided by the second.
    pub converted_over_static: f64,
}

impl Sizes {
    fn new([dynamic, linked, converted]: [u64; 3]) -> Self {
        Self {
            dynamic,
            linked,
            converted,
            static_times: times(linked, dynamic),
            converted_times: times(converted, dynamic),
            converted_over_static: times(converted, linked),
        }
    }
}

/// A program that exists both ways.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// The converted program's first name.
    pub name: String,
    /// Where the static one is.
    pub static_path: String,
    /// How large each is.
    #[serde(flatten)]
    pub sizes: Sizes,
}

/// Table 2.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// All programs that exist both ways, by their names.
    pub programs: Vec<Pair>,
    /// Together.
    pub total: Sizes,
    /// The mean of the sizes.
    pub average: Sizes,
    /// The one that grew the most by conversion.
    pub largest: Option<Pair>,
    /// And the least.
    pub smallest: Option<Pair>,
}

/// Matches programs with static ones by file name. Of several static ones that is taken whose name has no
/// suffix, then the first by path.
pub fn table(programs: &[Program], statics: &[Static]) -> Table {
    let mut by_name: BTreeMap<String, (bool, &Static)> = BTreeMap::new();
    for found in statics {
        let name = path_text::name(&found.path);
        let base = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
        let rank = |(suffixed, found): &(bool, &Static)| (*suffixed, found.path.clone());
        let new = (base.is_some(), found);
        let known = by_name.entry(base.unwrap_or(&name).to_owned()).or_insert(new);
        if rank(&new) < rank(known) {
            *known = new;
        }
    }
    let pair = |program: &Program| {
        let names = program.names.iter().map(|name| name.rsplit('/').next().unwrap_or(name));
        let (_, found) = names.filter_map(|name| by_name.get(name)).next()?;
        let growth = &program.growth;
        Some(Pair {
            name: program.names[0].clone(),
            static_path: path_text::to_text(&found.path),
            sizes: Sizes::new([growth.original, found.size, growth.converted]),
        })
    };
    let pairs: Vec<Pair> = programs.iter().filter_map(pair).collect();
    let sum = |size: fn(&Sizes) -> u64| {
        pairs.iter().map(|pair| size(&pair.sizes)).fold(0, u64::saturating_add)
    };
    let sums = [sum(|s| s.dynamic), sum(|s| s.linked), sum(|s| s.converted)];
    let count = pairs.len() as u64;
    let total = Sizes::new(sums);
    let means = Sizes::new(sums.map(|sum| sum.checked_div(count).unwrap_or(0)));
    let by_times =
        |a: &&Pair, b: &&Pair| a.sizes.converted_times.total_cmp(&b.sizes.converted_times);
    Table {
        average: Sizes {
            dynamic: means.dynamic,
            linked: means.linked,
            converted: means.converted,
            ..total
        },
        total,
        largest: pairs.iter().max_by(by_times).cloned(),
        smallest: pairs.iter().min_by(by_times).cloned(),
        programs: pairs,
    }
}

/// Finds the statically linked programs in directories and in what is below them. What cannot be read
/// is none.
pub fn find(dirs: &[PathBuf]) -> Result<Vec<Static>> {
    let mut found = Vec::new();
    for dir in dirs {
        std::fs::read_dir(dir).map_err(Error::file("read", dir))?;
        let entries = walkdir::WalkDir::new(dir).follow_root_links(true).sort_by_file_name();
        for entry in entries.into_iter().filter_map(std::result::Result::ok) {
            if entry.file_type().is_file()
                && let Some(size) = size_if_static(entry.path())
            {
                found.push(Static { path: entry.into_path(), size });
            }
        }
    }
    Ok(found)
}

fn size_if_static(path: &Path) -> Option<u64> {
    let file = statify_files::contents::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    is_static(&file, len).unwrap_or(false).then_some(len)
}

/// Whether it is a program that needs neither a loader nor libraries, and has not been converted.
fn is_static(file: &File, len: u64) -> Option<bool> {
    let mut excerpt = Excerpt::new();
    let bytes = excerpt.read(file, len).ok()?;
    let elf = ElfFile::parse(bytes).ok()?;
    let header = elf.header();
    let is_program = match header.e_type {
        goblin::elf::header::ET_EXEC => true,
        // A static PIE has a dynamic segment for its own relocations; a library has a name or needs others.
        goblin::elf::header::ET_DYN => {
            let dynamic = elf.dynamic().ok()??;
            header.e_entry != 0 && dynamic.soname().is_none() && dynamic.needed().is_empty()
        }
        _ => false,
    };
    let is_converted = elf.note(manifest::NOTE_NAME, manifest::NOTE_TYPE).is_some();
    Some(is_program && elf.interpreter().ok()?.is_none() && !is_converted)
}

#[cfg(test)]
mod tests {
    use super::super::figures::Growth;
    use super::*;

    fn program(names: &[&str], original: u64, converted: u64) -> Program {
        Program {
            names: names.iter().map(|name| name.to_string()).collect(),
            growth: Growth::new(original, converted),
            original_allocated: 0,
            converted_allocated: 0,
            libraries: 1,
            cached: false,
        }
    }

    fn found(path: &str, size: u64) -> Static {
        Static { path: path.into(), size }
    }

    #[test]
    fn the_papers_table_2() {
        let programs = [
            program(&["/bin/bash"], 100, 3000),
            program(&["/bin/busybox", "/bin/vi"], 200, 1000),
            program(&["/sbin/e2fsck"], 50, 500),
            program(&["/bin/ls"], 10, 1000),
        ];
        let statics = [
            found("/d/bash-static", 900),
            found("/d/e2fsck.static", 550),
            found("/d/z/vi", 400),
            found("/d/sash", 1),
        ];
        let table = table(&programs, &statics);
        let names: Vec<_> = table.programs.iter().map(|pair| &*pair.name).collect();
        assert_eq!(names, ["/bin/bash", "/bin/busybox", "/sbin/e2fsck"]);
        assert_eq!(table.programs[1].static_path, "/d/z/vi");
        let total = table.total;
        assert_eq!((total.dynamic, total.linked, total.converted), (350, 1850, 4500));
        assert_eq!(total.converted_over_static, 4500.0 / 1850.0);
        assert_eq!((table.average.dynamic, table.average.linked), (116, 616));
        assert_eq!(table.average.static_times, total.static_times);
        assert_eq!(table.largest.unwrap().name, "/bin/bash");
        assert_eq!(table.smallest.unwrap().name, "/bin/busybox");
    }

    #[test]
    fn the_plain_name_goes_first() {
        let programs = [program(&["/bin/a"], 1, 2)];
        let statics = [found("/1/a-static", 1), found("/3/a", 3), found("/2/a", 2)];
        assert_eq!(table(&programs, &statics).programs[0].static_path, "/2/a");
        let none = table(&programs, &[]);
        assert_eq!((none.programs.len(), none.total.dynamic, none.largest), (0, 0, None));
    }

    #[test]
    fn only_static_programs_count() {
        let libc = find(&[PathBuf::from("/lib64")]).unwrap();
        assert!(!libc.iter().any(|found| found.path.ends_with("libc.so.6")), "{libc:?}");
        assert_eq!(size_if_static(Path::new("/bin/sh")), None);
        assert!(find(&[PathBuf::from("/nonexistent")]).is_err());
    }
}
