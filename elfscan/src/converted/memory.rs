//! The address space of a converted program, as the kernel maps it from the program headers and the
//! starter arranges it by its tables: at each place, permissions and where the bytes are from.

use std::collections::BTreeMap;
use std::ops::Range;

use goblin::elf::program_header::{PF_R, PF_W, PF_X};
use statify_elf::{PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, page_up};
use statify_format::parameters::{Parameters, ParametersError};
use statify_params::is_fixup;

use super::open::Converted;
use super::places::Places;

/// PROT_* for PF_*.
pub fn prot_of(flags: u32) -> u32 {
    [(PF_R, PROT_READ), (PF_W, PROT_WRITE), (PF_X, PROT_EXEC)]
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .fold(0, |prot, (_, bit)| prot | bit)
}

/// What is mapped at a run of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// PROT_*.
    pub prot: u32,
    /// The file offset of the first byte; `None` for zero pages.
    pub offset: Option<u64>,
}

/// Runs of places, by their starts: none overlap.
#[derive(Clone, Debug, Default)]
pub struct Space(BTreeMap<u64, (u64, Mapped)>);

impl Space {
    /// The runs that have a part in `range`, cut to it.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, Mapped)> {
        let before = self.0.range(..range.start).next_back();
        let first = before.filter(|(_, (end, _))| *end > range.start).map(|(start, _)| *start);
        let from = first.unwrap_or(range.start).min(range.end);
        self.0.range(from..range.end).map(move |(&start, &(end, mapped))| {
            let cut = start.max(range.start);
            let offset = mapped.offset.map(|offset| offset + (cut - start));
            (cut..end.min(range.end), Mapped { offset, ..mapped })
        })
    }

    /// Whether all of `range` is mapped, as `holds` says.
    pub fn all(&self, range: Range<u64>, holds: impl Fn(Mapped) -> bool) -> bool {
        let mut at = range.start;
        for (run, mapped) in self.within(range.clone()) {
            if run.start != at || !holds(mapped) {
                return false;
            }
            at = run.end;
        }
        at == range.end
    }

    /// Unmaps.
    pub fn clear(&mut self, range: Range<u64>) {
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<u64> = self.0.range(range).map(|(&start, _)| start).collect();
        for start in starts {
            self.0.remove(&start);
        }
    }

    /// Has no run cross `at`.
    fn split(&mut self, at: u64) {
        let Some((&start, run)) = self.0.range_mut(..at).next_back() else { return };
        let (end, mapped) = *run;
        if end > at {
            run.0 = at;
            let offset = mapped.offset.map(|offset| offset + (at - start));
            self.0.insert(at, (end, Mapped { offset, ..mapped }));
        }
    }

    /// Maps over what was there.
    pub fn map(&mut self, range: Range<u64>, mapped: Mapped) {
        if range.start < range.end {
            self.clear(range.clone());
            self.0.insert(range.start, (range.end, mapped));
        }
    }

    /// Changes permissions of what is mapped.
    pub fn protect(&mut self, range: Range<u64>, prot: u32) {
        let runs: Vec<_> = self.within(range).collect();
        let mut joined: Vec<(Range<u64>, Mapped)> = Vec::new();
        for (run, mapped) in runs {
            let mapped = Mapped { prot, ..mapped };
            match joined.last_mut() {
                Some((last, before))
                    if last.end == run.start
                        && before.offset.map(|offset| offset + (last.end - last.start))
                            == mapped.offset =>
                {
                    last.end = run.end;
                }
                _ => joined.push((run, mapped)),
            }
        }
        for (run, mapped) in joined {
            self.map(run, mapped);
        }
    }

    /// All runs.
    pub fn runs(&self) -> impl Iterator<Item = (Range<u64>, Mapped)> {
        self.0.iter().map(|(&start, &(end, mapped))| (start..end, mapped))
    }
}

/// Something that the starter would do to memory that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: a place.
    pub place: u64,
    /// What.
    pub what: &'static str,
}

/// The address space at two moments.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// While the starter writes.
    pub patching: Space,
    /// When the program runs.
    pub last: Space,
    /// What is wrong with the tables; a few are enough.
    pub faults: Vec<Fault>,
}

/// The most faults that are told.
const MOST_FAULTS: usize = 20;

impl Memory {
    /// As the tables say.
    pub fn of(converted: &Converted<'_>, parameters: &Parameters<'_>, places: &Places) -> Self {
        let mut memory = Self::default();
        for load in converted.elf.loads() {
            let (start, prot) = (load.p_vaddr, prot_of(load.p_flags));
            let in_file = start..page_up(start.saturating_add(load.p_filesz));
            let all = start..page_up(start.saturating_add(load.p_memsz));
            let zeros = in_file.end.min(all.end)..all.end;
            if load.p_filesz > 0 {
                memory.patching.map(in_file, Mapped { prot, offset: Some(load.p_offset) });
                memory.patching.map(zeros, Mapped { prot, offset: None });
            } else {
                memory.patching.map(all, Mapped { prot, offset: None });
            }
        }
        memory.assemble(parameters, places, converted.bytes().len() as u64);
        memory.last = memory.patching.clone();
        memory.finish(parameters, places);
        memory
    }

