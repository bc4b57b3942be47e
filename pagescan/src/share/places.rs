//! Where contents are: the snapshots are gone through again for the few frames that are told.

use super::census::Census;
use super::domain::label_of;
use super::source::Source;
use crate::error;
use crate::snapshot::{Block, Damage, File, Header, Mapping, Placed, Process, Visitor};
use statify_printable::printable;

/// Of each frame, one place at least is told, and so many at most.
const PLACES: usize = 4;

/// Some places of each of these frames, which are ascending.
pub fn places(
    sources: &[Source<'_>],
    census: &Census,
    frames: &[u32],
) -> error::Result<Vec<Vec<String>>> {
    let mut finding = Finding {
        places: vec![Vec::new(); frames.len()],
        numbers: vec![None; frames.len()],
        wanted: Vec::new(),
        header: None,
        files: Vec::new(),
        process: None,
        mapping: None,
        prefix: String::new(),
    };
    for read in &census.order {
        finding.wanted = read.identity.locals(frames);
        if finding.wanted.is_empty() {
            continue;
        }
        finding.prefix = match census.machines.as_slice() {
            [] | [_] => String::new(),
            several => format!("{}: ", printable(&several[read.machine as usize])),
        };
        if let Some(numbers) = &read.numbers {
            for &(local, index) in &finding.wanted {
                if let Some(number) = numbers.get(local) {
                    finding.numbers[index] = Some(format!("{}frame {number:#x}", finding.prefix));
                }
            }
            continue;
        }
        let source = &sources[read.index];
        finding.header = Some(source.header().clone());
        finding.files.clear();
        (finding.process, finding.mapping) = (None, None);
        source.visit(&mut finding)?;
    }
    let Finding { mut places, numbers, .. } = finding;
    for (places, number) in places.iter_mut().zip(numbers) {
        if let (true, Some(number)) = (places.is_empty(), number) {
            places.push(number);
        }
    }
    Ok(places)
}

struct Finding {
    places: Vec<Vec<String>>,
    /// What is told of frames that are nowhere else.
    numbers: Vec<Option<String>>,
    /// Frames of the snapshot, ascending, with their places in the list.
    wanted: Vec<(u64, usize)>,
    header: Option<Header>,
    files: Vec<String>,
    process: Option<Process>,
    mapping: Option<Mapping>,
    prefix: String,
}

impl Finding {
    fn page_size(&self) -> u64 {
        self.header.as_ref().map_or(4096, |header| header.page_size.into())
    }

    fn place(&self, page: u64) -> String {
        let prefix = &self.prefix;
        let offset = page.saturating_mul(self.page_size());
        let (Some(process), Some(mapping)) = (&self.process, &self.mapping) else {
            let file = self.files.last().map_or("", |file| file);
            return format!("{prefix}{file}+{offset:#x}");
        };
        let name = printable(&process.name);
        let file = mapping.file.and_then(|file| self.files.get(file as usize));
        let (what, offset) = match file {
            Some(file) => (file.clone(), offset.saturating_add(mapping.offset)),
            None if mapping.name.is_empty() => {
                ("anonymous".into(), offset.saturating_add(mapping.range.start))
            }
            None => (printable(&mapping.name), offset),
        };
        format!("{prefix}{name} ({}) {what}+{offset:#x}", process.pid)
    }
}

impl Visitor for Finding {
    fn frames(&mut self, block: Block<'_>) -> Result<(), Damage> {
        let end = block.first + block.kinds.len() as u64;
        let from = self.wanted.partition_point(|wanted| wanted.0 < block.first);
        for &(local, index) in self.wanted[from..].iter().take_while(|wanted| wanted.0 < end) {
            if let Some(number) = block.numbers.get((local - block.first) as usize) {
                self.numbers[index] = Some(format!("{}frame {number:#x}", self.prefix));
            }
        }
        Ok(())
    }

    fn process(&mut self, process: &Process) -> Result<(), Damage> {
        self.process = Some(process.clone());
        self.mapping = None;
        Ok(())
    }

    fn mapping(&mut self, mapping: &Mapping) -> Result<(), Damage> {
        self.mapping = Some(mapping.clone());
        Ok(())
    }

    fn file(&mut self, file: &File) -> Result<(), Damage> {
        self.files.push(label_of(file));
        (self.process, self.mapping) = (None, None);
        Ok(())
    }

    fn pages(&mut self, pages: &[Placed]) -> Result<(), Damage> {
        for placed in pages {
            let from = self.wanted.partition_point(|wanted| wanted.0 < placed.frame);
            for &(local, index) in &self.wanted[from..] {
                if local >= placed.frame + placed.len {
                    break;
                }
                if self.places[index].len() < PLACES {
                    let place = self.place(placed.page + (local - placed.frame));
                    self.places[index].push(place);
                }
            }
        }
        Ok(())
    }
}
