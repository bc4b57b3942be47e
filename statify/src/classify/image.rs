//! The image: everything that an output holds, before it is laid out in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use statify_elf::ElfFile;
use statify_elf::c_library::CLibrary;
use statify_elf::machine::Machine;

use super::calls::Call;
use super::cpu::CpuChoices;
use super::memory::{Fixup, Module, PageBytes, Region, Slide};
use super::secure::SecureStart;
use super::tunables::Variables;
use crate::capture::{LOADER, Object, PROGRAM};
use crate::place::Place;

/// Everything that the output holds, before it is laid out in a file.
pub struct Image {
    /// The program's C library.
    pub c_library: CLibrary,
    /// Mapped files.
    pub objects: Vec<Object>,
    /// Where they and the loader's memory lie; ascending.
    pub modules: Vec<Module>,
    /// The memory; ascending.
    pub regions: Vec<Region>,
    /// Pages that are not plain pages of their file (or zero, where there is no file).
    pub pages: BTreeMap<Place, PageBytes>,
    /// Pointers: ascending.
    pub slides: Vec<Slide>,
    /// Pointers at addresses that are no multiple of 8.
    pub unaligned_slides: Vec<Slide>,
    /// Everything else that is known only at start; ascending.
    pub fixups: Vec<Fixup>,
    /// System calls to repeat.
    pub calls: Vec<Call>,
    /// The size of thread stacks where RLIMIT_STACK is unlimited, and their least size.
    pub thread_stack: (u64, u64),
    /// What a start under AT_SECURE does.
    pub secure: SecureStart,
    /// What becomes of the C library's variables.
    pub variables: Variables,
    /// The size of pages that the loader was told of, in bytes.
    pub page_size: u64,
    /// Whether it is known how the kernel's size is followed where that is another.
    pub page_size_followed: bool,
    /// Where to continue.
    pub handoff: Place,
    /// AT_ENTRY.
    pub entry: Place,
    /// AT_PHDR.
    pub phdr: Place,
    /// AT_PHNUM.
    pub phnum: u64,
    /// AT_BASE.
    pub loader_base: Place,
    /// Whether the stack is executable.
    pub executable_stack: bool,
    /// Whether everything was bound before the hand-off.
    pub bound: bool,
    /// The modules lie at addresses of their own; nothing slides.
    pub fixed: bool,
    /// What depends on the CPU.
    pub cpu: CpuChoices,
    /// Objects that the loader knows by [`statify_params::agent::FILE_DEVICE`] and their index plus 1.
    pub identified: BTreeSet<usize>,
    /// Objects that are embedded but not loaded.
    pub plugins: Range<usize>,
    /// Where the agent lies that serves them.
    pub agent: Option<Place>,
    /// Where its index lies.
    pub index: Range<Place>,
}

impl Image {
    /// The program's file.
    pub fn program(&self) -> Option<&Object> {
        self.objects.get(PROGRAM)
    }

    /// The loader's file.
    pub fn loader(&self) -> Option<&Object> {
        self.objects.get(LOADER)
    }

    /// What an object (by index) is mapped as; [`None`] if it is embedded only.
    pub fn module_of(&self, object: usize) -> Option<&Module> {
        self.modules.iter().find(|module| module.object == Some(object))
    }

    /// The machine that it is for: its program's.
    pub fn machine(&self) -> Machine {
        let program = self.program().and_then(|program| ElfFile::parse(&program.bytes).ok());
        program.and_then(|program| program.machine()).unwrap_or(Machine::HOST)
    }
}
