//! chunkstore: images cut, kept and served, with what goes wrong in between.

mod client;
mod fleet;
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

use statify_tests::case::Cases;

pub fn add(cases: &mut Cases) {
    images::add(cases);
    stores::add(cases);
    nbd::add(cases);
    object_store::add(cases);
    signatures::add(cases);
    repack::add(cases);
    fleet::add(cases);
}
