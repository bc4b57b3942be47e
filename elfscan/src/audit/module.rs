//! A module as the checks need it: its file's facts and its place in memory.

use std::ops::Range;

use goblin::elf::dynamic;
use goblin::elf::program_header::{PF_W, PF_X, PT_DYNAMIC, PT_GNU_RELRO, PT_INTERP};
use goblin::elf::section_header::SHF_WRITE;
use statify_elf::machine::{Machine, Meaning};
use statify_elf::{DynamicFacts, ElfError, ElfFile, Functions, page_down, page_up};

use super::image::Image;
use super::lookup::Definitions;
use super::pages;
use super::sections::sections;

/// Sections that hold constants, whether there is RELRO or not.
const CONSTANT_SECTIONS: [&[u8]; 5] =
    [b".data.rel.ro", b".init_array", b".fini_array", b".got", b".preinit_array"];

/// A module.
#[derive(Debug)]
pub struct Module<'a> {
    /// What it should be.
    pub image: &'a Image,
    /// Its file.
    pub elf: ElfFile<'a>,
    /// What its relocations mean: as its file says, or else as on this machine, whose loader has read it.
    pub machine: Machine,
    /// Its dynamic symbols.
    pub definitions: Option<Definitions<'a>>,
    /// Its functions.
    functions: Option<Functions<'a>>,
    /// What the loader makes read-only: whole pages, before the bias.
    pub relro: Option<Range<u64>>,
    /// Addresses (before the bias) that nobody but the loader writes to.
    constants: Vec<Range<u64>>,
    /// It is the loader: its variables lie in its RELRO.
    pub is_loader: bool,
    /// It has PT_INTERP.
    pub has_interpreter: bool,
}

impl<'a> Module<'a> {
    /// Reads what is needed of it.
    pub fn read(image: &'a Image) -> Result<Self, ElfError> {
        let elf = ElfFile::parse_any(image.contents())?;
        let machine = elf.machine().unwrap_or(Machine::HOST);
        let facts = elf.dynamic()?;
        let of_type = |kind: u32| elf.segments().iter().find(move |segment| segment.p_type == kind);
        let relro = of_type(PT_GNU_RELRO).map(|segment| {
            let end = segment.p_vaddr.saturating_add(segment.p_memsz);
            page_down(segment.p_vaddr)..pages::down(end)
        });
        let mut constants: Vec<Range<u64>> = of_type(PT_GNU_RELRO)
            .map(|segment| {
                segment.p_vaddr..pages::down(segment.p_vaddr.saturating_add(segment.p_memsz))
            })
            .into_iter()
            .collect();
        if let Some(facts) = &facts {
            let arrays = [
                (dynamic::DT_INIT_ARRAY, dynamic::DT_INIT_ARRAYSZ),
                (dynamic::DT_FINI_ARRAY, dynamic::DT_FINI_ARRAYSZ),
            ];
            constants.extend(arrays.iter().filter_map(|&(at, size)| {
                let start = facts.value(at)?;
                Some(start..start.checked_add(facts.value(size)?)?)
            }));
        }
        let named = sections(&elf).filter(|(name, section)| {
            section.sh_flags & u64::from(SHF_WRITE) != 0 && CONSTANT_SECTIONS.contains(name)
        });
        constants.extend(
            named.map(|(_, section)| {
                section.sh_addr..section.sh_addr.saturating_add(section.sh_size)
            }),
        );
        let keeps_list = facts.as_ref().is_some_and(|facts| keeps_debugger_list(machine, facts));
        let is_loader = keeps_list && of_type(PT_INTERP).is_none();
        Ok(Self {
            image,
            definitions: facts.map(Definitions::read),
            functions: elf.functions(),
            relro: relro.filter(|relro| relro.start < relro.end),
            constants,
            is_loader,
            has_interpreter: of_type(PT_INTERP).is_some(),
            elf,
            machine,
        })
    }

    /// The address in memory of an address of the file's.
    pub fn loaded(&self, address: u64) -> u64 {
        address.wrapping_add(self.image.bias)
    }

    /// The pages that it takes in memory.
    pub fn span(&self) -> Range<u64> {
        let span = self.elf.span().unwrap_or_default();
        self.loaded(span.start)..self.loaded(span.end)
    }

    /// Where its code lies in memory: whole pages.
    pub fn code(&self) -> impl Iterator<Item = Range<u64>> {
        let code = self.elf.loads().filter(|load| load.p_flags & PF_X != 0);
        code.map(|load| {
            let end = pages::up(load.p_vaddr.saturating_add(load.p_memsz));
            self.loaded(pages::down(load.p_vaddr))..self.loaded(end)
        })
    }

