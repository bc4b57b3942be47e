//! `elfscan scan`.

mod agreement;
mod bad_files;
mod fixtures;
mod places;
mod words;

pub use fixtures::says;

use statify_tests::case::Cases;

pub fn add(cases: &mut Cases) {
    agreement::add(cases);
    bad_files::add(cases);
    fixtures::add(cases);
    places::add(cases);
    words::add(cases);
}
