//! What the kernel put on the initial stack: argc, argv, envp, auxv (psABI, 3.4.1).

use crate::Block;
use crate::elf::{PROGRAM_HEADER, Word};
use crate::params::Params;

pub const AT_NULL: u64 = 0;
pub const AT_PHDR: u64 = 3;
pub const AT_PHENT: u64 = 4;
pub const AT_PHNUM: u64 = 5;
pub const AT_PAGESZ: u64 = 6;
pub const AT_BASE: u64 = 7;
pub const AT_ENTRY: u64 = 9;
pub const AT_SECURE: u64 = 23;
pub const AT_RANDOM: u64 = 25;
pub const AT_EXECFN: u64 = 31;
pub const AT_SYSINFO_EHDR: u64 = 33;

/// The initial stack's parts.
pub struct Stack {
    pub sp: *mut Word,
    pub argc: u64,
    pub envp: *mut Word,
    pub auxv: *mut Word,
}

impl Stack {
    /// # Safety
    ///
    /// `sp` is the kernel's initial stack pointer.
    pub unsafe fn find(sp: *mut Word) -> Self {
        // SAFETY: argc words, a null, the environment, a null and the auxv follow each other.
        unsafe {
            let argc = *sp as u64;
            let envp = sp.add(argc as usize + 2);
            let mut auxv = envp;
            while *auxv != 0 {
                auxv = auxv.add(1);
            }
            Self { sp, argc, envp, auxv: auxv.add(1) }
        }
    }

    /// The value of the first auxv entry of this type.
    pub fn value(&self, kind: u64) -> Option<u64> {
        // SAFETY: `word` leads to a value.
        self.word(kind).map(|value| unsafe { *value } as u64)
    }

    /// Where the value of the first auxv entry of this type is.
    pub fn word(&self, kind: u64) -> Option<*mut Word> {
        // SAFETY: `find` put `auxv` at the kernel's vector, which ends with AT_NULL.
        unsafe {
            let mut entry = self.auxv;
            while *entry as u64 != AT_NULL {
                if *entry as u64 == kind {
                    return Some(entry.add(1));
                }
                entry = entry.add(2);
            }
        }
        None
    }

    /// Makes the auxv describe the embedded program and loader instead of the output.
    ///
    /// # Safety
    ///
    /// Nothing else reads the vector meanwhile.
    pub unsafe fn describe_program(&mut self, p: &Params, block: Block<'_>) {
        // SAFETY: as in `value`; only values are changed.
        unsafe {
            let mut entry = self.auxv;
            while *entry as u64 != AT_NULL {
                let value = entry.add(1);
                match *entry as u64 {
                    AT_PHDR => *value = block.at(p.phdr) as Word,
                    AT_PHENT => *value = PROGRAM_HEADER as Word,
                    AT_PHNUM => *value = p.phnum as Word,
                    AT_BASE => *value = block.at(p.loader) as Word,
                    AT_ENTRY => *value = block.at(p.entry) as Word,
                    _ => {}
                }
                entry = entry.add(2);
            }
        }
    }
}
