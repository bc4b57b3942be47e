//! Other CPUs than this machine's, as QEMU's user mode emulates them: every fixture and real programs,
//! original beside converted; what is chosen for a CPU, and what a start costs.

mod choices;
mod emulated;

use std::path::Path;

use anyhow::Result;
use statify_tests::case::Cases;
use statify_tests::convert::Statify;
use statify_tests::report::Done;
use statify_tests::suite;
use statify_tests::toolchain::Toolchain;

/// Real programs: large and small, of C and of C++, with many libraries and with few.
const PROGRAMS: &[&str] = &[
    "awk", "bash", "bzip2", "c++", "cat", "cmp", "curl", "date", "diff", "expr", "find", "gawk",
    "gcc", "gdb", "git", "grep", "gzip", "ld", "ls", "lz4", "make", "node", "objdump", "openssl",
    "patch", "perl", "python3", "readelf", "sed", "sort", "sqlite3", "ssh", "tar", "xz", "zsh",
    "zstd",
];

/// Adds them.
pub fn add(cases: &mut Cases) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
    let mut add = |name: &str, test: fn(&Statify, &Path, &Subject) -> Result<Done>, subject| {
        cases.add(name, move |case| match emulated::missing(&subject) {
            Some(reason) => Done::not_here(reason),
            None => test(&case.statify, &case.dir, &subject),
        });
    };
    // Those that cannot be read fail among the fixtures themselves. musl chooses nothing.
    for variant in suite::variants(&sources)?.into_iter().flatten() {
        if variant.fixture.refuses.is_none() && variant.toolchain != Toolchain::Musl {
            let name = format!("fixture/{}", variant.name);
            add(&name, emulated::fixture, Subject::Fixture(Box::new(variant)));
        }
    }
    for program in PROGRAMS {
        add(&format!("program/{program}"), emulated::program, Subject::Program(program));
    }
    add("cpuid-at-most-twice", choices::cpuid_at_most_twice, Subject::None);
    add("no-hwcaps-directories", choices::no_hwcaps_directories, Subject::None);
    add("native-says-so-elsewhere", choices::native_says_so_elsewhere, Subject::None);
    add("under-its-floor", choices::under_its_floor, Subject::None);
    Ok(())
}

/// What a test is about.
enum Subject {
    Fixture(Box<suite::Variant>),
    Program(&'static str),
    None,
}
