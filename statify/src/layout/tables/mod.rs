//! The parameter block and its tables, as bytes (the format is in [`statify_params`]).
//!
//! [`records`] makes the records of each table, [`slides`] and [`runs`] group what they are made from, [`names`]
//! has their texts, [`facts`] what is no table; [`pile`] puts one behind the other.

mod constants;
mod distances;
mod facts;
mod names;
mod pile;
mod records;
mod runs;
mod slides;

use std::collections::BTreeSet;
use std::ops::Range;

use statify_elf::machine::Machine;
use statify_format::Shape;
use statify_params as params;
use statify_params::Params;

use super::pieces::Piece;
use super::placement::{Addresses, Placement};
use super::pooled::{self, PoolRequest};
use crate::classify::Image;
use crate::classify::tunables::Variables;
use crate::layout;
use crate::place::{OutPlace, Place};
use constants::Constants;
use pile::{Pile, Placed};

pub use slides::SlideGroups;

/// The most bytes of tables that stay mapped (read-only): unmapping takes about 7 us.
const MOST_KEPT: u64 = 64 << 10;

/// What the tables are made from.
#[derive(Clone)]
pub struct Input<'a> {
    /// The image.
    pub image: &'a Image,
    /// The machine that it is for.
    pub machine: Machine,
    /// The starter's code for that.
    pub starter: &'a [u8],
    /// The largest size of pages that it is laid out for, in bytes.
    pub largest_page: u64,
    /// What the user has chosen.
    pub shape: &'a Shape,
    /// Its memory by permissions.
    pub pieces: &'a [Piece],
    /// Who maps what.
    pub placement: &'a Placement,
    /// The pages that the starter writes to.
    pub patched: &'a BTreeSet<Place>,
    /// Words to write.
    pub constants: &'a layout::constants::Constants,
    /// The image's pointers.
    pub slides: &'a SlideGroups,
    /// Where everything lies in the output.
    pub addresses: &'a Addresses,
    /// The pool, if anything is mapped from it.
    pub pool: Option<PoolRequest<'a>>,
    /// The objects that are its files.
    pub pooled: &'a [usize],
    /// The page that can grow, and what of the file it then holds.
    pub spare: (OutPlace, Range<u64>),
}

/// Bytes of the tables and of `Params`.
pub fn size(input: &Input<'_>) -> usize {
    tables(input, OutPlace::default(), 0).len()
}

/// The front of the output behind the headers: tables, padding, `Params`, the starter's code.
/// `base` is the address of the headers, `end` the one that `Params` ends at.
pub fn build(input: &Input<'_>, base: OutPlace, end: OutPlace, headers: u64) -> Vec<u8> {
    let unmap = if end - base > MOST_KEPT { end - base } else { 0 };
    let tables = tables(input, end, unmap);
    let room = (end - base - headers) as usize;
    let mut front = vec![0; room - tables.len()];
    front.extend(tables);
    front.extend(input.starter);
    front
}

/// The tables, and behind them `Params`, up to the address `end`.
fn tables(input: &Input<'_>, end: OutPlace, unmap: u64) -> Vec<u8> {
    let mut pile = Pile::default();
    let tables = Tables::add(input, &mut pile);
    pile.fill_up_to(16);
    if !(pile.len() + size_of::<Params>()).is_multiple_of(16) {
        pile.bytes([&[0; 8][..]]);
    }
    tables.complete(input, &mut pile);
    let params = tables.params(input, pile.len(), end, unmap);
    pile.end(params)
}

/// What there is for each variant.
struct OfVariant {
    literals: Constants,
    pointers: Placed,
    results: Placed,
}

/// Where each table lies.
struct Tables {
    stream: Placed,
    maps: Placed,
    pool_files: Placed,
    zeros: Placed,
    groups: Placed,
    populates: Placed,
    calls: Placed,
    constants: Constants,
    slides: Placed,
    fixups: Placed,
    protects: Placed,
    seals: Placed,
    resets: Constants,
    resolvers: Placed,
    variants: Placed,
    of_variants: Vec<OfVariant>,
    texts: Placed,
    pool: Placed,
}

