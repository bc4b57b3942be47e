//! The starter's parameter block and its tables, read back from an output's bytes, which may be
//! anything (the format is in [`statify_params`]; a conversion writes it).

use std::ops::Range;

use goblin::elf::program_header::{PF_R, PF_W, PF_X};
use statify_elf::ElfFile;
use statify_elf::encode::Sizes;
use statify_elf::machine::Machine;
use statify_params::{
    CALL_RSEQ, Call, Constant, ConstantRun, Fixup, Group, MAGIC, Map, Params, PoolFile, Resolver,
    Slide, Table, Variant, leb128,
};
use zerocopy::FromBytes;

/// Why they cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// The entry point is not the first byte of code that lies right behind read-only pages.
    #[error("no PT_LOAD holds the starter")]
    NoStarter,
    /// No [`Params`] lie in front of the entry point.
    #[error("the parameters are not the starter's")]
    NotParameters,
    /// The named table.
    #[error("the starter's table of {0} lies outside of its bounds")]
    Table(&'static str),
    /// A list of words.
    #[error("the starter's list of words for {0} does not end")]
    Stream(&'static str),
    /// The names of the directories that lead to the pool.
    #[error("the starter's names of the pool's directories do not end with a NUL")]
    PoolNames,
    /// More than a mapping can tell apart.
    #[error("the starter's table of the pool's files has more than {MOST_POOL_FILES}")]
    PoolFiles,
}

/// No output has more words that are written at start: 128 MiB of pointers.
const MOST_WORDS: u64 = 16 << 20;
/// What [`Map::pool_file`] can number.
const MOST_POOL_FILES: u32 = u16::MAX as u32;

/// Whether the entry point is the starter's: a parameter block lies in front of it. For files whose notes are gone or damaged.
pub fn has_starter(elf: &ElfFile<'_>) -> bool {
    let before = size_of::<Params>() as u64 + elf.machine().map_or(0, Machine::front_gap);
    let block = elf.header().e_entry.checked_sub(before);
    block.and_then(|block| elf.at(block, 8)) == Some(&MAGIC.to_le_bytes())
}

/// The parameter block of an output. Every table lies where it should; what the records say may be
/// anything.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    /// The file up to the parameters.
    front: &'a [u8],
    /// Headers take so many bytes of it.
    headers: usize,
    /// The size of a word that is written, in bytes.
    word: u64,
    /// All lists together have no more words.
    most_words: u64,
    /// The block itself.
    pub params: Params,
    /// File offsets of the starter's code, with the padding behind it.
    pub code: Range<u64>,
}

impl<'a> Parameters<'a> {
    /// Finds and reads it.
    pub fn read(elf: &ElfFile<'a>) -> Result<Self, ParametersError> {
        let entry = elf.header().e_entry;
        let mut loads = elf.loads().skip_while(|load| load.p_offset != 0 || load.p_filesz == 0);
        let (Some(tables), Some(code)) = (loads.next(), loads.next()) else {
            return Err(ParametersError::NoStarter);
        };
        let end = tables.p_vaddr.checked_add(tables.p_filesz);
        let gap = elf.machine().map_or(0, Machine::front_gap);
        let adjoin = tables.p_offset == 0
            && tables.p_filesz == code.p_offset
            && end.and_then(|end| end.checked_add(gap)) == Some(entry)
            && code.p_vaddr == entry;
        let as_they_are = (tables.p_flags, code.p_flags & PF_W) == (PF_R, 0);
        if !adjoin || !as_they_are || code.p_flags & PF_X == 0 || code.p_filesz == 0 {
            return Err(ParametersError::NoStarter);
        }
        let bytes = elf.contents(tables).ok_or(ParametersError::NoStarter)?;
        let sizes = Sizes::of(elf.is_64());
        let headers = sizes.header + sizes.program_header * elf.segments().len();
        let at = bytes.len().checked_sub(size_of::<Params>()).filter(|&at| at >= headers);
        let at = at.ok_or(ParametersError::NotParameters)?;
        let params = Params::read_from_bytes(&bytes[at..]);
        let params = params.map_err(|_| ParametersError::NotParameters)?;
        if params.magic != MAGIC
            || Some(params.vaddr) != end.map(|end| end - size_of::<Params>() as u64)
            || params.front != tables.p_vaddr
        {
            return Err(ParametersError::NotParameters);
        }
        let code = code.p_offset..code.p_offset.saturating_add(code.p_filesz);
        let word = elf.address_size() as u64;
        let most_words = MOST_WORDS.min(elf.bytes().len() as u64 / word);
        let parameters = Self { front: &bytes[..at], headers, word, most_words, params, code };
        parameters.check().map(|()| parameters)
    }

