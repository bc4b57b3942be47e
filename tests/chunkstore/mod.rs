//! chunkstore: images cut, kept and served, with what goes wrong in between.

mod client;
mod clients;
mod content;
mod diff;
mod exchange;
mod faults;
mod faulty_store;
mod fleet;
mod forged;
mod fuse;
mod images;
mod metrics;
mod nbd;
mod object_store;
mod proxy;
mod remote;
mod repack;
mod server;
mod signatures;
mod stores;
mod tls;
mod tool;
mod trees;

use statify_tests::case::Cases;

pub fn add(cases: &mut Cases) {
    images::add(cases);
    content::add(cases);
    trees::add(cases);
    exchange::add(cases);
    diff::add(cases);
    stores::add(cases);
    nbd::add(cases);
    object_store::add(cases);
    signatures::add(cases);
    repack::add(cases);
    fleet::add(cases);
    clients::add(cases);
    faults::add(cases);
    fuse::add(cases);
    tls::add(cases);
    metrics::add(cases);
}
