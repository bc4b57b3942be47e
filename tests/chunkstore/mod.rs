//! chunkstore: images cut, kept and served, with what goes wrong in between.

mod client;
mod clients;
mod faults;
mod faulty_store;
mod fuse;
mod images;
mod metrics;
mod nbd;
mod server;
mod stores;
mod tls;
mod tool;

use statify_tests::case::Cases;

pub fn add(cases: &mut Cases) {
    images::add(cases);
    stores::add(cases);
    nbd::add(cases);
    clients::add(cases);
    faults::add(cases);
    fuse::add(cases);
    tls::add(cases);
    metrics::add(cases);
}
