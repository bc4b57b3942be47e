//! The parameter block and its tables, as bytes (the format is in `params`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use statify_elf::{ElfFile, PAGE, page_down};
use statify_format::{Randomness, Seal, Shape};
use statify_params::Table;

use super::constants::Constants;
use super::pieces::Piece;
use super::placement::{Addresses, Placement};
use super::stream;
use crate::classify::tunables::Variables;
use crate::classify::{Fixup, Image, Place, Resolver, Slide, Value};

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
    Builder::new(input).finish(0, 0).len()
}

/// The front of the output behind the headers: tables, padding, `Params`, the starter's code.
/// `base` is the address of the headers, `code` the address that the starter goes to.
pub fn build(input: &Input<'_>, base: u64, code: u64, headers: u64) -> Vec<u8> {
    let unmap = if code - base > MOST_KEPT { code - base } else { 0 };
    let tables = Builder::new(input).finish(code, unmap);
    let room = (code - base - headers) as usize;
    let mut front = vec![0; room - tables.len()];
    front.extend(tables);
    front.extend(starter::IMAGE);
    front
}

struct Builder<'a> {
    input: &'a Input<'a>,
    bytes: Vec<u8>,
    /// Where each table starts in `bytes`.
    starts: Vec<(usize, usize)>,
}

impl<'a> Builder<'a> {
    fn new(input: &'a Input<'a>) -> Self {
        Self { input, bytes: Vec::new(), starts: Vec::new() }
    }

    fn at(&self, place: Place) -> Place {
        self.input.addresses.at(place)
    }

    fn words(&mut self, words: &[u64]) {
        self.bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// A table of records of 8-byte words.
    fn table<const N: usize>(&mut self, records: impl IntoIterator<Item = [u64; N]>) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let start = self.bytes.len();
        let mut count = 0;
        for record in records {
            self.words(&record);
            count += 1;
        }
        self.starts.push((start, count));
    }

