//! The agent's index, as bytes (the format is in `statify_params::agent`).

use std::collections::{BTreeMap, BTreeSet};

use statify_params::agent::{Directory, File, NAME_IN_SYSTEM, NAME_PATH, Name};
use zerocopy::IntoBytes;

/// What the index is made of.
#[derive(Debug, Default)]
pub struct Index {
    files: Vec<File>,
    names: Vec<(u32, u32, Vec<u8>)>,
    directories: BTreeMap<Vec<u8>, bool>,
}

impl Index {
    /// Directories in which libraries are looked for by name.
    pub fn new(system: &BTreeSet<Vec<u8>>) -> Self {
        let directories = system.iter().map(|path| (path.clone(), true)).collect();
        Self { directories, ..Self::default() }
    }

    /// Adds a file with its paths and the names by which it is looked for. Its parts are set when
    /// the index has its place.
    pub fn add(&mut self, file: File, paths: &BTreeSet<Vec<u8>>, short: &BTreeSet<Vec<u8>>) {
        let number = self.files.len() as u32;
        self.files.push(file);
        for path in paths {
            self.names.push((number, NAME_PATH, path.clone()));
            if let Some(slash) = path.iter().rposition(|&byte| byte == b'/').filter(|&at| at > 0) {
                self.directories.entry(path[..slash].to_vec()).or_insert(false);
            }
        }
        self.names.extend(short.iter().map(|name| (number, NAME_IN_SYSTEM, name.clone())));
    }

    /// The files, for their parts to be set.
    pub fn files(&mut self) -> &mut [File] {
        &mut self.files
    }

    /// Numbers of files, names and directories.
    pub fn counts(&self) -> [u32; 3] {
        [self.files.len() as u32, self.names.len() as u32, self.directories.len() as u32]
    }

    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let records = size_of::<File>() * self.files.len()
            + size_of::<Name>() * self.names.len()
            + size_of::<Directory>() * self.directories.len();
        let mut texts: Vec<u8> = Vec::new();
        let mut text = |bytes: &[u8]| {
            let at = (records + texts.len()) as u32;
            texts.extend(bytes);
            (at, bytes.len() as u32)
        };
        let mut bytes = Vec::with_capacity(records);
        bytes.extend(self.files.as_bytes());
        for (file, kind, name) in &self.names {
            let (text, len) = text(name);
            bytes.extend(Name { file: *file, kind: *kind, text, len }.as_bytes());
        }
        for (path, &is_system) in &self.directories {
            let (text, len) = text(path);
            bytes.extend(
                Directory { is_system: is_system.into(), text, len, reserved: 0 }.as_bytes(),
            );
        }
        bytes.extend(texts);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statify_params::agent::{FILE_PLUGIN, Part};

    #[test]
    fn records_lie_where_the_agent_looks_for_them() {
        let set = |names: &[&str]| -> BTreeSet<Vec<u8>> {
            names.iter().map(|name| name.as_bytes().to_vec()).collect()
        };
        let mut index = Index::new(&set(&["/lib"]));
        let part = Part { at: 0x1_0000_0002, offset: 3, len: 4 };
        let file = File { kind: FILE_PLUGIN, number: 9, size: 5, output: 6, parts: [part; 2] };
        index.add(file, &set(&["/opt/a.so"]), &set(&["a.so"]));
        assert_eq!(index.counts(), [1, 2, 2]);
        let bytes = index.bytes();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!([word(0), word(4), word(8)], [FILE_PLUGIN, 9, 5]);
        assert_eq!([word(16), word(24), word(28)], [6, 2, 1]);
        let names = size_of::<File>();
        let text = |at: usize| &bytes[word(at) as usize..][..word(at + 4) as usize];
        assert_eq!((word(names + 4), text(names + 8)), (NAME_PATH, &b"/opt/a.so"[..]));
        assert_eq!((word(names + 20), text(names + 24)), (NAME_IN_SYSTEM, &b"a.so"[..]));
        let directories = names + 2 * size_of::<Name>();
        assert_eq!((word(directories), text(directories + 4)), (1, &b"/lib"[..]));
        assert_eq!((word(directories + 16), text(directories + 20)), (0, &b"/opt"[..]));
        assert_eq!(text(directories + 20).as_ptr_range().end, bytes.as_ptr_range().end);
    }
}
