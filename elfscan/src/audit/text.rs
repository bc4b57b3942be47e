//! Code and constants, page by page: what the kernel says is still the file's page is the file's page
//! (Documentation/admin-guide/mm/pagemap.rst); what the process has a copy of is compared, and what comes from a pool, since
//! that file is not the one that says what should be there.

use std::ops::Range;

use goblin::elf::dynamic::DT_PLTGOT;
use goblin::elf::program_header::{PF_W, PF_X};
use statify_elf::{PAGE, PROT_WRITE, page_down, page_up};
use statify_process::procfs::Mapping;

use super::image::Source;
use super::loader::{Variables, Verdict};
use super::module::Module;
use super::names::{Names, mapped, symbol_at};
use super::process::{FileId, Process, is_untouched};
use super::report::{Alarm, AlarmKind, Target};

/// How many pages are looked at in one go.
const MOST_PAGES: u64 = 256;
/// How many pages the kernel is asked of in one go.
const MOST_ASKED: u64 = 16 << 10;
/// How many alarms of one module are told one by one.
const MOST_ALARMS: usize = 100;
/// Differences that are so close, in bytes, are one.
const NEAR: usize = 16;

/// What was found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Pages compared.
    pub pages: u64,
    /// Those that the process has copies of its own of.
    pub private_pages: u64,
    /// Those that are the pool's.
    pub pool_pages: u64,
    /// Bytes of the loader's own variables of which nothing says what they should be.
    pub unknown_bytes: u64,
    /// What differs.
    pub alarms: Vec<Alarm>,
}

/// Compares a module's code and constants. `is_relocated`: a loader has made its RELRO read-only.
/// `variables`: of a loader that keeps variables of its own there.
pub fn check(
    process: &Process,
    names: Names<'_, '_>,
    module: &Module<'_>,
    is_relocated: bool,
    variables: Option<&Variables<'_, '_>>,
) -> Outcome {
    let maps = names.maps;
    let mut check = Check {
        process,
        names,
        maps,
        module,
        written: written(module),
        variables: None,
        outcome: Outcome::default(),
    };
    let loads: Vec<_> = module.elf.loads().cloned().collect();
    for load in loads.iter().filter(|load| load.p_flags & PF_W == 0 && load.p_filesz > 0) {
        let kind = if load.p_flags & PF_X != 0 { AlarmKind::Code } else { AlarmKind::Constants };
        let end = load.p_vaddr.saturating_add(load.p_filesz);
        check.range(page_down(load.p_vaddr)..page_up(end), kind);
    }
    if let Some(relro) = module.relro.clone().filter(|_| is_relocated) {
        check.variables = variables;
        check.range(relro.clone(), AlarmKind::Constants);
        check.read_only(relro);
    }
    check.outcome
}

struct Check<'c, 'a> {
    process: &'c Process,
    names: Names<'c, 'c>,
    maps: &'c [Mapping],
    module: &'c Module<'a>,
    /// What the loader writes, before the bias; ascending.
    written: Vec<Range<u64>>,
    /// While the loader's RELRO is compared.
    variables: Option<&'c Variables<'c, 'a>>,
    outcome: Outcome,
}

/// Whose a page is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    /// Of the file that the module is compared with: nothing is to be compared.
    Files,
    /// Of the pool's file, which is not what the module is compared with.
    Pools,
    /// The process's own.
    Private,
}

/// What the loader writes of a module's code and constants.
fn written(module: &Module<'_>) -> Vec<Range<u64>> {
    let Some(symbols) = &module.definitions else { return Vec::new() };
    let (facts, word) = (symbols.facts(), module.machine.word());
    let words = facts.relocations().filter_map(|relocation| {
        let meaning = module.machine.relocation(relocation.kind)?;
        let size = match meaning.size(word) {
            Some(size) => size,
            None => symbols.table().get(relocation.symbol)?.size,
        };
        Some(relocation.at..relocation.at.saturating_add(size))
    });
    let relative = facts.relative_words().map(|at| at..at.saturating_add(word));
    let mut written: Vec<Range<u64>> =
        words.chain(relative).filter(|range| module.is_constant(range.start)).collect();
    written.extend(module.dynamic_range());
    // The two words of lazy binding.
    let table = facts.value(DT_PLTGOT).filter(|_| facts.plt_relocations().next().is_some());
    written.extend(table.map(|table| table.saturating_add(word)..table.saturating_add(3 * word)));
    written.sort_unstable_by_key(|range| range.start);
    written
}