    fn finish(mut self, code: u64, unmap: u64) -> Vec<u8> {
        let Input { image, pieces, placement, patched, constants, slides: groups, .. } =
            *self.input;
        let addresses = self.input.addresses;
        let stream_start = self.bytes.len();
        self.bytes.extend(&groups.stream);

        let range = |range: &Range<Place>, prot: u32| {
            [range.start, range.end - range.start, u64::from(prot)]
        };
        self.table(
            placement
                .maps
                .iter()
                .map(|(to, prot, offset)| [to.start, to.end - to.start, *offset, u64::from(*prot)]),
        );
        self.table(placement.zeros.iter().map(|(zeros, prot)| range(zeros, *prot)));
        let group = |group: statify_params::Group| [group.start, group.len, group.alignment];
        self.table(addresses.groups(image).into_iter().map(group));
        self.table(populates(patched, addresses).map(|(start, len)| [addresses.at(start), len, 0]));
        let machine = image.machine();
        self.table(image.calls.iter().map(|(call, is_place)| {
            let mut args = call.args;
            let mut places = 0;
            for i in (0..4).filter(|&i| is_place[i]) {
                args[i] = addresses.at(args[i]);
                places |= 1 << i;
            }
            let result = match call.number {
                number if machine.sets_thread_pointer(number, &call.args) => {
                    statify_params::CALL_REQUIRED
                }
                libc::SYS_set_tid_address => statify_params::CALL_THREAD_ID,
                libc::SYS_rseq => statify_params::CALL_RSEQ,
                _ => statify_params::CALL_OPTIONAL,
            };
            [call.number as u64, result, args[0], args[1], args[2], args[3], places]
        }));
        let words = constants.values().flatten();
        self.table(words.map(|&(at, value)| [addresses.at(at), value]));
        let slides_index = self.starts.len();
        self.table(groups.groups.iter().map(|group| {
            let target = addresses.at(image.modules[group.target].range.start);
            // The stream's offset is known when `Params` has its place.
            [target, addresses.at(group.first), group.stream as u64 | (group.count as u64) << 32]
        }));
        let names = vdso_names(&image.fixups);
        let unaligned = image.unaligned_slides.iter().map(|slide| {
            let module = addresses.at(image.modules[slide.target].range.start) / PAGE;
            fixup_record(
                self.at(slide.at),
                statify_params::FIXUP_UNALIGNED_SLIDE,
                8,
                0,
                module as u32,
            )
        });
        let paths = rests(&image.fixups);
        let others = image.fixups.iter().map(|fixup| self.fixup(fixup, &names, &paths));
        let fixups: Vec<[u64; 2]> = others.chain(unaligned).collect();
        self.table(fixups);
        self.table(
            protects(pieces, addresses)
                .map(|(start, len, prot)| [addresses.at(start), len, u64::from(prot)]),
        );
        self.table(seals(pieces, addresses).map(|(start, len)| [addresses.at(start), len, 0]));
        let choices = &image.cpu;
        self.table(choices.resets.iter().map(|&(at, value)| [addresses.at(at), value]));
        let resolvers_index = self.starts.len();
        self.table(groups.resolvers.iter().map(|group| {
            let function = addresses.at(choices.resolvers[group.target].function);
            [function, addresses.at(group.first), group.stream as u64 | (group.count as u64) << 32]
        }));
        let variants_index = self.starts.len();
        self.table(choices.variants.iter().map(|variant| {
            let mut record = [0; size_of::<statify_params::Variant>() / 8];
            record[..4].copy_from_slice(&cpu_words(&variant.cpu));
            record[4] = u64::from(variant.exact);
            record
        }));
        let nested_index = self.starts.len();
        for variant in &choices.variants {
            self.table(variant.literals.iter().map(|&(at, value)| [addresses.at(at), value]));
            self.table(
                variant.pointers.iter().map(|&(at, to)| [addresses.at(at), addresses.at(to)]),
            );
            let results = groups.resolvers.iter().map(|group| variant.results[group.target]);
            self.table(results.map(|result| [addresses.at(result)]));
        }
        let nested = self.starts.split_off(nested_index);
        let names_start = self.bytes.len();
        for name in names.keys() {
            self.bytes.extend(name.as_bytes());
            self.bytes.push(0);
        }
        for rest in paths.keys() {
            self.bytes.extend(*rest);
            self.bytes.push(0);
        }
        let names_len = self.bytes.len() - names_start;
        self.starts.push((names_start, names_len));
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        if !(self.bytes.len() + size_of::<statify_params::Params>()).is_multiple_of(16) {
            self.bytes.resize(self.bytes.len() + 8, 0);
        }

        // What counts from `Params` is known when that has its place.
        let end = self.bytes.len();
        for index in [slides_index, resolvers_index] {
            let (start, count) = self.starts[index];
            for record in self.bytes[start..start + 24 * count].chunks_exact_mut(24) {
                let stream = u32::from_le_bytes(record[16..20].try_into().unwrap_or_default());
                let offset = (end - stream_start) as u32 - stream;
                record[16..20].copy_from_slice(&offset.to_le_bytes());
            }
        }
        let table = |&(start, count): &(usize, usize)| {
            let table = Table { offset: (end - start) as u32, count: count as u32 };
            u64::from(table.offset) | u64::from(table.count) << 32
        };
        let (variants, size) =
            (self.starts[variants_index].0, size_of::<statify_params::Variant>());
        for (index, tables) in nested.chunks_exact(3).enumerate() {
            let at = variants + index * size + size_of::<statify_params::CpuFeatures>() + 8;
            let words: Vec<u8> =
                tables.iter().flat_map(|nested| table(nested).to_le_bytes()).collect();
            self.bytes[at..at + words.len()].copy_from_slice(&words);
        }
        let tables: Vec<u64> = self.starts.iter().map(table).collect();
        let [
            maps,
            zeros,
            groups,
            populates,
            calls,
            constants,
            slides,
            fixups,
            protects,
            seals,
            resets,
            resolvers,
            variants,
            vdso_names,
        ] = tables[..].try_into().expect("there are fourteen tables");
        let vaddr = code.wrapping_sub(size_of::<statify_params::Params>() as u64);
        let (pool, pool_file) = self.input.pool.clone();
        let extents = extents(image).map(|place| addresses.at(place));
        let choices_made = chosen(image, self.input.shape);
        // In the order of the fields of `Params`.
        let floor = cpu_words(&choices.floor);
        let fields = [
            statify_params::MAGIC,
            vaddr,
            addresses.front,
            unmap,
            addresses.at(image.handoff),
            addresses.at(image.entry),
            addresses.at(image.phdr),
            image.phnum,
            addresses.at(image.loader),
            PAGE,
            image.thread_stack.0,
            image.thread_stack.1,
            image.secure.code(),
            addresses.program_alignment,
            groups,
            pool,
            pool_file.start,
            pool_file.end - pool_file.start,
            extents[0],
            extents[1],
            extents[2],
            extents[3],
            choices_made,
            least_kernel(image),
            maps,
            zeros,
            populates,
            calls,
            constants,
            slides,
            fixups,
            vdso_names,
            protects,
            seals,
            floor[0],
            floor[1],
            floor[2],
            floor[3],
            variants,
            resets,
            resolvers,
            u64::from(choices.can_resolve),
            match &image.variables {
                Variables::ByLibrary => 0,
                Variables::ByLoader(tunables) => addresses.at(tunables.read),
                Variables::Frozen => statify_params::FROZEN_TUNABLES,
            },
            image.variables.tunables().and_then(|t| t.take_over).map_or(0, |at| addresses.at(at)),
            origin_room(&image.fixups),
            0,
        ];
        const { assert!(size_of::<statify_params::Params>() == 46 * 8) };
        self.words(&fields);
        self.bytes
    }

