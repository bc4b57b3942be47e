//! What of each file is in memory, and how often it is mapped.

use std::collections::HashMap;

use super::domain::label_of;
use crate::snapshot::File;

/// A file of a machine.
#[derive(Clone, Debug, Default)]
pub struct FileUse {
    /// Of which machine.
    pub machine: u32,
    /// Its path, ready to be printed.
    pub path: String,
    /// The file system's device.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// How many processes map it.
    pub processes: u64,
    /// Pages of address space that are mapped of it, in memory or not.
    pub address_pages: u64,
    /// Pages of address spaces that are in frames of its own.
    pub pages: u64,
    /// Frames of its own.
    pub frames: u64,
    /// Pages of address spaces that were its own before they were written to.
    pub copies: u64,
    /// A process that executes another file maps it to be executed.
    pub is_library: bool,
    /// The last process that mapped it.
    last_process: Option<usize>,
}

/// All files.
#[derive(Default)]
pub struct Files {
    numbers: HashMap<(u32, u64, u64), u32>,
    files: Vec<FileUse>,
    /// Whether a frame was counted, a bit each.
    counted: Vec<u64>,
}

impl Files {
    /// The number of a file.
    pub fn number(&mut self, machine: u32, file: &File) -> u32 {
        let next = self.files.len() as u32;
        let number = self.numbers.entry((machine, file.device, file.inode)).or_insert(next);
        if *number == next {
            self.files.push(FileUse {
                machine,
                path: label_of(file),
                device: file.device,
                inode: file.inode,
                ..FileUse::default()
            });
        }
        *number
    }

    /// Says that a process, by its number among all, maps so many pages of a file.
    pub fn map(&mut self, file: u32, process: usize, pages: u64, as_library: bool) {
        let file = &mut self.files[file as usize];
        if file.last_process.replace(process) != Some(process) {
            file.processes += 1;
        }
        file.address_pages = file.address_pages.saturating_add(pages);
        file.is_library |= as_library;
    }

    /// Says that a frame holds a page of a file.
    pub fn own(&mut self, file: u32, frame: u32, is_mapped: bool) {
        let (word, bit) = (frame as usize / 64, 1 << (frame % 64));
        if self.counted.len() <= word {
            self.counted.resize(word + 1, 0);
        }
        let file = &mut self.files[file as usize];
        file.pages += u64::from(is_mapped);
        file.frames += u64::from(self.counted[word] & bit == 0);
        self.counted[word] |= bit;
    }

    /// Says that a process has a page of its own where it mapped a file.
    pub fn copy(&mut self, file: u32) {
        self.files[file as usize].copies += 1;
    }

    /// All of them.
    pub fn finish(self) -> Vec<FileUse> {
        self.files
    }
}