impl Check<'_, '_> {
    /// Compares whole pages (addresses before the bias).
    fn range(&mut self, range: Range<u64>, kind: AlarmKind) {
        let loaded = self.module.loaded(range.start)..self.module.loaded(range.end);
        if loaded.start >= loaded.end {
            return;
        }
        let mut covered = loaded.start;
        let parts: Vec<(&Mapping, Range<u64>)> = mapped(self.maps, &loaded).collect();
        for (mapping, part) in parts {
            if covered < part.start {
                self.missing(covered..part.start);
            }
            covered = part.end;
            if self.module.image.source(FileId::of(mapping)) == Source::Other {
                self.other_file(mapping, &part);
            }
            let mut at = part.start;
            while at < part.end {
                let end = part.end.min(at + MOST_PAGES * PAGE);
                self.pages(mapping, at..end, kind);
                at = end;
            }
        }
        if covered < loaded.end {
            self.missing(covered..loaded.end);
        }
    }

    fn missing(&mut self, loaded: Range<u64>) {
        let offset = loaded.start.wrapping_sub(self.module.image.bias);
        self.alarm(AlarmKind::Missing, offset, loaded.end - loaded.start, None);
    }

    /// The program's own file would not have come there by any start.
    fn other_file(&mut self, mapping: &Mapping, part: &Range<u64>) {
        if self.outcome.alarms.len() >= MOST_ALARMS {
            return;
        }
        let image = self.module.image;
        let offset = part.start.wrapping_sub(image.bias);
        let size = part.end - part.start;
        let alarm = Alarm::new(AlarmKind::OtherFile, image.name.clone(), part.start, offset, size);
        let module = Some(String::from_utf8_lossy(&mapping.name).into_owned());
        let found = Some(Target { module, ..Target::number(part.start) });
        self.outcome.alarms.push(Alarm { found, ..alarm });
    }

    fn pages(&mut self, mapping: &Mapping, loaded: Range<u64>, kind: AlarmKind) {
        let states = self.process.pages(&loaded);
        let bias = self.module.image.bias;
        let pages = loaded.clone().step_by(PAGE as usize);
        let image = self.module.image;
        let file = FileId::of(mapping);
        let is_pools = image.source(file) == Source::Pool;
        let kinds: Vec<Page> = pages
            .enumerate()
            .map(|(index, at)| {
                let state = states.as_ref().and_then(|states| states.get(index));
                if !state.is_some_and(is_untouched) {
                    return Page::Private;
                }
                if is_pools {
                    return Page::Pools;
                }
                let page = image.page_of(&self.module.elf, at.wrapping_sub(bias));
                let offset = mapping.offset + (at - mapping.range.start);
                let is_files = page.is_some() && page == file.map(|file| (file, offset));
                if is_files { Page::Files } else { Page::Private }
            })
            .collect();
        self.outcome.pages += kinds.len() as u64;
        let mut from = 0;
        while from < kinds.len() {
            let len = kinds[from..].iter().take_while(|page| **page == kinds[from]).count();
            match kinds[from] {
                Page::Files => {}
                Page::Pools => self.outcome.pool_pages += len as u64,
                Page::Private => self.outcome.private_pages += len as u64,
            }
            if kinds[from] != Page::Files {
                let start = loaded.start + from as u64 * PAGE;
                self.bytes(start..start + len as u64 * PAGE, kind);
            }
            from += len;
        }
    }

    /// Compares pages byte by byte.
    fn bytes(&mut self, loaded: Range<u64>, kind: AlarmKind) {
        let len = (loaded.end - loaded.start) as usize;
        let start = loaded.start.wrapping_sub(self.module.image.bias);
        let mut found = vec![0; len];
        let read = self.process.read_some(loaded.start, &mut found);
        if read < len {
            let at = start + page_down(read as u64);
            self.alarm(AlarmKind::Missing, at, len as u64 - page_down(read as u64), None);
            found.truncate(page_down(read as u64) as usize);
        }
        let mut expected = vec![0; found.len()];
        self.expected(start, &mut expected, &mut found);
        if let Some(variables) = self.variables {
            self.words(variables, start, &mut expected, &found);
        }
        for range in differences(&expected, &found) {
            if kind == AlarmKind::Constants && self.pointer(start, &range, &expected, &found) {
                continue;
            }
            let bytes = (&expected[range.clone()], &found[range.clone()]);
            self.alarm(kind, start + range.start as u64, range.len() as u64, Some(bytes));
        }
    }

