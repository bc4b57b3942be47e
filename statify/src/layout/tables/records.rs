//! From what the image and its layout have to the records of the starter's tables.

use std::collections::BTreeMap;
use std::ops::Range;

use statify_elf::PAGE;
use statify_elf::machine::Machine;
use statify_params as params;

use super::pile::Placed;
use super::slides::SlideGroup;
use super::{Input, names};
use crate::classify::cpu::Variant;
use crate::classify::{Argument, Call, Fixup, Image, Value};
use crate::layout::placement::{Addresses, Mapped};
use crate::layout::pooled::{self, InFile};
use crate::place::{OutPlace, Place};

/// Pages of the file for the starter to map; `pooled` are the objects that are files of the pool.
pub fn map(mapped: &Mapped, pooled: &[usize]) -> params::Map {
    let number = |file: InFile| pooled.iter().position(|&object| object == file.object);
    let in_pool = mapped.in_file.and_then(|file| Some((number(file)? as u16 + 1, file.offset)));
    let (pool_file, offset) = in_pool.unwrap_or_default();
    params::Map {
        to: mapped.range.start.value(),
        len: mapped.range.end - mapped.range.start,
        offset: mapped.offset,
        prot: mapped.prot as u16,
        pool_file,
        pool_page: (offset / PAGE) as u32,
    }
}

/// The files of the pool.
pub fn pool_files(input: &Input<'_>) -> impl Iterator<Item = params::PoolFile> {
    let Input { image, pool, pooled, .. } = *input;
    let files = pool
        .into_iter()
        .flat_map(move |pool| pooled.iter().map(move |&object| (object, &pool.hashes[object])));
    files.map(|(object, hashes)| pooled::record(&image.objects[object], hashes))
}

/// Zero pages for the starter to map.
pub fn zeros((zeros, prot): &(Range<OutPlace>, u32)) -> params::Range {
    range(zeros.start, zeros.end - zeros.start, *prot)
}

/// Pages, and their permissions where these count.
pub fn range(start: OutPlace, len: u64, prot: u32) -> params::Range {
    params::Range { start: start.value(), len, prot: prot.into() }
}

/// A word that holds a place.
pub fn pointer(&(place, to): &(Place, Place), addresses: &Addresses) -> params::Constant {
    params::Constant { at: addresses.at(place).value(), value: addresses.at(to).value() }
}

/// Pointers by the module they lead into; `end` is where `Params` will lie, below which their distances are.
pub fn slides(
    input: &Input<'_>,
    stream: Placed,
    end: usize,
) -> impl Iterator<Item = params::Slide> {
    let Input { image, addresses, .. } = *input;
    input.slides.slides.iter().map(move |group| params::Slide {
        target: addresses.at(image.modules[group.target].range.start).value(),
        start: addresses.at(group.first).value(),
        stream: distances(group, stream, end),
        count: group.count as u32,
    })
}

/// IFUNC resolvers and the words that they fill.
pub fn resolvers(
    input: &Input<'_>,
    stream: Placed,
    end: usize,
) -> impl Iterator<Item = params::Resolver> {
    let Input { image, addresses, .. } = *input;
    input.slides.resolvers.iter().map(move |group| params::Resolver {
        function: addresses.at(image.cpu.resolvers[group.target].function).value(),
        start: addresses.at(group.first).value(),
        stream: distances(group, stream, end),
        count: group.count as u32,
    })
}

/// How far below `end` the distances of a group's words begin.
fn distances(group: &SlideGroup, stream: Placed, end: usize) -> u32 {
    stream.below(end).offset.wrapping_sub(group.stream as u32)
}

/// A kind of CPU, and its literals, pointers and results.
pub fn variant(
    variant: &Variant,
    [literals, pointers, results]: [params::Table; 3],
) -> params::Variant {
    let exact = variant.exact.into();
    params::Variant { cpu: variant.cpu, exact, literals, pointers, results }
}

/// What the resolvers answer on a kind of CPU, for each group of their words.
pub fn results(input: &Input<'_>, variant: &Variant) -> impl Iterator<Item = u64> {
    let groups = input.slides.resolvers.iter();
    groups.map(|group| input.addresses.at(variant.results[group.target]).value())
}

