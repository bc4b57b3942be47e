//! What is to be better in a converted program than in its original, what every output has in common, and what the command says.

mod addresses;
mod command;
mod guards;
mod images;
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
mod sharing;
mod surroundings;
mod tunables;

use statify_tests::case::Cases;

/// Adds them.
pub fn add(cases: &mut Cases) {
    addresses::add(cases);
    command::add(cases);
    guards::add(cases);
    images::add(cases);
    kernel::add(cases);
    limits::add(cases);
    loader_variables::add(cases);
    musl::add(cases);
    origin::add(cases);
    own_file::add(cases);
    protection::add(cases);
    reproducible::add(cases);
    root::add(cases);
    shape::add(cases);
    sharing::add(cases);
    surroundings::add(cases);
    tunables::add(cases);
}
