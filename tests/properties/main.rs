//! What is to be better in a converted program than in its original, what every output has in common, and what the command says.

mod addresses;
mod command;
mod guards;
mod kernel;
mod limits;
mod loader_variables;
mod musl;
mod origin;
mod own_file;
mod protection;
mod reproducible;
mod root;
mod shape;
mod surroundings;
mod tunables;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use statify_tests::case::Cases;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut cases =
        Cases::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/properties/programs")))?;
    addresses::add(&mut cases);
    command::add(&mut cases);
    guards::add(&mut cases);
    kernel::add(&mut cases);
    limits::add(&mut cases);
    loader_variables::add(&mut cases);
    musl::add(&mut cases);
    origin::add(&mut cases);
    own_file::add(&mut cases);
    protection::add(&mut cases);
    reproducible::add(&mut cases);
    root::add(&mut cases);
    shape::add(&mut cases);
    surroundings::add(&mut cases);
    tunables::add(&mut cases);
    Ok(cases.run(&arguments))
}
