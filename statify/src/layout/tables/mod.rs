//! The parameter block and its tables, as bytes (the format is in [`statify_params`]).

mod facts;
mod names;
mod pile;
mod runs;
mod slides;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use statify_elf::PAGE;
use statify_elf::machine::Machine;
use statify_format::Shape;
use statify_params as params;
use statify_params::Params;

use super::constants::Constants;
use super::pieces::Piece;
use super::placement::{Addresses, Placement};
use crate::classify::tunables::Variables;
use crate::classify::{Fixup, Image, Place, Value};
use pile::{Pile, Placed};
use slides::SlideGroup;

pub use slides::SlideGroups;

/// The most bytes of tables that stay mapped (read-only): unmapping takes about 7 us.
const MOST_KEPT: u64 = 64 << 10;

/// What the tables are made from.
#[derive(Clone)]
pub struct Input<'a> {
    /// The image.
    pub image: &'a Image,
    /// What the user has chosen.
    pub shape: &'a Shape,
    /// Its memory by permissions.
    pub pieces: &'a [Piece],
    /// Who maps what.
    pub placement: &'a Placement,
    /// The pages that the starter writes to.
    pub patched: &'a BTreeSet<Place>,
    /// Words to write.
    pub constants: &'a Constants,
    /// The image's pointers.
    pub slides: &'a SlideGroups,
    /// Where everything lies in the output.
    pub addresses: &'a Addresses,
    /// The page that can grow, and what of the file it then holds.
    pub pool: (Place, Range<u64>),
}

/// Bytes of the tables and of `Params`.
pub fn size(input: &Input<'_>) -> usize {
    tables(input, 0, 0).len()
}

/// The front of the output behind the headers: tables, padding, `Params`, the starter's code.
/// `base` is the address of the headers, `code` the address that the starter goes to.
pub fn build(input: &Input<'_>, base: u64, code: u64, headers: u64) -> Vec<u8> {
    let unmap = if code - base > MOST_KEPT { code - base } else { 0 };
    let tables = tables(input, code, unmap);
    let room = (code - base - headers) as usize;
    let mut front = vec![0; room - tables.len()];
    front.extend(tables);
    front.extend(starter::IMAGE);
    front
}

/// A table for each of a variant's: literals, pointers, results.
type OfVariant = [Placed; 3];

/// The tables, and behind them `Params`, whose code lies at the address `code`.
fn tables(input: &Input<'_>, code: u64, unmap: u64) -> Vec<u8> {
    let Input { image, pieces, placement, patched, constants, slides: groups, addresses, .. } =
        *input;
    let at = |place| addresses.at(place);
    let constant = |&(place, value): &(Place, u64)| params::Constant { at: at(place), value };
    let range = |start: Place, len: u64, prot: u32| params::Range { start, len, prot: prot.into() };
    let choices = &image.cpu;

    let mut pile = Pile::default();
    let stream = pile.bytes([&groups.stream[..]]);
    let maps = pile.table(placement.maps.iter().map(|(to, prot, offset)| params::Map {
        to: to.start,
        len: to.end - to.start,
        offset: *offset,
        prot: (*prot).into(),
    }));
    let zeros = placement.zeros.iter();
    let zeros =
        pile.table(zeros.map(|(zeros, prot)| range(zeros.start, zeros.end - zeros.start, *prot)));
    let of_groups = pile.table(addresses.groups(image));
    let populates = runs::populates(patched, addresses);
    let populates = pile.table(populates.map(|(start, len)| range(at(start), len, 0)));
    let machine = image.machine();
    let calls = image.calls.iter().map(|call| kernel_call(call, addresses, machine));
    let calls = pile.table(calls);
    let constants = pile.table(constants.values().flatten().map(constant));
    // How far their words' distances lie below `Params` is known when that has its place.
    let slide = |group: &SlideGroup, below: Placed, end: usize| params::Slide {
        target: at(image.modules[group.target].range.start),
        start: at(group.first),
        stream: distances(group, below, end),
        count: group.count as u32,
    };
    let slides = pile.table(groups.slides.iter().map(|group| slide(group, stream, usize::MAX)));
    let fixups = pile.table(fixups(image, addresses));
    let protects = runs::protects(pieces, addresses);
    let protects = pile.table(protects.map(|(start, len, prot)| range(at(start), len, prot)));
    let seals = runs::seals(pieces, addresses);
    let seals = pile.table(seals.map(|(start, len)| range(at(start), len, 0)));
    let resets = pile.table(choices.resets.iter().map(constant));
    let resolver = |group: &SlideGroup, below: Placed, end: usize| params::Resolver {
        function: at(choices.resolvers[group.target].function),
        start: at(group.first),
        stream: distances(group, below, end),
        count: group.count as u32,
    };
    let resolvers =
        pile.table(groups.resolvers.iter().map(|group| resolver(group, stream, usize::MAX)));
    let none = params::Table::default();
    let variants = pile.table(choices.variants.iter().map(|variant| params::Variant {
        cpu: variant.cpu,
        exact: variant.exact.into(),
        literals: none,
        pointers: none,
        results: none,
    }));
    let mut of_variants: Vec<OfVariant> = Vec::new();
    for variant in &choices.variants {
        let pointer =
            |&(place, to): &(Place, Place)| params::Constant { at: at(place), value: at(to) };
        let results = groups.resolvers.iter().map(|group| at(variant.results[group.target]));
        of_variants.push([
            pile.table(variant.literals.iter().map(constant)),
            pile.table(variant.pointers.iter().map(pointer)),
            pile.table(results),
        ]);
    }
    let texts = pile.bytes(names::texts(&image.fixups).iter().map(Vec::as_slice));
    pile.fill_up_to(16);
    if !(pile.len() + size_of::<Params>()).is_multiple_of(16) {
        pile.bytes([&[0; 8][..]]);
    }

    let end = pile.len();
    pile.again(slides, groups.slides.iter().map(|group| slide(group, stream, end)));
    pile.again(resolvers, groups.resolvers.iter().map(|group| resolver(group, stream, end)));
    pile.again(
        variants,
        choices.variants.iter().zip(&of_variants).map(|(variant, tables)| {
            let [literals, pointers, results] = tables.map(|table| table.below(end));
            params::Variant {
                cpu: variant.cpu,
                exact: variant.exact.into(),
                literals,
                pointers,
                results,
            }
        }),
    );
    let (pool, pool_file) = input.pool.clone();
    pile.end(Params {
        magic: params::MAGIC,
        vaddr: code.wrapping_sub(size_of::<Params>() as u64),
        front: addresses.front,
        unmap,
        handoff: at(image.handoff),
        entry: at(image.entry),
        phdr: at(image.phdr),
        phnum: image.phnum,
        loader: at(image.loader),
        page_size: PAGE,
        stack_unlimited: image.thread_stack.0,
        stack_least: image.thread_stack.1,
        secure: image.secure.code(),
        alignment: addresses.program_alignment,
        groups: of_groups.below(end),
        pool,
        pool_offset: pool_file.start,
        pool_len: pool_file.end - pool_file.start,
        extents: facts::extents(image).map(at),
        choices: facts::chosen(image, input.shape),
        least_kernel: facts::least_kernel(image),
        maps: maps.below(end),
        zeros: zeros.below(end),
        populates: populates.below(end),
        calls: calls.below(end),
        constants: constants.below(end),
        slides: slides.below(end),
        fixups: fixups.below(end),
        vdso_names: texts.below(end),
        protects: protects.below(end),
        seals: seals.below(end),
        floor: choices.floor,
        variants: variants.below(end),
        resets: resets.below(end),
        resolvers: resolvers.below(end),
        can_resolve: choices.can_resolve.into(),
        read_tunables: match &image.variables {
            Variables::ByLibrary => 0,
            Variables::ByLoader(tunables) => at(tunables.read),
            Variables::Frozen => params::FROZEN_TUNABLES,
        },
        take_over_tunables: image.variables.tunables().and_then(|t| t.take_over).map_or(0, at),
        origin_room: names::origin_room(&image.fixups),
        reserved: 0,
    })
}

