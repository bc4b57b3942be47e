//! Headers of a tar archive's members, and the PAX records that extend them.

use statify_files::metadata;
use tar::{EntryType, Header};

use super::pax::Records;

/// All of an archive is in blocks of so many bytes.
pub const BLOCK: usize = 512;
/// Of a name in a header.
pub const NAME: usize = 100;

/// Whether a record speaks of the contents.
pub(crate) fn is_of_contents(key: &[u8]) -> bool {
    let attribute =
        [&b"SCHILY.xattr."[..], b"LIBARCHIVE.xattr."].iter().find_map(|p| key.strip_prefix(*p));
    key == b"size"
        || key.starts_with(b"GNU.sparse.")
        || attribute.is_some_and(|name| metadata::OF_CONTENTS.contains(&name))
}

/// An extension of PAX records without those that speak of the contents.
pub(crate) fn without_contents(part: &[u8]) -> Vec<u8> {
    let mut header = Header::from_byte_slice(&part[..BLOCK]).clone();
    let size = header.entry_size().unwrap_or(0) as usize;
    let records = part.get(BLOCK..BLOCK + size).and_then(Records::parse).unwrap_or_default();
    let name = records.get("GNU.sparse.name");
    let mut kept = records.filter(|key| !is_of_contents(key) && (name.is_none() || key != b"path"));
    if let Some(name) = name {
        kept.push("path", name);
    }
    if kept == records {
        return part.to_vec();
    }
    if kept.is_empty() {
        return Vec::new();
    }
    let bytes = kept.to_bytes();
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    let mut all = header.as_bytes().to_vec();
    all.extend(&bytes);
    all.resize(all.len().next_multiple_of(BLOCK), 0);
    all
}

/// All in front of the contents of a new member of root's, of a fixed time.
pub fn of_root(kind: EntryType, mode: u32, size: u64, name: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    named(header, name)
}

/// A new member's header with this name, and what extends it.
fn named(mut header: Header, name: &[u8]) -> Vec<u8> {
    let mut records = Records::default();
    set_name(&mut header.as_mut_bytes()[..NAME], "path", name, &mut records);
    header.set_cksum();
    let mut all = extension(&records, name);
    all.extend(header.as_bytes());
    all
}

/// A header's extension of these records, if there are any.
pub fn extension(records: &Records, name: &[u8]) -> Vec<u8> {
    if records.is_empty() {
        return Vec::new();
    }
    let bytes = records.to_bytes();
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[156] = b'x';
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    let last = name.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty()).unwrap_or_default();
    let mut own = b"PaxHeaders/".to_vec();
    own.extend(last);
    own.truncate(NAME - 1);
    header.as_mut_bytes()[..own.len()].copy_from_slice(&own);
    header.set_cksum();
    let mut all = header.as_bytes().to_vec();
    all.extend(&bytes);
    all.resize(all.len().next_multiple_of(BLOCK), 0);
    all
}

/// Puts a name into its field, or into a record if it is too long.
pub(crate) fn set_name(field: &mut [u8], key: &str, name: &[u8], records: &mut Records) {
    field.fill(0);
    let len = name.len().min(field.len());
    field[..len].copy_from_slice(&name[..len]);
    if len < name.len() {
        records.push(key, name);
    }
}
