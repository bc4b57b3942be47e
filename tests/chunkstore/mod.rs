//! chunkstore: images cut, kept and served, with what goes wrong in between.

mod client;
mod content;
mod diff;
mod exchange;
mod fleet;
mod forged;
mod images;
mod nbd;
mod object_store;
mod proxy;
mod remote;
mod repack;
mod server;
mod signatures;
mod stores;
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
}
