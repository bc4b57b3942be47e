//! What each relocation may have left in memory, held against what is there.

use std::collections::{BTreeMap, HashMap};

use goblin::elf::dynamic::{DT_PLTGOT, DT_TLSDESC_PLT};
use goblin::elf::sym::STT_GNU_IFUNC;
use statify_elf::machine::Meaning;
use statify_elf::{PAGE, Relocation};

use super::links::Links;
use super::lookup::Definitions;
use super::module::Module;
use super::names::{Names, versioned};
use super::process::Process;
use super::report::{Alarm, AlarmKind, Target};
use super::scope::{Definition, Scopes};

const SHN_ABS: u16 = 0xfff1;
/// What is read at once, in bytes.
const CHUNK: u64 = 16 * PAGE;
/// How much of it is kept.
const MOST_CHUNKS: usize = 1024;
/// How many alarms of one module are told one by one.
const MOST_ALARMS: usize = 1000;

/// What the checks of all modules share.
pub struct Context<'m, 'a> {
    /// The process.
    pub process: &'m Process,
    /// Its modules.
    pub modules: &'m [Module<'a>],
    /// Where they look.
    pub scopes: &'m Scopes<'m, 'a>,
    /// What lies where.
    pub names: Names<'m, 'a>,
    /// The loader's list.
    pub links: &'m Links,
    /// The kernel's functions: where they start.
    pub vdso: &'m [u64],
}

/// What was found in one module.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many words were checked.
    pub entries: u64,
    /// Those that are not as they should be.
    pub alarms: Vec<Alarm>,
    /// None of its words is relocated.
    pub is_loading: bool,
}

/// What a word may be.
enum Allowed {
    Exactly(u64),
    /// A function of this module, or one of the kernel's (for clocks), or none: glibc has resolvers that
    /// only look at the CPU.
    FunctionOf(usize),
    /// A function of the vDSO.
    FunctionOfKernel,
}

/// Checks the entries of the module of this index.
pub fn check(context: &Context<'_, '_>, index: usize, tls: &mut Tls) -> Outcome {
    let module = &context.modules[index];
    let Some(symbols) = &module.definitions else { return Outcome::default() };
    let memory =
        Memory { process: context.process, bias: module.image.bias, chunks: HashMap::new() };
    let mut check = Check {
        context,
        index,
        module,
        symbols,
        memory,
        outcome: Outcome::default(),
        relative: (0, 0),
    };
    let plt = symbols.facts().plt_relocations().count();
    let all = symbols.facts().relocations().count();
    for (number, relocation) in symbols.facts().relocations().enumerate() {
        let in_plt = number.checked_sub(all - plt);
        check.relocation(&relocation, in_plt, tls);
    }
    for at in symbols.facts().relative_words() {
        check.relative_word(at);
    }
    check.lazy_binding();
    let (raw, all) = check.relative;
    let mut outcome = check.outcome;
    outcome.is_loading = all > 0 && raw == all && !module.image.is_embedded();
    outcome
}

struct Check<'c, 'm, 'a> {
    context: &'c Context<'m, 'a>,
    index: usize,
    module: &'m Module<'a>,
    symbols: &'m Definitions<'a>,
    memory: Memory<'m>,
    outcome: Outcome,
    /// Of the RELATIVE words those that are as in the file, and all.
    relative: (u64, u64),
}