    /// The file's address of an address in memory, if it is in one of its segments.
    pub fn address_of(&self, loaded: u64) -> Option<u64> {
        let address = loaded.wrapping_sub(self.image.bias);
        let within = self.elf.loads().any(|load| {
            page_down(load.p_vaddr) <= address
                && address < page_up(load.p_vaddr.saturating_add(load.p_memsz))
        });
        within.then_some(address)
    }

    /// Whether only the loader writes to this address (before the bias).
    pub fn is_constant(&self, address: u64) -> bool {
        self.constants.iter().any(|range| range.contains(&address)) || self.is_read_only(address)
    }

    /// Whether it is in a segment that is not writable (so that only text relocations change it).
    pub fn is_read_only(&self, address: u64) -> bool {
        self.elf.loads().any(|load| {
            load.p_flags & PF_W == 0
                && load.p_vaddr <= address
                && address - load.p_vaddr < load.p_memsz
        })
    }

    /// Whether a function may start at this address (before the bias): it is code, and not inside of a
    /// function that functions elsewhere.
    pub fn may_be_function(&self, address: u64) -> bool {
        let is_inside = self.functions.as_ref().is_some_and(|functions| {
            let start = functions.covering(address).filter(|_| !functions.contains(address));
            start.is_some_and(|start| !self.is_padding(start, address))
        });
        self.is_code(address) && !is_inside
    }

    /// Whether a function that is said to begin at `start` begins at `address` (both before the bias).
    fn is_padding(&self, start: u64, address: u64) -> bool {
        const LONGEST: u64 = 16;
        let between = Some(address - start).filter(|len| *len < LONGEST);
        let code = between.and_then(|len| self.elf.at(start, len));
        code.is_some_and(|code| self.machine.is_padding(code))
    }

    /// Whether it is in an executable segment.
    pub fn is_code(&self, address: u64) -> bool {
        self.elf.loads().any(|load| {
            load.p_flags & PF_X != 0
                && load.p_vaddr <= address
                && address - load.p_vaddr < load.p_memsz
        })
    }

    /// The start (before the bias) of the function that this address is in.
    pub fn function_around(&self, address: u64) -> Option<u64> {
        self.functions.as_ref()?.covering(address)
    }

    /// Where it defines the list for debuggers (before the bias), and whether that is a pointer to it.
    pub fn debugger_lists(&self) -> Vec<(u64, bool)> {
        let lists = self.definitions.as_ref().map(|symbols| debugger_lists(symbols.facts()));
        lists.unwrap_or_default().into_iter().map(|(_, at, is_pointer)| (at, is_pointer)).collect()
    }

    /// Where its writable segments lie in memory.
    pub fn writable(&self) -> impl Iterator<Item = Range<u64>> {
        let loads = self.elf.loads().filter(|load| load.p_flags & PF_W != 0);
        loads.map(|load| {
            self.loaded(load.p_vaddr)..self.loaded(load.p_vaddr.saturating_add(load.p_memsz))
        })
    }

    /// Where the dynamic section lies, before the bias.
    pub fn dynamic_range(&self) -> Option<Range<u64>> {
        let segment = self.elf.segments().iter().find(|segment| segment.p_type == PT_DYNAMIC)?;
        Some(segment.p_vaddr..segment.p_vaddr.saturating_add(segment.p_memsz))
    }
}

/// The symbols under which glibc's loader has its `struct r_debug`, and musl's a pointer to it.
const R_DEBUG: &[u8] = b"_r_debug";
const R_DEBUG_POINTER: &[u8] = b"_dl_debug_addr";

/// Where a module defines the list for debuggers: number of the symbol, address (before the bias),
/// and whether that is a pointer to it.
fn debugger_lists(facts: &DynamicFacts<'_>) -> Vec<(u32, u64, bool)> {
    let table = facts.symbols();
    let symbols = (0..).zip(table.iter()).filter(|(_, symbol)| symbol.is_defined());
    let lists = symbols.filter_map(|(index, symbol)| match facts.string(symbol.name.into()) {
        Some(R_DEBUG) => Some((index, symbol.value, false)),
        Some(R_DEBUG_POINTER) => Some((index, symbol.value, true)),
        _ => None,
    });
    lists.collect()
}

/// Whether it is what keeps the loader's list: glibc's ld.so, musl's libc. A program that refers to the
/// variable defines it, too: as a copy.
fn keeps_debugger_list(machine: Machine, facts: &DynamicFacts<'_>) -> bool {
    let lists = debugger_lists(facts);
    let is_copy = |kind| machine.relocation(kind) == Some(Meaning::Copy);
    let copies = || facts.relocations().filter(|it| is_copy(it.kind));
    !lists.is_empty() && !copies().any(|copy| lists.iter().any(|list| list.0 == copy.symbol))
}
