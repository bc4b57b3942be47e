//! The variables that glibc's loader keeps in its own RELRO (`_rtld_global_ro`, tunables, hooks), which
//! no relocation tells of. (Relocated words are checked as any module's; musl has none here.)
//!
//! What they should be follows from three things: the file, as most are as the file has them; what
//! the kernel gave the process at its start; and this very process, if it has the same loader and
//! neither was told anything by variables (LD_*, GLIBC_TUNABLES): what the loader has not set here it has not set
//! there. What points to code must point to the start of a function of the loader's or the kernel's, or
//! to what the loader looks up itself. Of numbers that the loader computes (features of the CPU, sizes, times)
//! nothing more can be said.

use std::collections::HashSet;

use goblin::elf::program_header::PT_GNU_EH_FRAME;
use statify_elf::{PAGE, PROT_EXEC, page_down};

use super::image::Backing;
use super::module::Module;
use super::names::Names;
use super::process::Process;
use super::start::Start;

/// What glibc's loader looks up by name in the C library, and calls (elf/dl-minimal.c, elf/dl-mutex.c).
const LOOKED_UP: [&[u8]; 8] = [
    b"malloc",
    b"calloc",
    b"realloc",
    b"free",
    b"pthread_mutex_lock",
    b"pthread_mutex_unlock",
    b"__pthread_mutex_lock",
    b"__pthread_mutex_unlock",
];

/// Programs that are not position-independent lie below this address (psABI, small code model); nothing else does, but numbers.
const LOW: u64 = 1 << 32;

/// What is to be said of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is what it should be.
    Right,
    /// It may be right.
    Unknown,
    /// It is not.
    Wrong,
}

/// What is known of the loader's variables.
pub struct Variables<'m, 'a> {
    module: &'m Module<'a>,
    names: Names<'m, 'a>,
    vdso: &'m [u64],
    start: &'m Start,
    looked_up: HashSet<u64>,
    reference: Option<Reference>,
}

/// This process's loader, if it is the same file.
struct Reference {
    process: Process,
    /// Its bias.
    bias: u64,
    start: Start,
}

impl<'m, 'a> Variables<'m, 'a> {
    /// Of the module that is the loader.
    pub fn of(
        module: &'m Module<'a>,
        names: Names<'m, 'a>,
        vdso: &'m [u64],
        start: &'m Start,
    ) -> Self {
        let symbols =
            names.modules.iter().filter_map(|other| Some((other, other.definitions.as_ref()?)));
        let found = symbols.flat_map(|(other, symbols)| {
            let found = LOOKED_UP.iter().flat_map(|name| symbols.named(name));
            found.map(|symbol| other.loaded(symbol.value))
        });
        let looked_up = found.collect();
        let reference = start.is_plain.then(|| Reference::find(module)).flatten();
        Self { module, names, vdso, start, looked_up, reference }
    }

    /// Judges a word at `at` (before the bias) of which the file has `file`, and which is `found`.
    pub fn verdict(&self, at: u64, file: u64, found: u64) -> Verdict {
        if found == file {
            return Verdict::Right;
        }
        let mapping = self.names.mapping(found);
        let is_written = self.is_written(at);
        if mapping.is_some_and(|mapping| mapping.prot & PROT_EXEC != 0) {
            let is_known = self.is_function(found) || self.is_of_program(found);
            return match is_known || self.start.values.contains(&found) {
                true => Verdict::Right,
                // A time or a size may be any number: one within a program at low addresses, or within terabytes
                // that are mapped.
                false if (found < LOW || !self.is_in_module(found)) && self.is_number(at, file) => {
                    Verdict::Unknown
                }
                // So may what CPUs say of themselves, where addresses are no longer than that.
                false if self.may_be_of_cpu(file, is_written == Some(true)) => Verdict::Unknown,
                false => Verdict::Wrong,
            };
        }
        match is_written {
            Some(true) if self.start.values.contains(&found) => return Verdict::Right,
            Some(true) => return Verdict::Unknown,
            // Of a converted program all is as stored but for what the starter writes.
            Some(false) => return Verdict::Wrong,
            None => {}
        }
        let here = self.reference.as_ref().and_then(|here| Some((here, here.word(at)?)));
        match here {
            Some((here, word)) => self.compare(here, word, file, found),
            None if file == 0 && self.start.values.contains(&found) => Verdict::Right,
            None if file == 0 => Verdict::Unknown,
            // The loader changes the bounds of tunables, not their names, and puts no pointers there.
            None if mapping.is_some() || is_text(file) => Verdict::Wrong,
            None => Verdict::Unknown,
        }
    }