    fn fixup(
        &self,
        fixup: &Fixup,
        names: &BTreeMap<&str, u16>,
        rests: &BTreeMap<&[u8], u32>,
    ) -> [u64; 2] {
        let (kind, arg, extra) = match &fixup.value {
            Value::Stack(above) => (statify_params::FIXUP_STACK, 0, *above as u32),
            Value::Envp => (statify_params::FIXUP_ENVP, 0, 0),
            Value::Auxv => (statify_params::FIXUP_AUXV, 0, 0),
            Value::Argc => (statify_params::FIXUP_ARGC, 0, 0),
            Value::Aux(kind) => (statify_params::FIXUP_AUX_VALUE, *kind, 0),
            Value::Canary => (statify_params::FIXUP_CANARY, 0, 0),
            Value::PointerGuard => (statify_params::FIXUP_POINTER_GUARD, 0, 0),
            Value::ThreadId => (statify_params::FIXUP_THREAD_ID, 0, 0),
            Value::Break => (statify_params::FIXUP_BREAK, 0, 0),
            Value::StackLimit => (statify_params::FIXUP_STACK_LIMIT, 0, 0),
            Value::RseqSize => (statify_params::FIXUP_RSEQ_SIZE, 0, 0),
            Value::Random => (statify_params::FIXUP_RANDOM, 0, 0),
            Value::Timestamp => (statify_params::FIXUP_TIMESTAMP, 0, 0),
            Value::Secure(difference) => (statify_params::FIXUP_SECURE, 0, *difference as u32),
            Value::Origin(rest) => {
                (statify_params::FIXUP_ORIGIN, 0, rests.get(&**rest).copied().unwrap_or(0))
            }
            Value::CpuNumber => unreachable_kind(),
            Value::Vdso(name) => {
                (statify_params::FIXUP_VDSO, names.get(&**name).copied().unwrap_or(0), 0)
            }
        };
        fixup_record(self.at(fixup.at), kind, fixup.width, arg, extra)
    }
}

/// Classification keeps this value to itself; the starter ignores kind 0.
const fn unreachable_kind() -> (u8, u16, u32) {
    (0, 0, 0)
}

fn fixup_record(at: Place, kind: u8, width: u8, arg: u16, extra: u32) -> [u64; 2] {
    [at, u64::from(kind) | u64::from(width) << 8 | u64::from(arg) << 16 | u64::from(extra) << 32]
}