    /// The size of a word that the starter writes, in bytes: of an address of the program's.
    pub fn word(&self) -> u64 {
        self.word
    }

    /// The block's tables with their names and the sizes of their records.
    pub fn tables(&self) -> [(&'static str, Table, usize); 16] {
        let p = &self.params;
        let range = size_of::<statify_params::Range>();
        let constants = size_of::<ConstantRun>();
        [
            ("names of the pool's directories", p.pool, 1),
            ("files of the pool", p.pool_files, size_of::<PoolFile>()),
            ("mappings", p.maps, size_of::<Map>()),
            ("zero pages", p.zeros, range),
            ("groups of libraries", p.groups, size_of::<Group>()),
            ("pages to be present", p.populates, range),
            ("kernel calls", p.calls, size_of::<Call>()),
            ("constants", p.constants, constants),
            ("pointers", p.slides, size_of::<Slide>()),
            ("fix-ups", p.fixups, size_of::<Fixup>()),
            ("vDSO names", p.vdso_names, 1),
            ("final permissions", p.protects, range),
            ("seals", p.seals, range),
            ("CPUs", p.variants, size_of::<Variant>()),
            ("resets", p.resets, constants),
            ("IFUNC resolvers", p.resolvers, size_of::<Resolver>()),
        ]
    }

    fn check(&self) -> Result<(), ParametersError> {
        let p = &self.params;
        for (name, table, size) in self.tables() {
            self.bytes(table, size).ok_or(ParametersError::Table(name))?;
        }
        let names = self.bytes(p.pool, 1).unwrap_or_default();
        if names.last().is_some_and(|&last| last != 0) {
            return Err(ParametersError::PoolNames);
        }
        if p.pool_files.count > MOST_POOL_FILES {
            return Err(ParametersError::PoolFiles);
        }
        // Lists that overlap, or repeat a distance, could make a small file a long task.
        let mut room = self.most_words;
        let mut take = |count: u64, name| {
            room = room.checked_sub(count).ok_or(ParametersError::Stream(name))?;
            Ok(())
        };
        for variant in self.variants() {
            let tables = [(variant.literals, 16), (variant.pointers, 16), (variant.results, 8)];
            let sound = tables.iter().all(|&(table, size)| self.bytes(table, size).is_some());
            if !sound || variant.results.count != p.resolvers.count {
                return Err(ParametersError::Table("a CPU's words"));
            }
            let count = tables.iter().map(|(table, _)| u64::from(table.count)).sum();
            take(count, "a CPU")?;
        }
        let literals = self.variants().map(|variant| variant.literals);
        for table in [p.constants, p.resets].into_iter().chain(literals) {
            for run in self.records::<ConstantRun>(table) {
                take(run.count.into(), "constants")?;
                self.run(&run)?;
            }
        }
        for slide in self.slides() {
            take(slide.count.into(), "pointers")?;
            self.words(slide.start, slide.stream, slide.count, "pointers")?;
        }
        for resolver in self.resolvers() {
            take(resolver.count.into(), "IFUNC resolvers")?;
            self.words(resolver.start, resolver.stream, resolver.count, "IFUNC resolvers")?;
        }
        Ok(())
    }

    /// A table's bytes; behind the headers, before the parameters.
    fn bytes(&self, table: Table, size: usize) -> Option<&'a [u8]> {
        let len = size.checked_mul(table.count as usize)?;
        let start = self.front.len().checked_sub(table.offset as usize)?;
        (start >= self.headers).then_some(())?;
        self.front.get(start..start.checked_add(len)?)
    }

    fn records<T: FromBytes + 'a>(&self, table: Table) -> impl Iterator<Item = T> + use<'a, T> {
        let bytes = self.bytes(table, size_of::<T>()).unwrap_or_default();
        bytes.chunks_exact(size_of::<T>()).filter_map(|record| T::read_from_bytes(record).ok())
    }

