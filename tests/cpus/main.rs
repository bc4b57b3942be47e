//! Other CPUs than this machine's, as QEMU's user mode emulates them: every fixture and real programs,
//! original beside converted; what is chosen for a CPU, and what a start costs.

mod choices;
mod emulated;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use libtest_mimic::Arguments;
use statify_tests::convert::Statify;
use statify_tests::report::{Done, Suite};
use statify_tests::scratch::Scratch;
use statify_tests::suite;
use statify_tests::toolchain::Toolchain;

/// Real programs: large and small, of C and of C++, with many libraries and with few.
const PROGRAMS: &[&str] = &[
    "awk", "bash", "bzip2", "c++", "cat", "cmp", "curl", "date", "diff", "expr", "find", "gawk",
    "gcc", "gdb", "git", "grep", "gzip", "ld", "ls", "lz4", "make", "node", "objdump", "openssl",
    "patch", "perl", "python3", "readelf", "sed", "sort", "sqlite3", "ssh", "tar", "xz", "zsh",
    "zstd",
];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
    let scratch = Arc::new(Scratch::new()?);
    let statify = Statify::for_run(arguments.list, scratch.path())?;
    let mut suite = Suite::default();
    let mut add = |name: String, test: fn(&Statify, &Path, &Subject) -> Result<Done>, subject| {
        let (scratch, statify) = (scratch.clone(), statify.clone());
        suite.add(name.clone(), move || {
            let statify = statify.ok_or_else(|| anyhow!("only listing"))?;
            if let Some(reason) = emulated::missing() {
                return Done::not_here(reason);
            }
            let dir = scratch.dir(&name)?;
            let done = test(&statify, &dir, &subject);
            std::fs::remove_dir_all(dir)?;
            done
        });
    };
    // Those that cannot be read fail among the fixtures themselves. musl chooses nothing.
    for variant in suite::variants(&sources)?.into_iter().flatten() {
        if variant.fixture.refuses.is_none() && variant.toolchain == Toolchain::Machine {
            let name = format!("cpu/fixture/{}", variant.name);
            add(name, emulated::fixture, Subject::Fixture(Box::new(variant)));
        }
    }
    for program in PROGRAMS {
        let name = format!("cpu/program/{program}");
        add(name, emulated::program, Subject::Program(program));
    }
    add("cpu/cpuid-at-most-twice".into(), choices::cpuid_at_most_twice, Subject::None);
    add("cpu/no-hwcaps-directories".into(), choices::no_hwcaps_directories, Subject::None);
    add("cpu/native-says-so-elsewhere".into(), choices::native_says_so_elsewhere, Subject::None);
    add("cpu/under-its-floor".into(), choices::under_its_floor, Subject::None);
    Ok(suite.run(&arguments))
}

/// What a test is about.
enum Subject {
    Fixture(Box<suite::Variant>),
    Program(&'static str),
    None,
}
