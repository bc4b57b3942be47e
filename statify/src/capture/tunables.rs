//! Where a loader reads the C library's variables (GLIBC_TUNABLES, MALLOC_*): glibc's function
//! `__tunables_init`, which has no symbol. It is the one that knows the variable's name, and is called
//! with the environment's address.

use memchr::memmem;
use statify_elf::ElfFile;
use statify_process::Tracee;

use super::{InitialStack, Object};

/// As it stands in the loader.
pub const NAME: &[u8] = b"GLIBC_TUNABLES\0";
/// More functions than refer to the name in any loader.
const MOST: usize = 8;

/// Breakpoints in the functions that may be it.
pub(super) struct Search {
    /// Addresses, and the words that the breakpoints went into.
    candidates: Vec<(u64, i64)>,
    envp: u64,
    /// The size of a word, in bytes.
    word: u64,
    found: Option<u64>,
}

impl Search {
    /// Sets them in a process whose loader is this, with this initial stack.
    pub fn start(tracee: &Tracee, loader: &Object, stack: &InitialStack) -> nix::Result<Self> {
        let (envp, word) = (stack.envp, stack.word);
        let mut search = Self { candidates: Vec::new(), envp, word, found: None };
        for address in candidates(loader) {
            search.candidates.push((address, tracee.set_breakpoint(address)?));
        }
        Ok(search)
    }

    /// If the process has stopped at one of them: takes that away, and tells whether it did.
    pub fn passes(&mut self, tracee: &Tracee) -> nix::Result<bool> {
        let mut regs = tracee.registers()?;
        let at = regs.breakpoint();
        let Some(index) = self.candidates.iter().position(|candidate| candidate.0 == at) else {
            return Ok(false);
        };
        let (_, word) = self.candidates.swap_remove(index);
        let read = |at| tracee.read_word(at, self.word).ok();
        if regs.first_argument(read) == Some(self.envp) {
            self.found = self.found.or(Some(at));
        }
        tracee.poke(at, word)?;
        regs.go_to(at);
        tracee.set_registers(&regs)?;
        Ok(true)
    }

    /// Takes the others away. Returns the function's address.
    pub fn end(self, tracee: &Tracee) -> nix::Result<Option<u64>> {
        for (address, word) in self.candidates {
            tracee.poke(address, word)?;
        }
        Ok(self.found)
    }
}

/// The functions that refer to the name.
fn candidates(loader: &Object) -> Vec<u64> {
    let Ok(elf) = ElfFile::parse(&loader.bytes) else { return Vec::new() };
    let Some(span) = elf.span() else { return Vec::new() };
    let bias = loader.range.start.wrapping_sub(span.start);
    let names = elf.loads().flat_map(|load| {
        let found = memmem::find_iter(elf.contents(load).unwrap_or_default(), NAME);
        found.map(|at| load.p_vaddr.wrapping_add(at as u64))
    });
    let names: Vec<u64> = names.collect();
    let Some(machine) = elf.machine() else { return Vec::new() };
    let functions = machine.functions_that_refer_to(&elf, &names);
    functions.into_iter().take(MOST).map(|function| function.wrapping_add(bias)).collect()
}
