//! The index: which files are embedded, and what they are called.

use crate::format::{
    AgentParams, Directory, File, NAME_IN_SYSTEM, NAME_PATH, Name, POLICY_DENY, POLICY_OWN_FILE,
    Part,
};
use crate::path::Path;

/// The index of this process.
pub struct Index {
    base: *const u8,
    policy: u64,
    files: &'static [File],
    names: &'static [Name],
    directories: &'static [Directory],
}

impl Index {
    /// Finds it.
    ///
    /// # Safety
    ///
    /// `params` is the block in front of the image, and says where the index is.
    pub unsafe fn find(params: *const AgentParams) -> Self {
        // SAFETY: the caller's promise; the records lie behind one another, and stay mapped.
        unsafe {
            let p = &*params;
            let base = params.cast::<u8>().wrapping_add(p.index as usize);
            let files = core::slice::from_raw_parts(base.cast::<File>(), p.files as usize);
            let names = files.as_ptr_range().end.cast::<Name>();
            let names = core::slice::from_raw_parts(names, p.names as usize);
            let directories = names.as_ptr_range().end.cast::<Directory>();
            let directories = core::slice::from_raw_parts(directories, p.directories as usize);
            Self { base, policy: p.policy, files, names, directories }
        }
    }

    /// No library is taken from the host.
    pub fn denies(&self) -> bool {
        self.policy & POLICY_DENY != 0
    }

    /// Plugins can be mapped from the output.
    pub fn has_own_file(&self) -> bool {
        self.policy & POLICY_OWN_FILE != 0
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &'static File> {
        self.files.iter()
    }

    /// The file that has this name.
    pub fn named(&self, path: Path<'_>) -> Option<&'static File> {
        let (directory, last) = path.split();
        let by_path = |name: &&Name| {
            let text = self.text(name.text, name.len);
            name.kind == NAME_PATH && text.ends_with(last) && path.is(text)
        };
        let name = self.names.iter().find(by_path).or_else(|| {
            let is_system =
                |d: &&Directory| d.is_system == 1 && directory.is(self.text(d.text, d.len));
            self.directories.iter().find(is_system)?;
            self.by_last_component(last)
        })?;
        self.files.get(name.file as usize)
    }

    /// Whether a file is called so, wherever.
    pub fn has_component(&self, path: Path<'_>) -> bool {
        self.by_last_component(path.split().1).is_some()
    }

    fn by_last_component(&self, last: &[u8]) -> Option<&'static Name> {
        self.names
            .iter()
            .find(|name| name.kind == NAME_IN_SYSTEM && self.text(name.text, name.len) == last)
    }

    /// Whether an embedded file would be in this directory, or be looked for there.
    pub fn has_directory(&self, path: Path<'_>) -> bool {
        self.directories.iter().any(|d| path.is(self.text(d.text, d.len)))
    }

    /// The bytes of a part.
    pub fn bytes(&self, part: &Part) -> &'static [u8] {
        // SAFETY: the index describes memory that is mapped for reading as long as the process lives.
        unsafe {
            core::slice::from_raw_parts(self.base.wrapping_add(part.at as usize), part.len as usize)
        }
    }

    fn text(&self, offset: u32, len: u32) -> &'static [u8] {
        self.bytes(&Part { at: u64::from(offset), offset: 0, len: u64::from(len) })
    }
}