    fn fault(&mut self, place: u64, what: &'static str) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { place, what });
        }
    }

    /// What the starter does before it writes.
    fn assemble(&mut self, parameters: &Parameters<'_>, places: &Places, len: u64) {
        for map in parameters.maps() {
            let prot = map.prot as u32;
            let end = map.offset.checked_add(map.len);
            let stored = map.offset.is_multiple_of(PAGE) && end.is_some_and(|end| end <= len);
            match pages(places.normal(map.to), map.len) {
                Some(pages) if stored => {
                    self.patching.map(pages, Mapped { prot, offset: Some(map.offset) });
                }
                _ => self.fault(map.to, "a mapping of no whole pages of the file"),
            }
        }
        for range in parameters.ranges(parameters.params.zeros) {
            match pages(places.normal(range.start), range.len) {
                Some(pages) if range.permissions() & PROT_EXEC == 0 => {
                    self.patching.map(pages, Mapped { prot: range.permissions(), offset: None });
                }
                Some(_) => self.fault(range.start, "zero pages that are executable"),
                None => self.fault(range.start, "zero pages that are no whole pages"),
            }
        }
        self.in_order(parameters, parameters.params.populates, places, |memory, pages, _| {
            let writable =
                memory.patching.all(pages.clone(), |mapped| mapped.prot & PROT_WRITE != 0);
            if !writable {
                memory.fault(pages.start, "pages made present that are not writable");
            }
        });
    }

    /// What it does afterwards.
    fn finish(&mut self, parameters: &Parameters<'_>, places: &Places) {
        self.protect(parameters, places);
        self.in_order(parameters, parameters.params.seals, places, |memory, pages, _| {
            if !memory.last.all(pages.clone(), |mapped| mapped.prot & PROT_WRITE == 0) {
                memory.fault(pages.start, "pages sealed that are writable or not mapped");
            }
        });
        let both =
            |mapped: Mapped| mapped.prot & (PROT_WRITE | PROT_EXEC) == PROT_WRITE | PROT_EXEC;
        let spaces = [&self.patching, &self.last];
        let wrong =
            spaces.iter().flat_map(|space| space.runs()).filter(|(_, mapped)| both(*mapped));
        let wrong: Vec<u64> = wrong.map(|(run, _)| run.start).take(MOST_FAULTS).collect();
        for place in wrong {
            self.fault(place, "pages both writable and executable");
        }
    }

    /// Ranges in their order, so that no page is looked at twice.
    fn in_order(
        &mut self,
        parameters: &Parameters<'_>,
        table: statify_params::Table,
        places: &Places,
        mut each: impl FnMut(&mut Self, Range<u64>, u32),
    ) {
        let mut end = 0;
        for range in parameters.ranges(table) {
            match pages(places.normal(range.start), range.len) {
                Some(pages) if pages.start >= end => {
                    end = pages.end;
                    each(self, pages, range.permissions());
                }
                _ => self.fault(range.start, "a range of no whole pages, or out of order"),
            }
        }
    }

    fn protect(&mut self, parameters: &Parameters<'_>, places: &Places) {
        self.in_order(parameters, parameters.params.protects, places, |memory, pages, prot| {
            let allowed = |mapped: Mapped| prot & PROT_EXEC == 0 || mapped.prot & PROT_EXEC != 0;
            if memory.last.all(pages.clone(), allowed) {
                memory.last.protect(pages, prot);
            } else {
                memory.fault(
                    pages.start,
                    "permissions for pages that are not mapped, or not for code",
                );
            }
        });
    }

    /// Whether the starter may write `len` bytes at `place`.
    pub fn is_writable(&self, place: u64, len: u64) -> bool {
        let end = place.checked_add(len);
        end.is_some_and(|end| self.patching.all(place..end, |mapped| mapped.prot & PROT_WRITE != 0))
    }

    /// Whether the program has code at `place` when it runs.
    pub fn is_code(&self, place: u64) -> bool {
        let byte = place..place.saturating_add(1);
        !byte.is_empty() && self.last.all(byte, |mapped| mapped.prot & PROT_EXEC != 0)
    }

    /// The file offset that `len` bytes at `place` are mapped from, which must be in one piece.
    pub fn offset(&self, place: u64, len: u64) -> Option<u64> {
        let range = place..place.checked_add(len)?;
        let mut runs = self.last.within(range.clone());
        let (first, mapped) = runs.next()?;
        let mut next = (first.end, mapped.offset? + (first.end - first.start));
        if first.start != place {
            return None;
        }
        for (run, mapped) in runs {
            if (run.start, mapped.offset?) != next {
                return None;
            }
            next = (run.end, next.1 + (run.end - run.start));
        }
        (next.0 == range.end).then_some(mapped.offset?)
    }
}

/// Whole pages.
fn pages(start: u64, len: u64) -> Option<Range<u64>> {
    let end = start.checked_add(len)?;
    ((start | len).is_multiple_of(PAGE) && len > 0).then_some(start..end)
}

/// Every word that the starter may write, on whatever CPU: place and length in bytes.
pub fn writes(parameters: &Parameters<'_>) -> Result<Vec<(u64, u64)>, ParametersError> {
    let (params, size) = (&parameters.params, parameters.word());
    let constants = |table| parameters.constants(table).map(|constant| (constant.at, size));
    let mut writes: Vec<(u64, u64)> = constants(params.constants).collect();
    writes.extend(constants(params.resets));
    for variant in parameters.variants() {
        writes.extend(constants(variant.literals));
        writes.extend(parameters.pointers(&variant).map(|pointer| (pointer.at, size)));
    }
    for slide in parameters.slides() {
        let words = parameters.words(slide.start, slide.stream, slide.count, "pointers")?;
        writes.extend(words.into_iter().map(|place| (place, size)));
    }
    for resolver in parameters.resolvers() {
        let words =
            parameters.words(resolver.start, resolver.stream, resolver.count, "IFUNC resolvers")?;
        writes.extend(words.into_iter().map(|place| (place, size)));
    }
    // Of a kind that is not known (`check` tells of it) nothing is written, either.
    let fixups = parameters.fixups().filter(|fixup| is_fixup(fixup.kind));
    writes.extend(fixups.map(|fixup| (fixup.at, if fixup.width == 4 { 4 } else { size })));
    Ok(writes)
}
