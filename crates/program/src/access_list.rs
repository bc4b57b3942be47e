//! Who may write to a file besides what its owner and mode say: POSIX access control lists (acl(5)), as
//! the kernel keeps them in an attribute (linux/posix_acl_xattr.h).

use std::io;
use std::path::Path;

use rustix::io::Errno;

/// The attribute that holds a file's list. That of a directory for what is made in it gives nobody
/// leave to change what is there.
pub const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";
/// No attribute's value is longer, nor the names of all (XATTR_SIZE_MAX, XATTR_LIST_MAX;
/// linux/limits.h).
const LARGEST: usize = 65536;
const VERSION: u32 = 2;
/// ACL_WRITE.
const WRITE: u16 = 2;

/// Somebody who may write to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A user, by number.
    User(u32),
    /// The file's own group.
    OwningGroup,
    /// Another group, by number.
    Group(u32),
    /// Everybody else.
    Other,
}

/// A file's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessList {
    /// None: its mode says all.
    None,
    /// Who may write by it, the owner aside.
    Writers(Vec<Writer>),
    /// A list of another kind (NFSv4, SMB), which is not read here: its attribute's name.
    Unknown(String),
}

/// The list of what is at `path`, a link of /proc's to a descriptor, so that it may be open with
/// O_PATH.
pub fn of(path: &Path) -> io::Result<AccessList> {
    if let Some(name) = unknown(path)? {
        return Ok(AccessList::Unknown(name));
    }
    match attribute(|bytes| rustix::fs::getxattr(path, ACCESS, bytes))? {
        None => Ok(AccessList::None),
        Some(bytes) => match writers(&bytes) {
            Some(writers) => Ok(AccessList::Writers(writers)),
            None => Ok(AccessList::Unknown(ACCESS.into())),
        },
    }
}

/// The value of a list, of what `read` reads into memory; `None` if there is none.
pub fn attribute(
    read: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; LARGEST];
    match read(&mut bytes) {
        Ok(len) => {
            bytes.truncate(len);
            Ok(Some(bytes))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The name of a list of another kind than POSIX's: `system.nfs4_acl`, `system.richacl`,
/// `system.cifs_acl` and the like.
fn unknown(path: &Path) -> io::Result<Option<String>> {
    let mut names = vec![0u8; LARGEST];
    let len = match rustix::fs::listxattr(path, &mut names[..]) {
        Ok(len) => len,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let mut names = names[..len].split(|&byte| byte == 0);
    let is_list = |name: &&[u8]| {
        name.starts_with(b"system.")
            && name.windows(3).any(|part| part == b"acl")
            && *name != ACCESS.as_bytes()
            && *name != DEFAULT
    };
    Ok(names.find(is_list).map(|name| String::from_utf8_lossy(name).into_owned()))
}

/// Who may write by a list, the owner aside; `None` if it is none.
fn writers(bytes: &[u8]) -> Option<Vec<Writer>> {
    let (version, entries) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
        return None;
    }
    let mut mask = WRITE;
    let mut found = Vec::new();
    for entry in entries.chunks_exact(8) {
        let short = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let id = u32::from_le_bytes(*entry.last_chunk()?);
        let who = match short(0) {
            // ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER.
            0x01 => continue,
            0x02 => Writer::User(id),
            0x04 => Writer::OwningGroup,
            0x08 => Writer::Group(id),
            0x10 => {
                mask = short(2) & WRITE;
                continue;
            }
            0x20 => Writer::Other,
            _ => return None,
        };
        if short(2) & WRITE != 0 {
            found.push(who);
        }
    }
    // The mask holds for all but the owner and everybody else.
    found.retain(|who| mask != 0 || *who == Writer::Other);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(rights.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn the_mask_counts() {
        let with = |mask| {
            list(&[(1, 7, 0), (2, 6, 7), (4, 4, 0), (8, 7, 9), (0x10, mask, 0), (0x20, 0, 0)])
        };
        let both = vec![Writer::User(7), Writer::Group(9)];
        assert_eq!(writers(&with(6)), Some(both));
        assert_eq!(writers(&with(5)), Some(vec![]));
        let other = list(&[(1, 7, 0), (4, 6, 0), (0x10, 0, 0), (0x20, 2, 0)]);
        assert_eq!(writers(&other), Some(vec![Writer::Other]));
        assert_eq!(writers(&list(&[(4, 6, 0)])), Some(vec![Writer::OwningGroup]));
    }

    #[test]
    fn what_is_no_list() {
        for bytes in [&b""[..], &[1, 0, 0, 0], &[2, 0, 0, 0, 1], &list(&[(0x40, 7, 0)])] {
            assert_eq!(writers(bytes), None);
        }
    }
}
