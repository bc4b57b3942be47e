//! The embedded files as a bill of materials: CycloneDX 1.6 in JSON (ECMA-424). The same file and the
//! same package database give the same bytes.

#[cfg(test)]
mod any_bytes;
mod apk;
mod cyclonedx;
mod document;
mod dpkg;
mod needed;
mod os_release;
mod package;
mod packages;
mod purl;

pub use document::{Options, document};

/// Every parser of package databases, with bytes that may be anything. For tests and for fuzzing.
#[cfg(any(test, fuzzing))]
pub fn look(bytes: &[u8]) {
    let path = std::path::Path::new("/usr/lib/libc.so.6");
    let _ = dpkg::parse_status(bytes);
    let _ = dpkg::Diversions::parse(bytes);
    let _ = dpkg::md5_of(bytes, &dpkg::names_of(path));
    let _ = apk::parse(bytes, &std::collections::HashSet::from([b"usr/lib/libc.so.6".to_vec()]));
    let release = os_release::OsRelease::parse(bytes);
    for package in dpkg::parse_status(bytes) {
        let _ = purl::of(&package, &release);
    }
}
