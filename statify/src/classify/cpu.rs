//! What depends on the CPU. Every capture runs on one dictated CPU, the least that the program takes,
//! but for one that runs on a CPU as different as can be: what differs there depends on the CPU.
//! The same process then rehearses what the starter does on a CPU it knows nothing of; that must
//! give exactly the first capture on the first's CPU, and on this machine's it gives the words
//! that the starter can take as they are there.

use std::collections::BTreeSet;

use statify_elf::machine::Cpu;
use statify_elf::{ElfFile, PROT_EXEC};
use statify_params::CpuFeatures;

use super::frame::{self, Frame};
use super::ifunc::{self, Resolver};
use super::known::{Known, Value};
use super::words::{self, Memory};
use crate::capture::rehearse::{Rehearsal, Resolution};
use crate::capture::{Capture, Object};
use crate::place::Place;

/// What the starter has to know of CPUs.
#[derive(Clone, Debug, Default)]
pub struct CpuChoices {
    /// The least CPU: a level's name, or `native`.
    pub least: &'static str,
    /// What the CPU must have; all zero where every x86-64 CPU has it.
    pub floor: CpuFeatures,
    /// What is prepared, best first.
    pub variants: Vec<Variant>,
    /// Words to write before the resolvers run.
    pub resets: Vec<(Place, u64)>,
    /// Every IFUNC resolver that chose something.
    pub resolvers: Vec<Resolver>,
    /// Whether running them gives what the loader would have.
    pub can_resolve: bool,
    /// Pages that the resolvers may write to, though they are read-only later.
    pub written: BTreeSet<Place>,
}

/// The words for one kind of CPU.
#[derive(Clone, Debug)]
pub struct Variant {
    /// For people: a level's name, or family, model and stepping in hexadecimal.
    pub name: String,
    /// The CPU.
    pub cpu: CpuFeatures,
    /// For this CPU only, not for every one that has its features.
    pub exact: bool,
    /// Words that are the same wherever the block lies.
    pub literals: Vec<(Place, u64)>,
    /// Words that hold a place.
    pub pointers: Vec<(Place, Place)>,
    /// What the resolvers answer, in their order.
    pub results: Vec<Place>,
}

/// Finds it out. `unlike` is a capture at the same addresses as `first` on the CPU that differs,
/// `rehearsal` its process, `cpu` the CPU that `first` was told of. Without `can_resolve` only the
/// resolvers are known.
pub fn study(
    first: &Capture,
    unlike: &mut Capture,
    rehearsal: &mut Rehearsal<'_>,
    cpu: Cpu,
    fixed: bool,
) -> CpuChoices {
    let frame = Frame::new(first, fixed);
    let resolvers = ifunc::find(first, &frame);
    let rehearsed = rehearse(first, unlike, rehearsal, cpu, &resolvers, fixed);
    let can_resolve = rehearsed.is_some();
    let (variant, resets) = rehearsed.unwrap_or_default();
    let locked = first.locked_regions(resets.iter().map(|reset| frame.address(reset.0)));
    let written = locked.iter().flat_map(|region| {
        let pages = first.pages.addresses().iter().copied();
        pages.filter(|page| region.range.contains(page)).map(|page| frame.place(page))
    });
    CpuChoices {
        least: "",
        floor: CpuFeatures::default(),
        written: written.collect(),
        can_resolve,
        variants: variant.into_iter().collect(),
        resets,
        resolvers,
    }
}

/// What to write before the resolvers run.
type Resets = Vec<(Place, u64)>;

/// Whether the choices can be made again: `None` if not; otherwise what is prepared for CPUs like this machine's, and the resets.
fn rehearse(
    first: &Capture,
    unlike: &mut Capture,
    rehearsal: &mut Rehearsal<'_>,
    cpu: Cpu,
    resolvers: &[Resolver],
    fixed: bool,
) -> Option<(Option<Variant>, Resets)> {
    let frame = Frame::new(first, fixed);
    if !frame::same_shape(first, &frame, unlike, &frame) {
        return None;
    }
    let reset = |(at, _, _)| {
        let object = first.object_at(frame.address(at))?;
        Some((at, original(&first.objects[object], frame.address(at))))
    };
    let differences_now = |other: &Capture| differences(first, other, &frame, resolvers);
    let resets: Resets = differences_now(unlike).into_iter().map(reset).collect::<Option<_>>()?;
    // What fix-ups write has the CPU's value before the resolvers run: here that of the first capture's.
    let kept = kept_words(first, unlike, &frame);
    let resolution = Resolution {
        resets: resets.iter().chain(&kept).map(|&(at, word)| (frame.address(at), word)).collect(),
        resolvers: resolvers
            .iter()
            .map(|resolver| {
                let slots = resolver.slots.iter().map(|&slot| frame.address(slot)).collect();
                (frame.address(resolver.function), slots)
            })
            .collect(),
    };
    (_, unlike.pages) = rehearsal.resolve(unlike, cpu, &resolution)?;
    let memory = |capture| Memory { capture, frame: &frame };
    let slots = resolvers.iter().flat_map(|resolver| &resolver.slots);
    let (before, after) = (memory(first), memory(unlike));
    let same_choices = slots.into_iter().all(|&slot| before.word(slot) == after.word(slot));
    if !same_choices || !differences_now(unlike).is_empty() {
        return None;
    }
    if !Cpu::This.is_prepared() {
        return Some((None, resets));
    }
    let answers;
    (answers, unlike.pages) = rehearsal.resolve(unlike, Cpu::This, &resolution)?;
    let results = answers.iter().map(|&answer| frame.place(answer)).collect();
    let words = differences_now(unlike);
    Some((Some(Variant::new(Cpu::This, first, &frame, words, results, fixed)), resets))
}