/// How far below `end` the distances of a group's words begin.
fn distances(group: &SlideGroup, stream: Placed, end: usize) -> u32 {
    stream.below(end).offset.wrapping_sub(group.stream as u32)
}

/// A call that the loader has made, and which of its arguments are places.
fn kernel_call(
    (call, is_place): &(crate::capture::KernelCall, [bool; 4]),
    addresses: &Addresses,
    machine: Machine,
) -> params::Call {
    let mut args = call.args;
    let mut places = 0;
    for i in (0..4).filter(|&i| is_place[i]) {
        args[i] = addresses.at(args[i]);
        places |= 1 << i;
    }
    let result = match call.number {
        number if machine.sets_thread_pointer(number, &call.args) => params::CALL_REQUIRED,
        libc::SYS_set_tid_address => params::CALL_THREAD_ID,
        libc::SYS_rseq => params::CALL_RSEQ,
        _ => params::CALL_OPTIONAL,
    };
    params::Call { number: call.number as u64, result, args, places }
}

/// The image's fix-ups, and pointers at addresses that no slide reaches.
fn fixups(image: &Image, addresses: &Addresses) -> Vec<params::Fixup> {
    let (names, rests) = (names::vdso_names(&image.fixups), names::rests(&image.fixups));
    let others = image.fixups.iter().map(|fixup| record(fixup, addresses, &names, &rests));
    let unaligned = image.unaligned_slides.iter().map(|slide| {
        let module = addresses.at(image.modules[slide.target].range.start) / PAGE;
        let (at, kind) = (addresses.at(slide.at), params::FIXUP_UNALIGNED_SLIDE);
        params::Fixup { at, kind, width: 8, arg: 0, extra: module as u32 }
    });
    others.chain(unaligned).collect()
}

fn record(
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
        Value::Canary => (params::FIXUP_CANARY, 0, 0),
        Value::PointerGuard => (params::FIXUP_POINTER_GUARD, 0, 0),
        Value::ThreadId => (params::FIXUP_THREAD_ID, 0, 0),
        Value::Break => (params::FIXUP_BREAK, 0, 0),
        Value::StackLimit => (params::FIXUP_STACK_LIMIT, 0, 0),
        Value::RseqSize => (params::FIXUP_RSEQ_SIZE, 0, 0),
        Value::Random => (params::FIXUP_RANDOM, 0, 0),
        Value::Timestamp => (params::FIXUP_TIMESTAMP, 0, 0),
        Value::Secure(difference) => (params::FIXUP_SECURE, 0, *difference as u32),
        Value::Origin(rest) => (params::FIXUP_ORIGIN, 0, rests.get(&**rest).copied().unwrap_or(0)),
        Value::Vdso(name) => (params::FIXUP_VDSO, names.get(&**name).copied().unwrap_or(0), 0),
    };
    params::Fixup { at: addresses.at(fixup.at), kind, width: fixup.width, arg, extra }
}
