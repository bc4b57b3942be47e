//! The dynamic section in memory, which tells what runs at the end and where the loader finds its
//! tables (gABI, "Dynamic Section"): every word is the file's, but for what loaders write there.
//!
//! glibc adds the bias to some addresses (elf/get-dynamic-info.h), musl to none. Both leave in the
//! program's DT_DEBUG where the list for debuggers lies.

use std::ops::Range;

use goblin::elf::dynamic::{self, tag_to_str};
use goblin::elf::program_header::PT_DYNAMIC;
use statify_elf::PAGE;

use super::bindings::Context;
use super::converted::POINTERS;
use super::module::Module;
use super::report::{Alarm, AlarmKind, Target};

/// No section is larger, in bytes.
const MOST: u64 = 64 * PAGE;
/// Tags beside [`POINTERS`] whose values are addresses.
const ADDRESSES: [u64; 6] = [
    dynamic::DT_INIT,
    dynamic::DT_FINI,
    dynamic::DT_INIT_ARRAY,
    dynamic::DT_FINI_ARRAY,
    dynamic::DT_PREINIT_ARRAY,
    dynamic::DT_DEBUG,
];

/// What was found in one module's.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many entries were compared.
    pub entries: u64,
    /// Words that are not as they should be.
    pub alarms: Vec<Alarm>,
}

/// Compares a module's dynamic section with its file's.
pub fn check(context: &Context<'_, '_>, module: &Module<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(segment) = module.elf.of_type(PT_DYNAMIC).next() else { return outcome };
    let (start, len) = (segment.p_vaddr, segment.p_filesz.min(MOST));
    let Some(expected) = module.elf.at(start, len).or_else(|| module.elf.contents(segment)) else {
        return outcome;
    };
    let expected = &expected[..expected.len().min(len as usize)];
    let mut found = vec![0; expected.len()];
    let read = context.process.read_some(module.loaded(start), &mut found);
    found.truncate(read);
    let lists = || debugger_lists(context, module);
    let mut lists: Lists<'_> = Lists { read: &lists, known: None };
    let word = context.process.word_size;
    let size = 2 * word as usize;
    let words = |entry: &[u8]| {
        let number = |at: usize| context.process.number(entry.get(at..).unwrap_or_default());
        (number(0), number(word as usize))
    };
    let entries = expected.chunks_exact(size);
    for (index, entry) in entries.enumerate().filter(|(index, _)| {
        // Of a page that a converted file does not store nothing is known.
        module.image.knows(start + (index * size) as u64)
    }) {
        let at = start + (index * size) as u64;
        outcome.entries += 1;
        let (tag, value) = words(entry);
        let there = found.get(index * size..(index + 1) * size).map(words);
        if there.is_none_or(|there| there.0 != tag) {
            let found = there.map(|there| Target::number(there.0));
            outcome.alarms.push(Alarm {
                symbol: Some(format!("the tag of {}", name(tag))),
                expected: Some(Target::number(tag)),
                found,
                ..alarm(module, at)
            });
            continue;
        }
        let there = there.map_or(0, |there| there.1);
        let is_right = there == value
            || POINTERS.contains(&tag) && there == module.loaded(value)
            || tag == dynamic::DT_DEBUG && (there == 0 || lists.contain(there));
        if !is_right {
            let is_address = POINTERS.contains(&tag) || ADDRESSES.contains(&tag);
            let target = |value: u64| match module.address_of(value) {
                _ if !is_address => Target::number(value),
                None if value != 0 && !context.names.is_mapped(value) => {
                    context.names.target(module.loaded(value))
                }
                _ => context.names.target(value),
            };
            let wanted = match tag {
                dynamic::DT_DEBUG => lists.first().unwrap_or(value),
                _ => value,
            };
            outcome.alarms.push(Alarm {
                symbol: Some(name(tag)),
                expected: Some(target(wanted)),
                found: Some(target(there)),
                ..alarm(module, at + word)
            });
        }
    }
    outcome
}

fn alarm(module: &Module<'_>, at: u64) -> Alarm {
    Alarm::new(
        AlarmKind::Dynamic,
        module.image.name.clone(),
        module.loaded(at),
        at,
        module.machine.word(),
    )
}

/// As readelf calls it.
fn name(tag: u64) -> String {
    match tag_to_str(tag) {
        "UNKNOWN_TAG" => format!("DT {tag:#x}"),
        name => name.to_owned(),
    }
}

/// Where a program's DT_DEBUG may lead, found out when it is needed.
struct Lists<'l> {
    read: &'l dyn Fn() -> Vec<Range<u64>>,
    known: Option<Vec<Range<u64>>>,
}

impl Lists<'_> {
    fn all(&mut self) -> &[Range<u64>] {
        self.known.get_or_insert_with(self.read)
    }

    fn contain(&mut self, address: u64) -> bool {
        self.all().iter().any(|range| range.contains(&address))
    }

    fn first(&mut self) -> Option<u64> {
        self.all().first().map(|range| range.start)
    }
}

/// Where the loaders keep the list for debuggers: `_r_debug`, its copy in a program that refers to it
/// (R_X86_64_COPY), what `_dl_debug_addr` points to (musl). A program without a loader has it in data
/// of its own, under no name.
fn debugger_lists(context: &Context<'_, '_>, module: &Module<'_>) -> Vec<Range<u64>> {
    let mut lists = Vec::new();
    let mut add = |at: u64| lists.push(at..at.saturating_add(1));
    for keeper in context.modules.iter().filter(|other| other.is_loader) {
        keeper.debugger_lists().into_iter().for_each(|(at, is_pointer)| match is_pointer {
            true => context.process.word(keeper.loaded(at)).into_iter().for_each(&mut add),
            false => add(keeper.loaded(at)),
        });
    }
    if lists.is_empty() {
        return module.writable().collect();
    }
    let own = module.debugger_lists().into_iter().filter(|(_, is_pointer)| !is_pointer);
    lists.extend(own.map(|(at, _)| module.loaded(at)..module.loaded(at).saturating_add(1)));
    lists
}