/// The words that hold what the CPU, or the kernel about it, says of itself, and differ in two captures: with the values that
/// they have in the first.
fn kept_words(first: &Capture, other: &Capture, frame: &Frame) -> Vec<(Place, u64)> {
    let known = Known::new(first, other, Vec::new());
    let memory = |capture| Memory { capture, frame };
    let is_kept = |&(_, a, b): &(Place, u64, u64)| {
        let told: Vec<u64> = first.cpu.auxv().into_iter().map(|entry| entry.0).collect();
        match known.find(a, b) {
            Some(Some(Value::CpuWord(..))) => true,
            Some(Some(Value::Aux(kind))) => told.contains(&u64::from(kind)),
            _ => false,
        }
    };
    let words = words::differences(&memory(first), &memory(other));
    words.into_iter().filter(is_kept).map(|(at, word, _)| (at, word)).collect()
}

/// What the starter can take on a CPU of a level, from a capture at the same addresses as `first`
/// on such a CPU: for loaders whose choices cannot be made again. `None` if more differs than that.
pub fn prepared(
    first: &Capture,
    on_level: &Capture,
    cpu: Cpu,
    resolvers: &[Resolver],
    fixed: bool,
) -> Option<Variant> {
    let frame = Frame::new(first, fixed);
    if !frame::same_shape(first, &frame, on_level, &frame) {
        return None;
    }
    let other = Memory { capture: on_level, frame: &frame };
    let results = resolvers.iter().map(|resolver| {
        let slot = resolver.slots.first().copied();
        slot.map_or(Place::default(), |slot| frame.place(other.word(slot)))
    });
    let results = results.collect();
    let words = differences(first, on_level, &frame, resolvers);
    if words.iter().any(|word| first.object_at(frame.address(word.0)).is_none()) {
        return None;
    }
    Some(Variant::new(cpu, first, &frame, words, results, fixed))
}

/// The words that differ because the CPU does, and hold no resolver's answer.
fn differences(
    first: &Capture,
    other: &Capture,
    frame: &Frame,
    resolvers: &[Resolver],
) -> Vec<(Place, u64, u64)> {
    let slots: BTreeSet<Place> =
        resolvers.iter().flat_map(|resolver| resolver.slots.iter().copied()).collect();
    // The stack lies elsewhere in each process.
    let known = Known::new(first, other, Vec::new());
    let (first, other) = (Memory { capture: first, frame }, Memory { capture: other, frame });
    let mut words = words::differences(&first, &other);
    words.retain(|&(at, a, b)| known.find(a, b).is_none() && !slots.contains(&at));
    words
}

impl Variant {
    fn new(
        cpu: Cpu,
        first: &Capture,
        frame: &Frame,
        words: Vec<(Place, u64, u64)>,
        results: Vec<Place>,
        fixed: bool,
    ) -> Self {
        let (mut literals, mut pointers) = (Vec::new(), Vec::new());
        for (at, before, value) in words {
            if is_pointer(first, before, value) && !fixed {
                pointers.push((at, frame.place(value)));
            } else {
                literals.push((at, value));
            }
        }
        let features = cpu.features();
        let name = cpu.name();
        let exact = cpu == Cpu::This;
        Self { name, cpu: features, exact, literals, pointers, results }
    }
}

/// Whether a word that depends on the CPU, and is `before` in the first capture, holds an address. Where words have 64 bits no
/// other value is one of the block's by accident. Where they have 32, what CPUID answers may be: but such a word is null or an
/// address in the first capture, too, and leads to code.
fn is_pointer(first: &Capture, before: u64, value: u64) -> bool {
    let is_code =
        |address| first.region_at(address).is_some_and(|region| region.prot & PROT_EXEC != 0);
    first.block.contains(&value)
        && (first.machine.is_64() || is_code(value) && (before == 0 || is_code(before)))
}

/// What the object's file has for the word at an address; beyond what it has, memory is zero.
fn original(object: &Object, address: u64) -> u64 {
    let elf = ElfFile::parse(&object.bytes).ok();
    let word = elf.and_then(|elf| {
        let bias = object.range.start.wrapping_sub(elf.span()?.start);
        let mut word = [0; 8];
        for (index, byte) in word.iter_mut().enumerate().take(elf.address_size()) {
            let at = address.wrapping_sub(bias).wrapping_add(index as u64);
            *byte = elf.at(at, 1).map_or(0, |bytes| bytes[0]);
        }
        Some(u64::from_le_bytes(word))
    });
    word.unwrap_or(0)
}

impl CpuChoices {
    /// Leaves alone what is known only at start: `taken` are the words of other fix-ups.
    pub fn spare(&mut self, taken: &BTreeSet<Place>) {
        let free = |at: &Place| !taken.contains(at);
        self.resets.retain(|(at, _)| free(at));
        for variant in &mut self.variants {
            variant.literals.retain(|(at, _)| free(at));
            variant.pointers.retain(|(at, _)| free(at));
        }
        for resolver in &mut self.resolvers {
            resolver.slots.retain(free);
        }
    }

    /// Every word that may be written.
    pub fn words(&self) -> impl Iterator<Item = Place> {
        let variants = self.variants.iter().flat_map(|variant| {
            let pointers = variant.pointers.iter().map(|word| word.0);
            variant.literals.iter().map(|word| word.0).chain(pointers)
        });
        let slots = self.resolvers.iter().flat_map(|resolver| resolver.slots.iter().copied());
        self.resets.iter().map(|reset| reset.0).chain(variants).chain(slots)
    }
}