impl Check<'_, '_, '_> {
    fn relocation(&mut self, relocation: &Relocation, in_plt: Option<usize>, tls: &mut Tls) {
        let Some(meaning) = self.module.machine.relocation(relocation.kind) else { return };
        let addend = self.addend(relocation);
        match meaning {
            Meaning::Copy | Meaning::Other(_) => {}
            Meaning::Relative => {
                let bias = match relocation.addend {
                    Some(_) => self.module.image.bias,
                    None => self.module.image.bias_of_stored(),
                };
                let expected = self.context.process.truncate(bias.wrapping_add(addend));
                self.count_relative(relocation.at, expected);
                self.relative_constant(relocation, expected);
            }
            Meaning::Indirect => {
                if in_plt.is_some() || self.module.is_constant(relocation.at) {
                    self.expect(relocation, &[Allowed::FunctionOf(self.index)]);
                }
            }
            Meaning::Symbol if !self.module.is_constant(relocation.at) => {}
            Meaning::Symbol if self.is_bound_as_stored(relocation) => self.bound(relocation),
            Meaning::Symbol => self.symbol(relocation, addend, None),
            Meaning::GlobalData => self.symbol(relocation, 0, None),
            Meaning::JumpSlot => self.symbol(relocation, 0, in_plt),
            Meaning::TlsModule
            | Meaning::ThreadOffset
            | Meaning::NegatedThreadOffset
            | Meaning::TlsOffset => match self.is_bound_as_stored(relocation) {
                true => self.as_stored(relocation),
                false => self.thread_local(relocation, meaning, addend, tls),
            },
            Meaning::TlsDescriptor => self.descriptor(relocation),
        }
    }

    /// What is added: by the relocation, or by what the file has in the word.
    fn addend(&self, relocation: &Relocation) -> u64 {
        match relocation.addend {
            Some(addend) => addend as u64,
            None => self.stored(relocation.at).unwrap_or(0),
        }
    }

    /// What the file has in a word.
    fn stored(&self, at: u64) -> Option<u64> {
        let bytes = self.module.elf.at(at, self.module.machine.word())?;
        Some(self.module.elf.address(bytes))
    }

    /// Whether the file has in the word what is to be there, as conversion left it, and so no addend any more: where
    /// relocations have none of their own.
    fn is_bound_as_stored(&self, relocation: &Relocation) -> bool {
        relocation.addend.is_none() && self.module.image.is_embedded()
    }

    /// A number that is as it is stored, wherever modules lie.
    fn as_stored(&mut self, relocation: &Relocation) {
        if !self.module.image.knows(relocation.at) {
            return;
        }
        if let Some(stored) = self.stored(relocation.at) {
            self.expect(relocation, &[Allowed::Exactly(stored)]);
        }
    }

    /// An address in the module that defines the symbol, which is stored as that module's own are.
    fn bound(&mut self, relocation: &Relocation) {
        if !self.module.image.knows(relocation.at) {
            return;
        }
        let Some(stored) = self.stored(relocation.at) else { return };
        let mut allowed = Vec::new();
        for (index, symbol) in self.definitions(relocation, false) {
            match symbol.kind() {
                STT_GNU_IFUNC if symbol.is_defined() => allowed.push(Allowed::FunctionOf(index)),
                _ if symbol.section == SHN_ABS => allowed.push(Allowed::Exactly(stored)),
                _ => {
                    let bias = self.context.modules[index].image.bias_of_stored();
                    allowed.push(Allowed::Exactly(stored.wrapping_add(bias)));
                }
            }
        }
        if allowed.is_empty() {
            allowed.push(Allowed::Exactly(stored));
        }
        self.expect(relocation, &allowed);
    }

    fn definitions(&self, relocation: &Relocation, needs_definition: bool) -> Vec<Definition> {
        let Some((symbol, wanted)) = self.symbols.wanted(relocation.symbol, needs_definition)
        else {
            return Vec::new();
        };
        self.context.scopes.candidates(self.index, &symbol, &wanted)
    }

    fn symbol(&mut self, relocation: &Relocation, addend: u64, in_plt: Option<usize>) {
        if relocation.symbol == 0 {
            let expected = self.module.image.bias.wrapping_add(addend);
            return self.expect(relocation, &[Allowed::Exactly(expected)]);
        }
        let meaning = self.module.machine.relocation(relocation.kind);
        let is_call = meaning == Some(Meaning::JumpSlot);
        let mut allowed = Vec::new();
        for (index, symbol) in self.definitions(relocation, is_call) {
            let bias =
                if symbol.section == SHN_ABS { 0 } else { self.context.modules[index].image.bias };
            let address = bias.wrapping_add(symbol.value);
            match symbol.kind() {
                STT_GNU_IFUNC if symbol.is_defined() => allowed.push(Allowed::FunctionOf(index)),
                _ => allowed.push(Allowed::Exactly(address.wrapping_add(addend))),
            }
            if symbol.section == SHN_ABS {
                let moved = address.wrapping_add(self.context.modules[index].image.bias);
                allowed.push(Allowed::Exactly(moved.wrapping_add(addend)));
            }
        }
        if allowed.is_empty() {
            allowed.push(Allowed::Exactly(addend));
        }
        if in_plt.is_some_and(|number| self.is_unbound(relocation, number)) {
            self.outcome.entries += 1;
            return;
        }
        self.expect(relocation, &allowed);
    }

    /// Whether a slot is as the loader leaves it that binds on the first call.
    fn is_unbound(&mut self, relocation: &Relocation, number: usize) -> bool {
        let Some(value) = self.memory.word(relocation.at) else { return false };
        let code = value.wrapping_sub(self.module.image.bias);
        let code_there = self.module.elf.from(code);
        let binds = |code: &[u8]| self.module.machine.is_lazy_stub(code, number as u32);
        self.module.is_code(code) && code_there.is_some_and(binds)
    }

    fn relative_word(&mut self, at: u64) {
        if !self.module.image.knows(at) {
            return;
        }
        let Some(stored) = self.stored(at) else { return };
        let expected = stored.wrapping_add(self.module.image.bias_of_stored());
        let expected = self.context.process.truncate(expected);
        self.count_relative(at, expected);
        let kind = self.module.machine.relative();
        self.relative_constant(&Relocation { at, kind, symbol: 0, addend: None }, expected);
    }

    fn relative_constant(&mut self, relocation: &Relocation, expected: u64) {
        if !self.module.is_constant(relocation.at) {
            return;
        }
        let mut allowed = vec![Allowed::Exactly(expected)];
        if self.module.is_loader {
            // It takes the kernel's way into the kernel for its own (AT_SYSINFO).
            allowed.push(Allowed::FunctionOfKernel);
        }
        self.expect(relocation, &allowed);
    }

    fn count_relative(&mut self, at: u64, expected: u64) {
        if let (Some(stored), Some(found)) = (self.stored(at), self.memory.word(at)) {
            self.relative.0 += u64::from(stored == found && found != expected);
            self.relative.1 += 1;
        }
    }

    fn thread_local(
        &mut self,
        relocation: &Relocation,
        meaning: Meaning,
        addend: u64,
        tls: &mut Tls,
    ) {
        let definition = match relocation.symbol {
            0 => Some((self.index, 0)),
            _ => match self.definitions(relocation, true)[..] {
                [(index, symbol)] => Some((index, symbol.value)),
                // Undefined, or one of several: nothing can be said.
                _ => None,
            },
        };
        let Some((definer, offset)) = definition else { return };
        let place = self.context.process.truncate(offset.wrapping_add(addend));
        let Some(found) = self.memory.word(relocation.at) else {
            return self.alarm(relocation, None, false);
        };
        match meaning {
            // What the word is subtracted from is another one.
            Meaning::NegatedThreadOffset => return,
            Meaning::TlsOffset => {
                self.expect(relocation, &[Allowed::Exactly(place)]);
                return;
            }
            Meaning::TlsModule => tls.modules.entry(definer).or_default(),
            _ => tls.offsets.entry(definer).or_default(),
        }
        .push(TlsWord {
            value: match meaning {
                Meaning::TlsModule => found,
                _ => self.context.process.truncate(found.wrapping_sub(place)),
            },
            module: self.index,
            place: if meaning == Meaning::TlsModule { 0 } else { place },
            relocation: *relocation,
        });
        self.outcome.entries += 1;
    }

    /// The first word is a function of the loader's.
    fn descriptor(&mut self, relocation: &Relocation) {
        let loader = self.context.modules.iter().position(|module| module.is_loader);
        let Some(loader) = loader else { return };
        let lazy = self.symbols.facts().value(DT_TLSDESC_PLT);
        let lazy = lazy.map(|at| Allowed::Exactly(self.module.loaded(at)));
        let allowed: Vec<Allowed> =
            [Some(Allowed::FunctionOf(loader)), lazy].into_iter().flatten().collect();
        self.expect(relocation, &allowed);
    }

    /// The two words by which lazy binding finds the loader: its record of this module, its function.
    fn lazy_binding(&mut self) {
        let facts = self.symbols.facts();
        if facts.plt_relocations().next().is_none() {
            return;
        }
        let Some(table) = facts.value(DT_PLTGOT) else { return };
        let records = self.context.links.namespaces.iter().flatten();
        let dynamic = self.module.dynamic_range().map(|range| self.module.loaded(range.start));
        let mut record: Vec<Allowed> = records
            .filter(|link| Some(link.dynamic) == dynamic)
            .map(|link| Allowed::Exactly(link.at))
            .collect();
        if record.is_empty() {
            return;
        }
        let loader = self.context.modules.iter().position(|module| module.is_loader);
        let Some(loader) = loader else { return };
        let mut resolver = vec![Allowed::FunctionOf(loader)];
        let word = self.module.machine.word();
        for (at, allowed) in [(word, &mut record), (2 * word, &mut resolver)] {
            let at = table.wrapping_add(at);
            let Some(stored) = self.stored(at) else { continue };
            let is_relocated = facts.relocations().any(|relocation| relocation.at == at);
            if is_relocated || !self.module.image.knows(at) {
                continue;
            }
            allowed.push(Allowed::Exactly(0));
            if !self.module.image.is_embedded() {
                allowed.push(Allowed::Exactly(stored));
            }
            let relocation = Relocation { at, kind: GOT_HEADER, symbol: 0, addend: None };
            self.expect(&relocation, allowed);
        }
    }

    fn expect(&mut self, relocation: &Relocation, allowed: &[Allowed]) {
        self.outcome.entries += 1;
        let found = self.memory.word(relocation.at);
        let is_allowed = |found: u64| {
            allowed.iter().any(|allowed| match allowed {
                Allowed::Exactly(address) => self.context.process.truncate(*address) == found,
                Allowed::FunctionOfKernel => self.context.vdso.contains(&found),
                Allowed::FunctionOf(index) => {
                    let module = &self.context.modules[*index];
                    let address = module.address_of(found);
                    found == 0
                        || address.is_some_and(|address| module.may_be_function(address))
                        || self.context.vdso.contains(&found)
                }
            })
        };
        if !found.is_some_and(is_allowed) {
            match allowed.first() {
                Some(Allowed::Exactly(address)) => {
                    let address = self.context.process.truncate(*address);
                    self.alarm(relocation, Some(address), false);
                }
                Some(Allowed::FunctionOf(index)) => {
                    let address = self.context.modules[*index].image.bias;
                    self.alarm(relocation, Some(address), true);
                }
                Some(Allowed::FunctionOfKernel) | None => {}
            }
        }
    }

    fn alarm(&mut self, relocation: &Relocation, expected: Option<u64>, any_function: bool) {
        if self.outcome.alarms.len() >= MOST_ALARMS {
            return;
        }
        let found = self.memory.word(relocation.at);
        let alarm = alarm(self.context, self.index, relocation, expected, any_function, found);
        self.outcome.alarms.push(alarm);
    }
}

