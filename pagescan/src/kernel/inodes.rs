//! Which files the kernel has in memory, from its own data (include/linux/fs.h, include/linux/dcache.h): inodes, and names of
//! directory entries up to the root of their file system.

use std::collections::{HashMap, HashSet};

use super::kernel_memory::Gather;
use super::lack::Lack;
use super::names::{DEEPEST, Entry, Names, names};
use super::types::Types;

/// So many are read by a call.
const AT_ONCE: usize = 512;
/// Names are shorter (NAME_MAX).
const LONGEST_NAME: usize = 256;
const IS_BLOCK_DEVICE: u32 = 0o060000;
const KIND: u32 = 0o170000;

/// A file of which the kernel has pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inode {
    /// Its file system's device: major and minor number.
    pub device: (u32, u32),
    /// Its number.
    pub number: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Which device it stands for, if it is one.
    pub block_device: Option<(u32, u32)>,
    /// Names from the root of the file system, as far as the kernel has them.
    pub names: Names,
}

/// Reads them.
pub struct Inodes {
    layout: Layout,
    inodes: Gather,
    supers: Gather,
    entries: Gather,
    names: Gather,
}

struct Layout {
    inode_mapping: u64,
    host: usize,
    mode: usize,
    number: usize,
    super_block: usize,
    size: usize,
    device_of_inode: usize,
    first_entry: usize,
    device: u64,
    entry_alias: u64,
    entry_parent: usize,
    entry_name: usize,
    entry_name_len: usize,
    entry_inode: usize,
    entry_hashed: usize,
    entry_size: u64,
}

/// What an inode says of itself.
struct Found {
    address: u64,
    super_block: u64,
    entry: Option<u64>,
    inode: Inode,
}

impl Inodes {
    /// Gets ready.
    pub fn new(types: &Types) -> Result<Self, Lack> {
        let offset = |name, member| types.offset(name, member);
        let first = |name, members: [&'static str; 2]| {
            offset(name, members[0]).or_else(|lack| offset(name, members[1]).map_err(|_| lack))
        };
        let inode_mapping = offset("inode", "i_data")?;
        let name = first("dentry", ["d_name.name", "__d_name.name"])?;
        let name_len = first("dentry", ["d_name.len", "__d_name.len"])?;
        let layout = Layout {
            inode_mapping: inode_mapping as u64,
            host: inode_mapping + offset("address_space", "host")?,
            mode: offset("inode", "i_mode")?,
            number: offset("inode", "i_ino")?,
            super_block: offset("inode", "i_sb")?,
            size: offset("inode", "i_size")?,
            device_of_inode: offset("inode", "i_rdev")?,
            first_entry: offset("inode", "i_dentry.first")?,
            device: offset("super_block", "s_dev")? as u64,
            entry_alias: first("dentry", ["d_u.d_alias", "d_alias"])? as u64,
            entry_parent: offset("dentry", "d_parent")?,
            entry_name: name,
            entry_name_len: name_len,
            entry_inode: offset("dentry", "d_inode")?,
            entry_hashed: offset("dentry", "d_hash.pprev")?,
            entry_size: types.size("dentry")? as u64,
        };
        Ok(Self {
            inodes: Gather::new(types.size("inode")?, AT_ONCE)?,
            supers: Gather::new(4, AT_ONCE)?,
            entries: Gather::new(types.size("dentry")?, AT_ONCE)?,
            names: Gather::new(LONGEST_NAME, AT_ONCE)?,
            layout,
        })
    }

    /// Which files the struct address_space at these addresses are of; none where there is no inode's.
    pub fn of(&mut self, mappings: &[u64]) -> Vec<Option<Inode>> {
        let layout = &self.layout;
        let addresses: Vec<_> =
            mappings.iter().map(|mapping| mapping.wrapping_sub(layout.inode_mapping)).collect();
        let mut found: Vec<_> = addresses.iter().map(|_| None).collect();
        self.inodes.each(&addresses, |at, bytes| {
            found[at] = bytes.and_then(|bytes| layout.inode(addresses[at], bytes));
        });
        let devices = self.devices(&found);
        let entries = self.entries_of(&found);
        let name = |found: Found| {
            let device = *devices.get(&found.super_block)?;
            let names = found.entry.map(|first| names(&entries, first, found.address));
            Some(Inode { device, names: names.unwrap_or_default(), ..found.inode })
        };
        found.into_iter().map(|found| found.and_then(name)).collect()
    }

