//! All tests that run programs: one driver, a module for each suite, two tiers. `cargo test` runs the quick tier,
//! `cargo slow` the slow one. A test's name is `SUITE/NAME`; what is behind `--` selects by parts of names.

mod arm64;
mod bad_input;
mod chunkstore;
mod cpus;
mod elfscan;
mod fixtures;
mod old_kernels;
mod pagescan;
mod plugins;
mod pool;
mod privileges;
mod properties;
mod real_work;
mod rootfs;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use nix::sys::signal::{SigHandler, Signal, signal};
use statify_tests::case::Cases;

fn main() -> Result<ExitCode> {
    for sent in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        // What nohup(1) or a shell's `&` has this process ignore, the programs that tests send it to would ignore, too.
        // SAFETY: no handler of this process is replaced: it has none yet.
        unsafe { signal(sent, SigHandler::SigDfl)? };
    }
    let arguments = Arguments::from_args();
    let mut cases = Cases::new(&arguments)?;
    macro_rules! suite {
        ($name:ident) => {
            let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/", stringify!($name), "/programs");
            cases.begin(stringify!($name), Path::new(programs));
            $name::add(&mut cases);
        };
    }
    cases.begin("fixtures", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")));
    fixtures::add(&mut cases)?;
    suite!(properties);
    cases.begin("plugins", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/programs")));
    plugins::add(&mut cases)?;
    suite!(bad_input);
    suite!(elfscan);
    suite!(rootfs);
    suite!(chunkstore);
    suite!(pagescan);
    suite!(privileges);
    cases.begin("pool", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pool/programs")));
    pool::add(&mut cases)?;
    cases.begin("real_work", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/real_work/jobs")));
    real_work::add(&mut cases)?;
    cases.begin("cpus", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")));
    cpus::add(&mut cases)?;
    cases.begin("arm64", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")));
    arm64::add(&mut cases);
    cases.begin("old_kernels", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")));
    old_kernels::add(&mut cases)?;
    Ok(cases.run(&arguments))
}