impl Tables {
    /// Adds all of them. What says how far others lie below `Params` says nothing yet.
    fn add(input: &Input<'_>, pile: &mut Pile) -> Self {
        let Input { image, machine, addresses, placement, pieces, .. } = *input;
        let word = machine.word();
        let choices = &image.cpu;
        let stream = pile.bytes([&input.slides.stream[..]]);
        let mut tables = Self {
            stream,
            maps: pile.table(placement.maps.iter().map(|map| records::map(map, input.pooled))),
            pool_files: pile.table(records::pool_files(input)),
            zeros: pile.table(placement.zeros.iter().map(records::zeros)),
            groups: pile.table(addresses.groups(image)),
            populates: {
                let runs = runs::populates(input.patched, addresses);
                pile.table(runs.map(|(start, len)| records::range(addresses.at(start), len, 0)))
            },
            calls: {
                let call = |call| records::call(call, addresses, machine);
                pile.table(image.calls.iter().map(call))
            },
            constants: Constants::add(input.constants.values().flatten(), addresses, word, pile),
            slides: pile.table(records::slides(input, stream, usize::MAX)),
            fixups: pile.table(records::fixups(image, addresses, word)),
            protects: {
                let runs = runs::protects(pieces, addresses, input.largest_page);
                let range = |(start, len, prot)| records::range(addresses.at(start), len, prot);
                pile.table(runs.map(range))
            },
            seals: {
                let runs = runs::seals(pieces, addresses, input.largest_page);
                let range = |(start, len, ends)| records::range(addresses.at(start), len, ends);
                pile.table(runs.map(range))
            },
            resets: Constants::add(&choices.resets, addresses, word, pile),
            resolvers: pile.table(records::resolvers(input, stream, usize::MAX)),
            variants: pile.table(
                choices
                    .variants
                    .iter()
                    .map(|variant| records::variant(variant, [params::Table::default(); 3])),
            ),
            of_variants: Vec::new(),
            texts: Placed::default(),
            pool: Placed::default(),
        };
        for variant in &choices.variants {
            let pointers = variant.pointers.iter();
            tables.of_variants.push(OfVariant {
                literals: Constants::add(&variant.literals, addresses, word, pile),
                pointers: pile.table(pointers.map(|word| records::pointer(word, addresses))),
                results: pile.table(records::results(input, variant)),
            });
        }
        let texts = names::texts(&image.fixups);
        tables.texts = pile.bytes(texts.iter().map(Vec::as_slice));
        let directory = input.pool.map(|pool| pooled::names(pool.path));
        tables.pool = pile.bytes(directory.as_deref());
        tables
    }

    /// Says how far tables lie below `Params`, which is to be at the pile's end.
    fn complete(&self, input: &Input<'_>, pile: &mut Pile) {
        let end = pile.len();
        let literals = self.of_variants.iter().map(|tables| &tables.literals);
        for constants in [&self.constants, &self.resets].into_iter().chain(literals) {
            constants.complete(pile);
        }
        pile.again(self.slides, records::slides(input, self.stream, end));
        pile.again(self.resolvers, records::resolvers(input, self.stream, end));
        let variants = input.image.cpu.variants.iter().zip(&self.of_variants);
        let below = |OfVariant { literals, pointers, results }: &OfVariant| {
            [literals.table, *pointers, *results].map(|table| table.below(end))
        };
        pile.again(
            self.variants,
            variants.map(|(variant, tables)| records::variant(variant, below(tables))),
        );
    }

    /// `Params` at `end` of the pile, and up to the address `behind`.
    fn params(&self, input: &Input<'_>, end: usize, behind: OutPlace, unmap: u64) -> Params {
        let Input { image, addresses, .. } = *input;
        let at = |place| addresses.at(place).value();
        let choices = &image.cpu;
        let (spare, spare_file) = input.spare.clone();
        Params {
            magic: params::MAGIC,
            vaddr: behind.value().wrapping_sub(size_of::<Params>() as u64),
            front: addresses.front.value(),
            unmap,
            handoff: at(image.handoff),
            entry: at(image.entry),
            phdr: at(image.phdr),
            phnum: image.phnum,
            loader: at(image.loader_base),
            page_size: image.page_size,
            stack_unlimited: image.thread_stack.0,
            stack_least: image.thread_stack.1,
            secure: image.secure.code(),
            alignment: addresses.program_alignment,
            groups: self.groups.below(end),
            spare: spare.value(),
            spare_offset: spare_file.start,
            spare_len: spare_file.end - spare_file.start,
            extents: facts::extents(image).map(at),
            choices: facts::chosen(image, input.shape),
            least_kernel: facts::least_kernel(image),
            pool: self.pool.below(end),
            pool_files: self.pool_files.below(end),
            maps: self.maps.below(end),
            zeros: self.zeros.below(end),
            populates: self.populates.below(end),
            calls: self.calls.below(end),
            constants: self.constants.table.below(end),
            slides: self.slides.below(end),
            fixups: self.fixups.below(end),
            vdso_names: self.texts.below(end),
            protects: self.protects.below(end),
            seals: self.seals.below(end),
            floor: choices.floor,
            variants: self.variants.below(end),
            resets: self.resets.table.below(end),
            resolvers: self.resolvers.below(end),
            can_resolve: choices.can_resolve.into(),
            read_tunables: match &image.variables {
                Variables::ByLibrary => 0,
                Variables::ByLoader(tunables) => at(tunables.read),
                Variables::Frozen => params::FROZEN_TUNABLES,
            },
            take_over_tunables: image.variables.tunables().and_then(|t| t.take_over).map_or(0, at),
            origin_room: names::origin_room(&image.fixups),
            largest_page: input.largest_page,
        }
    }
}
