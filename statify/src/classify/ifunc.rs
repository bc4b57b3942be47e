//! Which words hold the answers of IFUNC resolvers: told by the modules' relocations, and by where
//! the words point.

use std::collections::HashMap;

use statify_elf::machine::{Machine, Meaning};
use statify_elf::{ElfFile, Relocation};

use super::frame::Frame;
use super::symbols::Symbols;
use super::words::Memory;
use crate::capture::{Capture, LOADER};
use crate::place::Place;

/// An IFUNC resolver, and the words that hold its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// The function.
    pub function: Place,
    /// The words, at multiples of their size; ascending.
    pub slots: Vec<Place>,
}

/// The resolvers in the order in which the loader first calls them: itself, then what depends on
/// others before these.
pub fn find(capture: &Capture, frame: &Frame) -> Vec<Resolver> {
    let elfs: Vec<_> =
        capture.objects.iter().map(|object| ElfFile::parse(&object.bytes).ok()).collect();
    let modules: Vec<Option<Module<'_>>> = elfs
        .iter()
        .zip(&capture.objects)
        .map(|(elf, object)| {
            let elf = elf.as_ref()?;
            let symbols = Symbols::read(elf.dynamic().ok()??)?;
            let machine = elf.machine()?;
            Some(Module {
                machine,
                symbols,
                bias: object.range.start.wrapping_sub(elf.span()?.start),
            })
        })
        .collect();
    let others = (0..modules.len()).rev().filter(|&index| index != LOADER);
    let memory = Memory { capture, frame };
    let mut by_address: Vec<usize> = (0..modules.len()).collect();
    by_address.sort_by_key(|&index| capture.objects[index].range.start);
    let mut found = Found { memory, by_address, resolvers: Vec::new(), known: HashMap::new() };
    for module in
        std::iter::once(LOADER).chain(others).filter_map(|index| modules.get(index)?.as_ref())
    {
        for relocation in module.symbols.relocations() {
            found.look_at(module, &modules, &relocation);
        }
    }
    for resolver in &mut found.resolvers {
        resolver.slots.sort_unstable();
        resolver.slots.dedup();
    }
    found.resolvers
}

struct Module<'a> {
    machine: Machine,
    symbols: Symbols<'a>,
    bias: u64,
}

impl Module<'_> {
    /// What a relocation adds: where it does not say so itself, what the file has in its word.
    fn addend(&self, relocation: &Relocation) -> Option<u64> {
        let own = relocation.addend.map(|addend| addend as u64);
        own.or_else(|| self.symbols.word(relocation.at))
    }

    /// Whether a PLT's word holds what stands there until its function is called first: an address
    /// in the PLT itself.
    fn is_unbound(&self, relocation: &Relocation, value: u64) -> bool {
        self.machine.relocation(relocation.kind) == Some(Meaning::JumpSlot)
            && self
                .symbols
                .word(relocation.at)
                .is_some_and(|stub| stub != 0 && value == self.bias.wrapping_add(stub))
    }
}

struct Found<'a> {
    memory: Memory<'a>,
    /// The objects, by index, in the order of their addresses.
    by_address: Vec<usize>,
    resolvers: Vec<Resolver>,
    /// By function.
    known: HashMap<Place, usize>,
}

impl Found<'_> {
    fn look_at(
        &mut self,
        module: &Module<'_>,
        all: &[Option<Module<'_>>],
        relocation: &Relocation,
    ) {
        let at = module.bias.wrapping_add(relocation.at);
        let function = match module.machine.relocation(relocation.kind) {
            Some(Meaning::Indirect) => {
                module.addend(relocation).map(|addend| module.bias.wrapping_add(addend))
            }
            Some(Meaning::GlobalData | Meaning::JumpSlot) => {
                self.chosen(at, module, all, relocation)
            }
            Some(Meaning::Symbol) if module.addend(relocation) == Some(0) => {
                self.chosen(at, module, all, relocation)
            }
            _ => None,
        };
        let Some(function) = function.filter(|_| at.is_multiple_of(module.machine.word())) else {
            return;
        };
        let function = self.memory.frame.place(function);
        let index = *self.known.entry(function).or_insert_with(|| {
            self.resolvers.push(Resolver { function, slots: Vec::new() });
            self.resolvers.len() - 1
        });
        self.resolvers[index].slots.push(self.memory.frame.place(at));
    }

    /// The resolver that chose what the word at `at` points to, if one did: an IFUNC of the symbol's
    /// name in the module that it points into.
    fn chosen(
        &self,
        at: u64,
        module: &Module<'_>,
        all: &[Option<Module<'_>>],
        relocation: &Relocation,
    ) -> Option<u64> {
        if relocation.symbol == 0 {
            return None;
        }
        let value = self.memory.word(self.memory.frame.place(at));
        if module.is_unbound(relocation, value) {
            return None;
        }
        let definer = self.object_at(value)?;
        let definer = all.get(definer)?.as_ref().filter(|module| module.symbols.has_ifuncs())?;
        let resolver = definer.symbols.resolver(&module.symbols.reference(relocation.symbol)?)?;
        Some(definer.bias.wrapping_add(resolver))
    }

    fn object_at(&self, address: u64) -> Option<usize> {
        let objects = &self.memory.capture.objects;
        let below = |&index: &usize| objects[index].range.start <= address;
        let behind = self.by_address.partition_point(below);
        let index = self.by_address[behind.checked_sub(1)?];
        objects[index].range.contains(&address).then_some(index)
    }
}