/// Stands for the words that lazy binding needs, which no relocation names.
const GOT_HEADER: u32 = u32::MAX;

fn alarm(
    context: &Context<'_, '_>,
    index: usize,
    relocation: &Relocation,
    expected: Option<u64>,
    any_function: bool,
    found: Option<u64>,
) -> Alarm {
    let module = &context.modules[index];
    let symbols = module.definitions.as_ref();
    let symbol = symbols.and_then(|symbols| versioned(symbols, relocation.symbol));
    let expected = expected.map(|address| {
        let target = context.names.target(address);
        if any_function { Target { symbol: symbol.clone(), ..target } } else { target }
    });
    let name = module.image.name.clone();
    let (at, size) = (relocation.at, module.machine.word());
    let alarm = Alarm::new(AlarmKind::Entry, name, module.loaded(at), at, size);
    Alarm {
        relocation: Some(match relocation.kind {
            GOT_HEADER => "lazy binding's word".to_owned(),
            kind => module.machine.relocation_name(kind),
        }),
        symbol,
        expected,
        any_function,
        found: found.map(|address| context.names.target(address)),
        ..alarm
    }
}

/// What thread-local relocations have left: for each module that defines something, all must agree.
#[derive(Debug, Default)]
pub struct Tls {
    modules: BTreeMap<usize, Vec<TlsWord>>,
    offsets: BTreeMap<usize, Vec<TlsWord>>,
}