    /// Judges by the same word in this process.
    fn compare(&self, here: &Reference, word: u64, file: u64, found: u64) -> Verdict {
        let right = |is_right: bool| if is_right { Verdict::Right } else { Verdict::Wrong };
        if word == file {
            return Verdict::Wrong;
        }
        if here.start.values.contains(&word) && word > u64::from(u16::MAX) {
            return right(self.start.values.contains(&found));
        }
        let own = word.wrapping_sub(here.bias);
        let span = self.module.elf.span().unwrap_or_default();
        let loads = || self.module.elf.loads();
        let is_loaders = loads()
            .any(|load| load.p_vaddr <= own && own < load.p_vaddr.saturating_add(load.p_memsz));
        if is_loaders {
            return right(found == self.module.loaded(own));
        }
        // Behind its data the loader keeps what it allocates first.
        let is_pointer = here.is_mapped(word) || span.contains(&own);
        let is_mapped = self.names.is_mapped(found);
        match (is_pointer, is_mapped) {
            (true, true) => Verdict::Unknown,
            // No address: the bounds of a program that does not lie in one piece (_dl_find_object).
            (true, false) if found == u64::MAX => Verdict::Unknown,
            (true, false) => Verdict::Wrong,
            (false, _) if found == word || self.start.values.contains(&found) => Verdict::Right,
            (false, _) => Verdict::Unknown,
        }
    }

    /// Whether it is an address of a program or library, and so of a range in which a number lies hardly by chance.
    fn is_in_module(&self, address: u64) -> bool {
        self.names.modules.iter().any(|module| module.address_of(address).is_some())
    }

    /// Whether the loader of this process has set the word, and to what is no address here.
    fn is_number(&self, at: u64, file: u64) -> bool {
        let word = |here: &Reference| {
            let word = here.word(at).filter(|word| *word != file)?;
            let span = self.module.elf.span().unwrap_or_default();
            let is_address = here.is_mapped(word) || span.contains(&word.wrapping_sub(here.bias));
            (!is_address && !here.start.values.contains(&word)).then_some(word)
        };
        self.reference.as_ref().and_then(word).is_some()
    }

    /// Whether the starter writes the word at `at`; `None` if the program is not converted.
    fn is_written(&self, at: u64) -> Option<bool> {
        let written = self.module.image.written.as_ref()?;
        let after = written.partition_point(|range| range.end <= at);
        let word = self.module.machine.word();
        Some(written.get(after).is_some_and(|range| range.start < at + word))
    }

    /// Whether a word may be a number that a CPU of 32 bits says of itself, and not an address: the file has nothing there,
    /// or an output has a number for another CPU, which leads nowhere in the loader.
    fn may_be_of_cpu(&self, file: u64, is_written: bool) -> bool {
        let is_own = || self.module.elf.span().is_some_and(|span| span.contains(&file));
        self.module.machine.word() == 4 && (file == 0 || is_written && !is_own())
    }

    /// Whether it is the program's first byte or its table for unwinding, which glibc's loader keeps for `_dl_find_object` (from
    /// 2.35 on), and which may lie with the program's code. No function begins there.
    fn is_of_program(&self, address: u64) -> bool {
        // It is the first module.
        self.names.modules.first().is_some_and(|program| {
            let segments = program.elf.segments().iter();
            let table = segments.filter(|segment| segment.p_type == PT_GNU_EH_FRAME);
            let first = program.elf.span().map(|span| span.start);
            let mut known = first.into_iter().chain(table.map(|segment| segment.p_vaddr));
            known.any(|own| program.loaded(own) == address)
        })
    }

    fn is_function(&self, address: u64) -> bool {
        let own = self.module.address_of(address);
        own.is_some_and(|address| self.module.may_be_function(address))
            || self.vdso.contains(&address)
            || self.looked_up.contains(&address)
    }
}

impl Reference {
    /// This process, if its loader is of the same file and was not told anything.
    fn find(module: &Module<'_>) -> Option<Self> {
        let Backing::Segments(file, 0) = module.image.backing else { return None };
        let process = Process::open(std::process::id()).ok()?;
        (process.word_size == module.machine.word()).then_some(())?;
        let maps = process.maps().ok()?;
        let start = Start::of(&process);
        let first = module.elf.loads().next()?;
        let is_first = maps.iter().any(|mapping| {
            mapping.range.start == start.interpreter
                && super::process::FileId::of(mapping) == Some(file)
                && mapping.offset == page_down(first.p_offset)
        });
        let bias = start.interpreter.wrapping_sub(page_down(first.p_vaddr));
        (is_first && start.is_plain).then_some(Self { process, bias, start })
    }

    fn word(&self, at: u64) -> Option<u64> {
        self.process.word(at.wrapping_add(self.bias))
    }

    fn is_mapped(&self, address: u64) -> bool {
        address >= PAGE && self.process.word(address & !7).is_some()
    }
}

/// Letters, digits and signs, perhaps the end of a string.
fn is_text(word: u64) -> bool {
    let bytes = word.to_le_bytes();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_graphic()).count();
    letters >= 2 && bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_graphic())
}