/// A system call that the loader has made.
pub fn call(call: &Call, addresses: &Addresses, machine: Machine) -> params::Call {
    let numbers = call.args.map(Argument::number);
    // As the machine itself numbers it.
    let own = machine.call_number(call.number).unwrap_or(-1);
    let mut places = 0;
    for (index, argument) in call.args.iter().enumerate() {
        places |= u64::from(matches!(argument, Argument::Place(_))) << index;
    }
    let args = call.args.map(|argument| match argument {
        Argument::Number(number) => number,
        Argument::Place(place) => addresses.at(place).value(),
    });
    let result = match call.number {
        _ if machine.sets_thread_pointer(own, &numbers) => params::CALL_REQUIRED,
        libc::SYS_set_tid_address => params::CALL_THREAD_ID,
        libc::SYS_rseq => params::CALL_RSEQ,
        _ => params::CALL_OPTIONAL,
    };
    params::Call { number: own as u64, result, args, places }
}

/// The image's fix-ups, and pointers at addresses that no slide reaches.
pub fn fixups(image: &Image, addresses: &Addresses, word: u64) -> Vec<params::Fixup> {
    let (names, rests) = (names::vdso_names(&image.fixups), names::rests(&image.fixups));
    let others = image.fixups.iter().map(|fixup| self::fixup(fixup, addresses, &names, &rests));
    let unaligned = image.unaligned_slides.iter().map(|slide| {
        let module = addresses.at(image.modules[slide.target].range.start).value() / PAGE;
        let (at, kind) = (addresses.at(slide.at).value(), params::FIXUP_UNALIGNED_SLIDE);
        params::Fixup { at, kind, width: word as u8, arg: 0, extra: module as u32 }
    });
    others.chain(unaligned).collect()
}

fn fixup(
    fixup: &Fixup,
    addresses: &Addresses,
    names: &BTreeMap<&str, u16>,
    rests: &BTreeMap<&[u8], u32>,
) -> params::Fixup {
    let (kind, arg, extra) = match &fixup.value {
        Value::Stack(above) => (params::FIXUP_STACK, 0, *above as u32),
        Value::Envp => (params::FIXUP_ENVP, 0, 0),
        Value::Auxv => (params::FIXUP_AUXV, 0, 0),
        Value::Argc => (params::FIXUP_ARGC, 0, 0),
        Value::Aux(kind) => (params::FIXUP_AUX_VALUE, *kind, 0),
        Value::Canary(without) => (params::FIXUP_CANARY, *without, 0),
        Value::PointerGuard => (params::FIXUP_POINTER_GUARD, 0, 0),
        Value::ThreadId => (params::FIXUP_THREAD_ID, 0, 0),
        Value::Break => (params::FIXUP_BREAK, 0, 0),
        Value::StackLimit => (params::FIXUP_STACK_LIMIT, 0, 0),
        Value::CpuWord(number, _) => (params::FIXUP_CPU_WORD, *number, 0),
        Value::RseqSize => (params::FIXUP_RSEQ_SIZE, 0, 0),
        Value::Random => (params::FIXUP_RANDOM, 0, 0),
        Value::Timestamp => (params::FIXUP_TIMESTAMP, 0, 0),
        Value::TimestampHigh => (params::FIXUP_TIMESTAMP_HIGH, 0, 0),
        Value::RandomWord(index) => (params::FIXUP_RANDOM_WORD, *index, 0),
        Value::Secure(difference) => (params::FIXUP_SECURE, 0, *difference as u32),
        Value::Hwcap(bit, larger) => (params::FIXUP_HWCAP, *bit, *larger as u32),
        Value::Origin(rest) => (params::FIXUP_ORIGIN, 0, rests.get(&**rest).copied().unwrap_or(0)),
        Value::Vdso(name) => (params::FIXUP_VDSO, names.get(&**name).copied().unwrap_or(0), 0),
    };
    params::Fixup { at: addresses.at(fixup.at).value(), kind, width: fixup.width, arg, extra }
}