    /// Judges the loader's variables one by one, and makes them equal.
    fn words(
        &mut self,
        variables: &Variables<'_, '_>,
        start: u64,
        expected: &mut [u8],
        found: &[u8],
    ) {
        let size = self.process.word_size;
        let words = expected.chunks_exact_mut(size as usize);
        let words = words.zip(found.chunks_exact(size as usize));
        for ((expected, found), at) in words.zip((start..).step_by(size as usize)) {
            let (file, there) = (self.process.number(expected), self.process.number(found));
            match variables.verdict(at, file, there) {
                Verdict::Right => {}
                Verdict::Unknown => self.outcome.unknown_bytes += size,
                Verdict::Wrong if self.names.is_mapped(there) => {
                    let (name, loaded) = (self.module.image.name.clone(), self.module.loaded(at));
                    let alarm = Alarm::new(AlarmKind::Entry, name, loaded, at, size);
                    let target = Some(self.names.target(there));
                    self.outcome.alarms.push(Alarm { found: target, ..alarm });
                }
                Verdict::Wrong => {
                    let bytes = (&*expected, found);
                    self.alarm(AlarmKind::Constants, at, size, Some(bytes));
                }
            }
            expected.copy_from_slice(found);
        }
    }

    /// Tells of a difference within one word, which should point into a module (without a relocation,
    /// in programs that are not position-independent), where it points.
    fn pointer(&mut self, start: u64, range: &Range<usize>, expected: &[u8], found: &[u8]) -> bool {
        let size = self.process.word_size as usize;
        let at = range.start & !(size - 1);
        let word = |bytes: &[u8]| {
            let word = bytes.get(at..at + size).filter(|_| range.end <= at + size)?;
            Some(self.names.target(self.process.number(word)))
        };
        let (Some(expected), Some(found)) = (word(expected), word(found)) else { return false };
        if expected.offset.is_none() || self.outcome.alarms.len() >= MOST_ALARMS {
            return false;
        }
        let offset = start + at as u64;
        let (name, address) = (self.module.image.name.clone(), self.module.loaded(offset));
        let alarm = Alarm::new(AlarmKind::Entry, name, address, offset, size as u64);
        let (expected, found) = (Some(expected), Some(found));
        self.outcome.alarms.push(Alarm { expected, found, ..alarm });
        true
    }

    /// What should be at `start` (before the bias); what cannot be known is made equal.
    fn expected(&self, start: u64, expected: &mut [u8], found: &mut [u8]) {
        let end = start + expected.len() as u64;
        let image = self.module.image;
        let contents = image.contents();
        for load in self.module.elf.loads() {
            // Whole pages of the file are mapped, but for what is behind the bytes of a segment that
            // is zero from there on.
            let has_zeros = load.p_memsz > load.p_filesz;
            let first = page_down(load.p_vaddr);
            let last = load.p_vaddr.saturating_add(load.p_filesz);
            let last = if has_zeros { last } else { page_up(last) };
            let (from, to) = (first.max(start), last.min(end));
            if from >= to {
                continue;
            }
            let offset = page_down(load.p_offset).saturating_add(from - first);
            let bytes = usize::try_from(offset).ok().and_then(|offset| contents.get(offset..));
            let bytes = bytes.unwrap_or_default();
            let target = &mut expected[(from - start) as usize..(to - start) as usize];
            let len = bytes.len().min(target.len());
            target[..len].copy_from_slice(&bytes[..len]);
        }
        if let Some((at, headers)) = &image.headers {
            let (from, to) = ((*at).max(start), at.saturating_add(headers.len() as u64).min(end));
            if from < to {
                let target = &mut expected[(from - start) as usize..(to - start) as usize];
                target.copy_from_slice(&headers[(from - at) as usize..(to - at) as usize]);
            }
        }
        if image.known.is_some() {
            for page in (0..expected.len()).step_by(PAGE as usize) {
                if !image.knows(start + page as u64) {
                    found[page..page + PAGE as usize].fill(0);
                    expected[page..page + PAGE as usize].fill(0);
                }
            }
        }
        // Ranges may overlap, but hardly: none is as long as a page unless it is a copied variable.
        let behind = self.written.partition_point(|range| range.start < end);
        for range in self.written[..behind].iter().rev() {
            if range.end <= start {
                if range.start.saturating_add(MOST_PAGES * PAGE) < start {
                    break;
                }
                continue;
            }
            let (from, to) = (range.start.max(start), range.end.min(end));
            let part = (from - start) as usize..(to - start) as usize;
            found[part.clone()].fill(0);
            expected[part].fill(0);
        }
    }

