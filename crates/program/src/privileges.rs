//! What a file lets its program do that whoever runs it may not: set-user-ID, set-group-ID
//! (chmod(2)) and file capabilities (capabilities(7)).

use std::fmt;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::access_list::{self, ACCESS};

/// The attribute that holds a file's capabilities.
const CAPABILITY: &str = "security.capability";
const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;

/// A file's privileges, and to whom it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// The owner's user id.
    pub owner: u32,
    /// The group's id.
    pub group: u32,
    /// The twelve bits of chmod(2).
    pub mode: u32,
    /// Capabilities, as the kernel keeps them (linux/capability.h, `struct vfs_ns_cap_data`).
    pub capabilities: Option<Vec<u8>>,
    /// The access control list, as the kernel keeps it; the bits for the group are its mask.
    pub access_list: Option<Vec<u8>>,
}

impl Privileges {
    /// Those of a file; `None` if it has none.
    pub fn of(file: &File, metadata: &Metadata) -> io::Result<Option<Self>> {
        let privileges = Self::read(file, metadata)?;
        let has_any = privileges.mode & (SET_USER_ID | SET_GROUP_ID) != 0
            || privileges.capabilities.is_some();
        Ok(has_any.then_some(privileges))
    }

    fn read(file: &File, metadata: &Metadata) -> io::Result<Self> {
        let mut bytes = [0; 64];
        let capabilities = match rustix::fs::fgetxattr(file, CAPABILITY, &mut bytes) {
            Ok(len) => Some(bytes[..len].to_vec()),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => None,
            Err(errno) => return Err(errno.into()),
        };
        let mode = metadata.permissions().mode() & 0o7777;
        let access_list =
            access_list::attribute(|bytes| rustix::fs::fgetxattr(file, ACCESS, bytes))?;
        Ok(Self { owner: metadata.uid(), group: metadata.gid(), mode, capabilities, access_list })
    }

    /// Makes them a complete file's, the bits last: before, it belongs to whom it should, and
    /// nobody else could open it yet. `file` need not be open for writing. Fails if the file does
    /// not have them afterwards, whatever the kernel said.
    pub fn give_to(&self, file: &File) -> io::Result<()> {
        // chown(2) takes bits and capabilities away.
        std::os::unix::fs::fchown(file, Some(self.owner), Some(self.group))?;
        match &self.access_list {
            Some(list) => rustix::fs::fsetxattr(file, ACCESS, list, XattrFlags::empty())?,
            // The directory's defaults may have given it one.
            None => match rustix::fs::fremovexattr(file, ACCESS) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno.into()),
            },
        }
        if let Some(capabilities) = &self.capabilities {
            rustix::fs::fsetxattr(file, CAPABILITY, capabilities, XattrFlags::empty())?;
        }
        file.set_permissions(Permissions::from_mode(self.mode))?;
        file.sync_all()?;
        if Self::read(file, &file.metadata()?)? == *self {
            Ok(())
        } else {
            Err(io::Error::other("the kernel dropped some of them"))
        }
    }
}

/// As the end of a sentence that begins with "it".
impl fmt::Display for Privileges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.mode & SET_USER_ID != 0;
        let group = self.mode & SET_GROUP_ID != 0;
        out.write_str(match (user, group, self.capabilities.is_some()) {
            (true, true, _) => "is set-user-ID and set-group-ID",
            (true, false, _) => "is set-user-ID",
            (false, true, _) => "is set-group-ID",
            (false, false, _) => "has file capabilities",
        })
    }
}
