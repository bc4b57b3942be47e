//! Where the libraries of a running converted program lie: each group slides by a distance of its own,
//! which stands nowhere but in the pointers to it. For each group one is told here, from which a debugger
//! can take the distance: one of the program's, or of a group that is told before.

use std::collections::{BTreeMap, HashSet};

use statify_elf::{ElfFile, little_endian, word_mask};
use statify_format::manifest::{Manifest, Memory};
use statify_format::parameters::Parameters;
use statify_params::{ABSOLUTE, Group};

/// A word that points into a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The group, by index.
    pub group: usize,
    /// The group that the word lies in; `None` for the program, and for absolute addresses.
    pub inside: Option<usize>,
    /// Where it lies: a virtual address of the output, or an absolute address.
    pub at: u64,
    /// It is an absolute one.
    pub absolute: bool,
    /// What it would hold if the group lay at its virtual addresses.
    pub value: u64,
}

/// Those of an output.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// One for each group; what a word lies in comes before.
    pub words: Vec<Anchor>,
    groups: Vec<Group>,
}

/// How likely a word is to be as it was at the hand-off; the least is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// It is read-only.
    Never,
    /// It holds a module's first address, as the loader's lists do.
    Seldom,
    /// The program may write there.
    Maybe,
}

impl Anchors {
    /// Finds them.
    pub fn find(output: &[u8], elf: &ElfFile<'_>, manifest: &Manifest) -> Self {
        let Ok(parameters) = Parameters::read(elf) else { return Self::default() };
        let mut anchors = Self { words: Vec::new(), groups: parameters.groups().collect() };
        let candidates = anchors.candidates(output, manifest, &parameters);
        // From what is known to what is not.
        let mut known = vec![None];
        let mut next = 0;
        while let Some(inside) = known.get(next).copied() {
            next += 1;
            for ((_, _), &(_, anchor)) in candidates.iter().filter(|((from, _), _)| *from == inside)
            {
                if !known.contains(&Some(anchor.group)) {
                    known.push(Some(anchor.group));
                    anchors.words.push(anchor);
                }
            }
        }
        anchors
    }

    /// The group that a place belongs to.
    pub fn group(&self, place: u64) -> Option<usize> {
        let next = self.groups.partition_point(|group| group.start <= place);
        next.checked_sub(1).filter(|_| place & ABSOLUTE == 0)
    }

    /// The best word for each group in each other, by these two.
    fn candidates(
        &self,
        output: &[u8],
        manifest: &Manifest,
        parameters: &Parameters<'_>,
    ) -> BTreeMap<(Option<usize>, usize), (Change, Anchor)> {
        let resolved = parameters.resolvers().flat_map(|resolver| {
            let (start, stream, count) = (resolver.start, resolver.stream, resolver.count);
            parameters.words(start, stream, count, "IFUNC resolvers").unwrap_or_default()
        });
        let resolved: HashSet<u64> = resolved.collect();
        let constants = parameters.constants(parameters.params.constants);
        let constants: BTreeMap<u64, u64> =
            constants.map(|constant| (constant.at, constant.value)).collect();
        let files = manifest.files.iter().flat_map(|file| &file.memory);
        let mut memory: Vec<&Memory> = files.chain(&manifest.memory).collect();
        memory.sort_unstable_by_key(|memory| memory.address);
        let mut best: BTreeMap<(Option<usize>, usize), (Change, Anchor)> = BTreeMap::new();
        for slide in parameters.slides() {
            let Some(group) = self.group(slide.target) else { continue };
            let inside = self.group(slide.start);
            if inside == Some(group) {
                continue;
            }
            let words = parameters.words(slide.start, slide.stream, slide.count, "pointers");
            for place in words.unwrap_or_default() {
                let (at, absolute) = (place & !ABSOLUTE, place & ABSOLUTE != 0);
                let next = memory.partition_point(|memory| memory.address <= at);
                let holds = |memory: &&&Memory| at - memory.address < memory.size;
                let Some(memory) = next.checked_sub(1).and_then(|i| memory.get(i)).filter(holds)
                else {
                    continue;
                };
                let in_file = || {
                    let start = memory.stored_at?.checked_add(at - memory.address)?;
                    let bytes = output.get(usize::try_from(start).ok()?..)?;
                    Some(little_endian(bytes.get(..parameters.word() as usize)?))
                };
                let Some(stored) = constants.get(&place).copied().or_else(in_file) else {
                    continue;
                };
                let change = match (memory.prot.contains('w'), stored) {
                    (false, _) => Change::Never,
                    (true, 0) => Change::Seldom,
                    (true, _) => Change::Maybe,
                };
                let value = stored.wrapping_add(slide.target) & word_mask(parameters.word());
                let anchor = Anchor { group, inside, at, absolute, value };
                let known = best.entry((inside, group)).or_insert((change, anchor));
                if change < known.0 && !resolved.contains(&place) {
                    *known = (change, anchor);
                }
            }
        }
        best
    }
}