    /// The devices of file systems.
    fn devices(&mut self, found: &[Option<Found>]) -> HashMap<u64, (u32, u32)> {
        let supers: HashSet<_> = found.iter().flatten().map(|found| found.super_block).collect();
        let supers: Vec<_> = supers.into_iter().collect();
        let addresses: Vec<_> =
            supers.iter().map(|super_block| super_block.wrapping_add(self.layout.device)).collect();
        let mut devices = HashMap::new();
        self.supers.each(&addresses, |at, bytes| {
            if let Some(device) = bytes.and_then(|bytes| bytes.first_chunk()) {
                devices.insert(supers[at], device_of(u32::from_ne_bytes(*device)));
            }
        });
        devices
    }

    /// The directory entries of files, of the directories they are in, and so on, a level at a time.
    fn entries_of(&mut self, found: &[Option<Found>]) -> HashMap<u64, Entry> {
        let mut entries = HashMap::new();
        let mut next: HashSet<_> = found.iter().flatten().filter_map(|found| found.entry).collect();
        for _ in 0..DEEPEST {
            if next.is_empty() {
                break;
            }
            let addresses: Vec<_> = next.drain().collect();
            let mut elsewhere = Vec::new();
            let layout = &self.layout;
            self.entries.each(&addresses, |at, bytes| {
                let address = addresses[at];
                let Some((entry, name)) = bytes.and_then(|bytes| layout.entry(address, bytes))
                else {
                    return;
                };
                elsewhere.extend(name.map(|name| (address, name)));
                entries.insert(address, entry);
            });
            let at: Vec<_> = elsewhere.iter().map(|(_, name)| *name).collect();
            self.names.each(&at, |at, bytes| {
                let entry = entries.get_mut(&elsewhere[at].0);
                if let (Some(entry), Some(bytes)) = (entry, bytes) {
                    entry.name = until_zero(bytes);
                }
            });
            let parents = addresses.iter().filter_map(|address| Some(entries.get(address)?.parent));
            next = parents.filter(|parent| !entries.contains_key(parent)).collect();
        }
        entries
    }
}

impl Layout {
    /// What an inode says, if it is one: what it has in memory is known to be its.
    fn inode(&self, address: u64, bytes: &[u8]) -> Option<Found> {
        if word(bytes, self.host)? != address {
            return None;
        }
        let mode = half(bytes, self.mode)? & 0xffff;
        let device = half(bytes, self.device_of_inode)?;
        let first = word(bytes, self.first_entry)?;
        Some(Found {
            address,
            super_block: word(bytes, self.super_block)?,
            entry: (first != 0).then(|| first.wrapping_sub(self.entry_alias)),
            inode: Inode {
                number: word(bytes, self.number)?,
                size: word(bytes, self.size)?,
                block_device: (mode & KIND == IS_BLOCK_DEVICE).then(|| device_of(device)),
                ..Inode::default()
            },
        })
    }

    /// A directory entry, and where its name is if that is not in it.
    fn entry(&self, address: u64, bytes: &[u8]) -> Option<(Entry, Option<u64>)> {
        let name = word(bytes, self.entry_name)?;
        let len = half(bytes, self.entry_name_len)? as usize;
        let within = name.wrapping_sub(address);
        let is_within = within < self.entry_size;
        let inline = is_within.then(|| bytes.get(within as usize..)).flatten();
        let inline = inline.map(|rest| until_zero(&rest[..len.min(rest.len())]));
        let entry = Entry {
            parent: word(bytes, self.entry_parent)?,
            name: inline.unwrap_or_default(),
            inode: word(bytes, self.entry_inode)?,
            is_hashed: word(bytes, self.entry_hashed)? != 0,
        };
        Some((entry, (!is_within).then_some(name)))
    }
}

/// dev_t as the kernel has it (include/linux/kdev_t.h).
fn device_of(number: u32) -> (u32, u32) {
    (number >> 20, number & 0xfffff)
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn half(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn until_zero(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        assert_eq!(device_of(0x00fe_00000 | 5), (0xfe, 5));
    }
}
