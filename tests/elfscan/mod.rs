//! What elfscan says of files and processes, held against readelf, ld.so, gdb and the files themselves.

mod audit;
mod check;
mod deps;
mod extract;
mod host;
mod machines;
mod pool;
mod reseal;
mod sbom;
mod scan;
mod show;
mod tool;

use statify_tests::case::Cases;

/// Adds them.
pub fn add(cases: &mut Cases) {
    audit::add(cases);
    check::add(cases);
    deps::add(cases);
    extract::add(cases);
    host::add(cases);
    pool::add(cases);
    machines::add(cases);
    sbom::add(cases);
    scan::add(cases);
    show::add(cases);
}