/// The names of the vDSO functions used, and where each starts.
fn vdso_names(fixups: &[Fixup]) -> BTreeMap<&str, u16> {
    let mut names: BTreeMap<&str, u16> = BTreeMap::new();
    for fixup in fixups {
        if let Value::Vdso(name) = &fixup.value {
            names.insert(name, 0);
        }
    }
    let mut start = 0;
    for (name, offset) in &mut names {
        *offset = start;
        start += name.len() as u16 + 1;
    }
    names
}

/// What stands behind the output's directory in paths, and where each starts, behind the names.
fn rests(fixups: &[Fixup]) -> BTreeMap<&[u8], u32> {
    let mut rests: BTreeMap<&[u8], u32> = BTreeMap::new();
    for fixup in fixups {
        if let Value::Origin(rest) = &fixup.value {
            rests.insert(rest, 0);
        }
    }
    let mut start = vdso_names(fixups).keys().map(|name| name.len() as u32 + 1).sum();
    for (rest, offset) in &mut rests {
        *offset = start;
        start += rest.len() as u32 + 1;
    }
    rests
}

/// How many bytes all these paths take at most.
fn origin_room(fixups: &[Fixup]) -> u64 {
    let rests = fixups.iter().filter_map(|fixup| match &fixup.value {
        Value::Origin(rest) => Some(libc::PATH_MAX as u64 + rest.len() as u64 + 1),
        _ => None,
    });
    rests.sum()
}

/// The newest of the kernels that the image's files demand, as [`statify_params::Params::least_kernel`] has
/// it; none where every kernel that an output runs on is as new.
fn least_kernel(image: &Image) -> u64 {
    let of = |object: &crate::capture::Object| ElfFile::parse(&object.bytes).ok()?.least_kernel();
    let versions = image.objects.iter().filter_map(of);
    let packed = |[major, minor, patch]: [u32; 3]| {
        u64::from(major.min(255) << 16 | minor.min(255) << 8 | patch.min(255))
    };
    /// Linux 3.2.
    const OLDEST: u64 = 0x30200;
    versions.map(packed).max().filter(|&version| version > OLDEST).unwrap_or(0)
}

/// A sum of the `RANDOM_*` and `SEAL_*`.
fn chosen(image: &Image, shape: &Shape) -> u64 {
    let random = match shape.randomness {
        Randomness::Full if !image.fixed => statify_params::RANDOM_FULL,
        _ => 0,
    };
    random
        | match shape.seal {
            Seal::Unfiltered => statify_params::SEAL_UNFILTERED,
            Seal::Always => statify_params::SEAL_ALWAYS,
            Seal::Never => 0,
        }
}

/// Where the program's code begins and ends, and its data, as the kernel counts them
/// (load_elf_binary in fs/binfmt_elf.c): places of the image.
fn extents(image: &Image) -> [Place; 4] {
    let module = image.modules.iter().find(|module| module.object == Some(0));
    let elf = image.objects.first().and_then(|object| ElfFile::parse(&object.bytes).ok());
    let (Some(module), Some(elf)) = (module, elf) else { return [0; 4] };
    let first = elf.span().map_or(0, |span| page_down(span.start));
    let place = |address: u64| module.range.start.wrapping_add(address.wrapping_sub(first));
    let starts_and_ends = |only_code: bool| {
        let loads = elf.loads().filter(move |load| load.is_executable() || !only_code);
        loads.map(|load| (load.p_vaddr, load.p_vaddr.saturating_add(load.p_filesz)))
    };
    [
        starts_and_ends(true).map(|(start, _)| start).min(),
        starts_and_ends(true).map(|(_, end)| end).max(),
        starts_and_ends(false).map(|(start, _)| start).max(),
        starts_and_ends(false).map(|(_, end)| end).max(),
    ]
    .map(|address| place(address.unwrap_or(first)))
}

struct SlideGroup {
    /// The module or resolver, by index.
    target: usize,
    first: Place,
    stream: usize,
    count: usize,
}

/// Slides by the module they point into, and slots by the resolver that fills them; each group's
/// words ascending.
pub struct SlideGroups {
    groups: Vec<SlideGroup>,
    resolvers: Vec<SlideGroup>,
    stream: Vec<u8>,
}

