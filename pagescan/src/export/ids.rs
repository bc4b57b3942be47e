//! Numbers by which snapshots and machines are told apart in tables of many: signed 64 bits, as all engines have them. They are
//! hashes, so that nobody need hand them out.

use xxhash_rust::xxh3::xxh3_64;

use crate::snapshot::Header;

/// That of a machine, from one start of it to the next.
pub fn machine(header: &Header) -> i64 {
    let name = [header.host.as_bytes(), header.boot.as_bytes()].join(&0);
    xxh3_64(&name) as i64
}

/// That of a snapshot.
pub fn snapshot(header: &Header) -> i64 {
    let taken = header.taken.to_string();
    let name = [header.host.as_bytes(), header.boot.as_bytes(), taken.as_bytes()].join(&0);
    xxh3_64(&name) as i64
}