#[derive(Debug)]
struct TlsWord {
    /// What must be the same in all.
    value: u64,
    module: usize,
    /// What is added to it in the word.
    place: u64,
    relocation: Relocation,
}

impl Tls {
    /// Adds another module's.
    pub fn add(&mut self, other: Self) {
        for (definer, words) in other.modules {
            self.modules.entry(definer).or_default().extend(words);
        }
        for (definer, words) in other.offsets {
            self.offsets.entry(definer).or_default().extend(words);
        }
    }

    /// Those that do not agree with most others.
    pub fn alarms(&self, context: &Context<'_, '_>) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        for words in self.modules.values().chain(self.offsets.values()) {
            let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
            for word in words {
                *votes.entry(word.value).or_default() += 1;
            }
            let Some((&right, _)) = votes.iter().max_by_key(|vote| vote.1) else { continue };
            for word in words.iter().filter(|word| word.value != right) {
                let there = |value: u64| context.process.truncate(value.wrapping_add(word.place));
                let (expected, found) = (there(right), there(word.value));
                let relocation = &word.relocation;
                let mut alarm =
                    alarm(context, word.module, relocation, Some(expected), false, Some(found));
                for target in [&mut alarm.expected, &mut alarm.found].into_iter().flatten() {
                    // Numbers, not addresses.
                    *target = Target::number(target.address);
                }
                alarms.push(alarm);
            }
        }
        alarms
    }
}

/// A module's memory, read in chunks as it is needed.
struct Memory<'m> {
    process: &'m Process,
    bias: u64,
    chunks: HashMap<u64, Vec<u8>>,
}

impl Memory<'_> {
    /// The word at an address before the bias.
    fn word(&mut self, address: u64) -> Option<u64> {
        let loaded = address.wrapping_add(self.bias);
        let start = loaded - loaded % CHUNK;
        let into = (loaded - start) as usize;
        if !self.chunks.contains_key(&start) {
            if self.chunks.len() >= MOST_CHUNKS {
                self.chunks.clear();
            }
            let mut chunk = vec![0; CHUNK as usize];
            let len = self.process.read_some(start, &mut chunk);
            chunk.truncate(len);
            self.chunks.insert(start, chunk);
        }
        let size = self.process.word_size as usize;
        match self.chunks.get(&start)?.get(into..into.saturating_add(size)) {
            Some(bytes) => Some(self.process.number(bytes)),
            // At the chunk's end, or behind memory that is not mapped.
            None => self.process.word(loaded),
        }
    }
}
