//! Programs whose loading misbehaves: IFUNC resolvers, which ld.so calls before hand-off, and a loader that is none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::Limits;

use crate::bad_input::attempt::{Listing, finish, matches, refused, sentence, start, statify};

pub fn add(cases: &mut Cases) {
    cases.check("loader/spin", |case| ends_by_the_time_limit(case, &resolver(case, "SPIN")?));
    cases.check("loader/no-loader", |case| {
        ends_by_the_time_limit(case, &endless_loader(case, &[])?)
    });
    cases.check("loader/no-loader-from-the-start", |case| {
        refused_soon(case, &endless_loader(case, &["-DAT_ONCE"])?).map(drop)
    });
    cases.check("loader/fifo", |case| {
        nix::unistd::mkfifo(&case.dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU)?;
        matches(&refused_soon(case, &resolver(case, "FIFO")?)?, &["open or look for a file"])
    });
    let others: [(&str, &[&str]); 17] = [
        ("OPEN", &["open or look for a file"]),
        ("OPEN_AT", &["open or look for a file"]),
        ("OPEN_AT_2", &["system call|file"]),
        ("LOOK", &["open or look for a file"]),
        ("READ_LINK", &["open or look for a file"]),
        ("RING", &["system call|io_uring"]),
        ("SLEEP", &["pause|system call"]),
        ("STOP", &["stop|kill|system call"]),
        ("KILL", &["kill|system call"]),
        ("CRASH", &["SIGSEGV|segmentation"]),
        ("EXIT", &["exit|ended"]),
        ("FORK", &["fork|clone|system call"]),
        ("THREAD", &["clone|thread|system call"]),
        ("EXEC", &["exec|system call"]),
        ("SOCKET", &["socket|network|system call"]),
        ("CREATE", &["open|write|creat|system call"]),
        ("REMOVE", &["unlink|system call"]),
    ];
    for (how, patterns) in others {
        let name = format!("loader/{}", how.to_lowercase());
        cases.check(&name, move |case| {
            let program = resolver(case, how)?;
            let message = refused(case, &mut statify(case, &program, &["--timeout", "5"]))?;
            matches(&message, patterns)
        });
    }
}

/// A program with a resolver that does `how`.
pub fn resolver(case: &Case, how: &str) -> Result<PathBuf> {
    case.build("resolver", "program", &["-O1", &format!("-D{how}")])
}

/// A program whose interpreter only looks like a loader, and loops.
fn endless_loader(case: &Case, flags: &[&str]) -> Result<PathBuf> {
    let shape = [
        "-O1",
        "-shared",
        "-fPIC",
        "-nostdlib",
        "-Wl,-e,_start",
        "-Wl,-soname,ld-linux-x86-64.so.2",
    ];
    let loader = case.build("endless-loader", "loader", &[&shape, flags].concat())?;
    case.build("plain", "program", &[&format!("-Wl,--dynamic-linker={}", loader.display())])
}

fn ends_by_the_time_limit(case: &Case, program: &Path) -> Result<()> {
    matches(&refused_soon(case, program)?, &["--timeout"])
}

/// With a time limit of a second, statify must refuse `program` in little more.
fn refused_soon(case: &Case, program: &Path) -> Result<String> {
    let before = Listing::of(&case.dir)?;
    let mut command = statify(case, program, &["--timeout", "1"]);
    let outcome = finish(case, start(case, &mut command, Limits::seconds(20))?)?;
    Listing::of(&case.dir)?.must_equal(&before)?;
    ensure!(outcome.time < Duration::from_secs(4), "it took {:?}", outcome.time);
    sentence(&outcome)
}