impl SlideGroups {
    /// Groups and codes them.
    pub fn new(slides: &[Slide], resolvers: &[Resolver], addresses: &Addresses) -> Self {
        let mut stream = Vec::new();
        let words = slides.iter().map(|slide| (slide.target, slide.at));
        let groups = group(words, addresses, &mut stream);
        let slots = resolvers
            .iter()
            .enumerate()
            .flat_map(|(index, resolver)| resolver.slots.iter().map(move |&slot| (index, slot)));
        let resolvers = group(slots, addresses, &mut stream);
        Self { groups, resolvers, stream }
    }
}

/// Words that follow one another and have the same target, as groups.
fn group(
    words: impl Iterator<Item = (usize, Place)>,
    addresses: &Addresses,
    stream: &mut Vec<u8>,
) -> Vec<SlideGroup> {
    let mut groups: Vec<SlideGroup> = Vec::new();
    let mut last = 0;
    for (target, at) in words {
        let start = stream.len();
        // What slides otherwise cannot be reached by a distance.
        let same = |group: &&mut SlideGroup| {
            group.target == target && addresses.slide_alike(group.first, at)
        };
        match groups.last_mut().filter(same) {
            Some(group) => {
                stream::push(stream, (at - last) / 8);
                group.count += 1;
            }
            None => {
                stream::push(stream, 0);
                groups.push(SlideGroup { target, first: at, stream: start, count: 1 });
            }
        }
        last = at;
    }
    groups
}

/// As [`statify_params::CpuFeatures`] lies in memory.
fn cpu_words(cpu: &statify_params::CpuFeatures) -> [u64; 4] {
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    [
        pair(cpu.signature, cpu.basic[0]),
        pair(cpu.basic[1], cpu.structured[0]),
        pair(cpu.structured[1], cpu.structured[2]),
        pair(cpu.xcr0, cpu.more),
    ]
}

/// Runs of pages that will be written.
fn populates(
    patched: &BTreeSet<Place>,
    addresses: &Addresses,
) -> impl Iterator<Item = (Place, u64)> {
    let mut runs: Vec<(Place, u64)> = Vec::new();
    for &page in patched {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == page && addresses.slide_alike(*start, page) => {
                *len += PAGE;
            }
            _ => runs.push((page, PAGE)),
        }
    }
    runs.into_iter().filter(|(_, len)| *len > PAGE)
}

/// Where the final permissions differ from those while patching.
fn protects(pieces: &[Piece], addresses: &Addresses) -> impl Iterator<Item = (Place, u64, u32)> {
    let changed = pieces.iter().filter(|piece| piece.prot != piece.load_prot);
    runs(changed.map(|piece| (piece, piece.prot)), addresses)
}

/// Neighbours with the same permissions as one.
fn runs<'a>(
    pieces: impl Iterator<Item = (&'a Piece, u32)>,
    addresses: &Addresses,
) -> impl Iterator<Item = (Place, u64, u32)> {
    let mut runs: Vec<(Place, u64, u32)> = Vec::new();
    for (piece, prot) in pieces {
        let len = piece.range.end - piece.range.start;
        match runs.last_mut() {
            Some((start, run, last))
                if *start + *run == piece.range.start
                    && *last == prot
                    && addresses.slide_alike(*start, piece.range.start) =>
            {
                *run += len;
            }
            _ => runs.push((piece.range.start, len, prot)),
        }
    }
    runs.into_iter()
}

/// What is sealed: runs without gaps, whatever their permissions.
fn seals(pieces: &[Piece], addresses: &Addresses) -> impl Iterator<Item = (Place, u64)> {
    let mut runs: Vec<(Place, u64)> = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.seal) {
        let len = piece.range.end - piece.range.start;
        match runs.last_mut() {
            Some((start, run))
                if *start + *run == piece.range.start
                    && addresses.slide_alike(*start, piece.range.start) =>
            {
                *run += len;
            }
            _ => runs.push((piece.range.start, len)),
        }
    }
    runs.into_iter()
}