    /// RELRO must be read-only by now.
    fn read_only(&mut self, relro: Range<u64>) {
        let loaded = self.module.loaded(relro.start)..self.module.loaded(relro.end);
        let writable =
            mapped(self.maps, &loaded).filter(|(mapping, _)| mapping.prot & PROT_WRITE != 0);
        let writable: Vec<Range<u64>> = writable.map(|(_, part)| part).collect();
        for part in writable {
            let offset = part.start.wrapping_sub(self.module.image.bias);
            self.alarm(AlarmKind::WritableRelro, offset, part.end - part.start, None);
        }
    }

    fn alarm(&mut self, kind: AlarmKind, offset: u64, size: u64, bytes: Option<(&[u8], &[u8])>) {
        if self.outcome.alarms.len() >= MOST_ALARMS {
            return;
        }
        let (name, address) = (self.module.image.name.clone(), self.module.loaded(offset));
        let alarm = Alarm::new(kind, name, address, offset, size);
        let alarm = match bytes {
            Some(bytes) => alarm.with_bytes(bytes),
            None => alarm,
        };
        let symbol = symbol_at(self.module, offset);
        self.outcome.alarms.push(Alarm { symbol, ..alarm });
    }
}

/// Compares executable memory of a file that is no module's with the file.
pub fn compare_copy(process: &Process, mapping: &Mapping, file: &[u8]) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut at = mapping.range.start;
    while at < mapping.range.end && alarms.len() < MOST_ALARMS {
        // Most of a huge mapping is not there.
        let untouched = process.untouched(&(at..mapping.range.end.min(at + MOST_ASKED * PAGE)));
        at += untouched * PAGE;
        if untouched > 0 {
            continue;
        }
        let end = mapping.range.end.min(at + MOST_PAGES * PAGE);
        let states = process.pages(&(at..end));
        if states.is_none_or(|states| !states.iter().all(is_untouched)) {
            let mut expected = vec![0; (end - at) as usize];
            let offset = mapping.offset + (at - mapping.range.start);
            let bytes = usize::try_from(offset).ok().and_then(|offset| file.get(offset..));
            let bytes = bytes.unwrap_or_default();
            let len = bytes.len().min(expected.len());
            expected[..len].copy_from_slice(&bytes[..len]);
            let mut found = vec![0; expected.len()];
            let read = process.read_some(at, &mut found);
            for range in differences(&expected[..read], &found[..read]) {
                let name = String::from_utf8_lossy(&mapping.name).into_owned();
                let (from, size) = (range.start as u64, range.len() as u64);
                let alarm = Alarm::new(AlarmKind::Code, name, at + from, offset + from, size);
                alarms.push(alarm.with_bytes((&expected[range.clone()], &found[range])));
            }
        }
        at = end;
    }
    alarms
}

/// Where two equally long runs of bytes differ.
pub fn differences(expected: &[u8], found: &[u8]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    if expected == found {
        return ranges;
    }
    let differing = expected.iter().zip(found).enumerate().filter(|(_, (a, b))| a != b);
    for (at, _) in differing {
        match ranges.last_mut() {
            Some(last) if at < last.end + NEAR => last.end = at + 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_differences_are_one() {
        let expected = [0; 64];
        let mut found = expected;
        assert_eq!(differences(&expected, &found), []);
        (found[1], found[3], found[60]) = (1, 1, 1);
        assert_eq!(differences(&expected, &found), [1..4, 60..61]);
    }
}