    /// What the starter maps from the output.
    pub fn maps(&self) -> impl Iterator<Item = Map> + use<'a> {
        self.records(self.params.maps)
    }

    /// The names of the directories that lead from the root to the pool, and its own, as the starter opens them one in the
    /// other; none if the output has no pool.
    pub fn pool(&self) -> impl Iterator<Item = &'a [u8]> {
        let names = self.bytes(self.params.pool, 1).unwrap_or_default();
        names.split_inclusive(|&byte| byte == 0).map(|name| &name[..name.len() - 1])
    }

    /// Files of the pool; [`Map::pool_file`] counts them from 1 on.
    pub fn pool_files(&self) -> impl Iterator<Item = PoolFile> + use<'a> {
        self.records(self.params.pool_files)
    }

    /// A table of ranges: [`Params::zeros`], `populates`, `protects` or `seals`.
    pub fn ranges(&self, table: Table) -> impl Iterator<Item = statify_params::Range> + use<'a> {
        self.records(table)
    }

    /// Groups of libraries that slide alike.
    pub fn groups(&self) -> impl Iterator<Item = Group> + use<'a> {
        self.records(self.params.groups)
    }

    /// Kernel calls that are made again.
    pub fn calls(&self) -> impl Iterator<Item = Call> + use<'a> {
        self.records(self.params.calls)
    }

    /// The words of a table of runs: [`Params::constants`], `resets`, or a variant's literals. A word's `value` is what is
    /// written there.
    pub fn constants(&self, table: Table) -> impl Iterator<Item = Constant> + use<'a> {
        let parameters = self.clone();
        let runs = self.records::<ConstantRun>(table);
        runs.flat_map(move |run| parameters.run(&run).unwrap_or_default())
    }

    /// The words of a run.
    fn run(&self, run: &ConstantRun) -> Result<Vec<Constant>, ParametersError> {
        let beyond = || ParametersError::Stream("constants");
        let mut words = self.stream(run.start, run.stream).ok_or_else(beyond)?;
        let mut constants = Vec::new();
        for _ in 0..run.count {
            let at = words.next().ok_or_else(beyond)?;
            let (value, rest) = leb128::read_signed(words.stream).ok_or_else(beyond)?;
            words.stream = rest;
            constants.push(Constant { at, value });
        }
        Ok(constants)
    }

    /// A variant's words that hold places.
    pub fn pointers(&self, variant: &Variant) -> impl Iterator<Item = Constant> + use<'a> {
        self.records(variant.pointers)
    }

    /// Groups of pointers.
    pub fn slides(&self) -> impl Iterator<Item = Slide> + use<'a> {
        self.records(self.params.slides)
    }

    /// IFUNC resolvers.
    pub fn resolvers(&self) -> impl Iterator<Item = Resolver> + use<'a> {
        self.records(self.params.resolvers)
    }

    /// The places of a group's words.
    pub fn words(
        &self,
        start: u64,
        stream: u32,
        count: u32,
        name: &'static str,
    ) -> Result<Vec<u64>, ParametersError> {
        let beyond = || ParametersError::Stream(name);
        let mut words = self.stream(start, stream).ok_or_else(beyond)?;
        let mut places = Vec::new();
        for _ in 0..count {
            places.push(words.next().ok_or_else(beyond)?);
        }
        Ok(places)
    }

    /// Words from `start` on, as a stream says.
    fn stream(&self, start: u64, below: u32) -> Option<Words<'a>> {
        let first = self.front.len().checked_sub(below as usize)?;
        let stream = self.front.get(first..).filter(|_| first >= self.headers)?;
        Some(Words { place: start, stream, word: self.word, distance: 0, left: 0 })
    }

    /// Words that get a value known only at start.
    pub fn fixups(&self) -> impl Iterator<Item = Fixup> + use<'a> {
        self.records(self.params.fixups)
    }

    /// A vDSO function's name, or the end of a path, by where it starts.
    pub fn name(&self, start: u32) -> Option<&'a [u8]> {
        let names = self.bytes(self.params.vdso_names, 1)?.get(start as usize..)?;
        names.iter().position(|&byte| byte == 0).map(|end| &names[..end])
    }

    /// Prepared CPUs.
    pub fn variants(&self) -> impl Iterator<Item = Variant> + use<'a> {
        self.records(self.params.variants)
    }

    /// What a variant's resolvers answer: places.
    pub fn results(&self, variant: &Variant) -> impl Iterator<Item = u64> + use<'a> {
        self.records(variant.results)
    }

    /// Whether a call's result is one that the starter knows.
    pub fn is_known(call: &Call) -> bool {
        call.result <= CALL_RSEQ
    }
}

/// Words at the distances that a stream tells ([`Slide::stream`]).
struct Words<'a> {
    place: u64,
    stream: &'a [u8],
    word: u64,
    /// In words, and for how many more.
    distance: u64,
    left: u64,
}

impl Words<'_> {
    /// The next word's place; `None` if the stream ends.
    fn next(&mut self) -> Option<u64> {
        if self.left == 0 {
            let (number, mut rest) = leb128::read(self.stream)?;
            (self.distance, self.left) = (number >> 1, 1);
            if number & 1 != 0 {
                (self.left, rest) = leb128::read(rest)?;
            }
            self.stream = rest;
        }
        self.left = self.left.wrapping_sub(1);
        self.place = self.place.wrapping_add(self.distance.wrapping_mul(self.word));
        Some(self.place)
    }
}
