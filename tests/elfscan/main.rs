//! What elfscan says of files and processes, held against readelf, ld.so, gdb and the files themselves.

mod audit;
mod check;
mod deps;
mod extract;
mod host;
mod sbom;
mod scan;
mod show;
mod tool;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use statify_tests::case::Cases;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut cases =
        Cases::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/elfscan/programs")))?;
    audit::add(&mut cases);
    check::add(&mut cases);
    deps::add(&mut cases);
    extract::add(&mut cases);
    host::add(&mut cases);
    sbom::add(&mut cases);
    scan::add(&mut cases);
    show::add(&mut cases);
    Ok(cases.run(&arguments))
}
