//! From all frames to the answer: contents are gone through once, each with all frames that hold it.

use super::answer::Savable;
use super::census::Census;
use super::class::{Class, Classes, Count};
use super::groups::{Groups, Held};
use super::kind::Kind;
use super::options::Options;
use super::partition::Entry;
use super::users::Sets;

/// Classes, each internal and external.
const SLOTS: usize = Class::ALL.len() * 2;

/// What was counted.
pub struct Counted {
    /// Of each set of users, how many frames are of which class; the external ones behind the internal ones.
    pub frames: Vec<[u64; SLOTS]>,
    /// Free frames.
    pub free: u64,
    /// Of each set of users, KSM's frames.
    pub ksm: Vec<u64>,
    /// Frames of zeros that are not the kernel's page of zeros, and those of them that KSM can merge.
    pub zero: (u64, u64),
    /// Of contents.
    pub groups: Groups,
}

/// The place of a class in [`Counted::frames`].
pub fn slot(class: Class, is_external: bool) -> usize {
    class as usize + if is_external { Class::ALL.len() } else { 0 }
}

/// Counts, and shows each content that several frames hold, ascending. `census` has no contents behind it.
pub fn count(census: &mut Census, options: &Options, mut several: impl FnMut(u128)) -> Counted {
    let contents = std::mem::take(&mut census.contents);
    let Census { kinds, users, sets, .. } = &*census;
    let mut counted = Counted {
        frames: vec![[0; SLOTS]; sets.len()],
        free: 0,
        ksm: vec![0; sets.len()],
        zero: (0, 0),
        groups: Groups::new(census.domains.len(), sets.len(), options),
    };
    // What a set says of frames that are alone.
    let alone: Vec<usize> = (0..sets.len() as u32).map(|set| alone(set, sets)).collect();
    for (kind, &set) in kinds.iter().zip(users) {
        counted.note(*kind, set, &alone, sets);
    }
    // Most frames are alone, and are not looked at again: what is found to be like others is moved.
    let mut held = Vec::new();
    let contents = contents.repeated(|entries| {
        held.clear();
        // Of all at once: they lie all over memory, and are fetched while others are waited for.
        held.extend(entries.iter().map(|entry| {
            let frame = entry.frame as usize;
            Held { frame: entry.frame, kind: kinds[frame], set: users[frame] }
        }));
        let mut rest = &held[..];
        for group in entries.chunk_by(Entry::is_like) {
            let (held, behind) = rest.split_at(group.len());
            rest = behind;
            several(group[0].hash());
            let (class, is_external) = counted.groups.add(group[0].hash(), held, sets);
            counted.move_alike(held, slot(class, is_external), sets);
        }
    });
    counted.groups.contents = contents;
    counted
}

/// The class of a frame that no other holds the same as.
fn alone(set: u32, sets: &Sets) -> usize {
    if sets.uses(set) > 1 {
        slot(Class::Shared, sets.get(set).len() > 1)
    } else {
        slot(Class::Private, false)
    }
}

impl Counted {
    /// Notes that frames that are used once hold the same as others.
    fn move_alike(&mut self, held: &[Held], alike: usize, sets: &Sets) {
        for held in held.iter().filter(|held| sets.uses(held.set) <= 1) {
            let frames = &mut self.frames[held.set as usize];
            frames[slot(Class::Private, false)] -= 1;
            frames[alike] += 1;
        }
    }

    /// Notes what does not depend on other frames, as if no other held the same.
    fn note(&mut self, kind: Kind, set: u32, alone: &[usize], sets: &Sets) {
        let at = set as usize;
        if kind.is_free() {
            self.free += 1;
            return;
        }
        self.ksm[at] += u64::from(kind.is_ksm());
        if kind.is_compared() {
            self.frames[at][alone[at]] += 1;
            return;
        }
        if kind.is_zero() {
            self.frames[at][slot(Class::Zero, false)] += 1;
            if !kind.is_zero_page() {
                self.zero.0 += 1;
                self.zero.1 += u64::from(kind.is_mergeable());
            }
        } else if kind.is_unread() {
            let slot = match sets.uses(set) {
                0 | 1 => slot(Class::Unread, false),
                _ => slot(Class::Shared, sets.get(set).len() > 1),
            };
            self.frames[at][slot] += 1;
        }
    }

    /// How much there is of each class.
    pub fn classes(&self, sets: &Sets) -> Classes {
        let mut classes = Classes::default();
        for set in 0..sets.len() as u32 {
            for class in Class::ALL {
                for is_external in [false, true] {
                    classes.add(class, is_external, self.count(set, class, is_external, sets));
                }
            }
        }
        classes
    }

    /// What could be saved.
    pub fn savable(&self, options: &Options) -> Savable {
        let groups = &self.groups;
        let within =
            groups.within.iter().fold((0, 0), |sum, domain| (sum.0 + domain.0, sum.1 + domain.1));
        Savable {
            at_most: groups.at_most,
            internal: within.0,
            external: groups.at_most - within.0,
            attainable: groups.attainable,
            attainable_internal: within.1,
            max_page_sharing: options.max_page_sharing.max(1),
            zero: self.zero.0,
            zero_attainable: self.zero.1,
        }
    }

    /// How much of a class frames of a set are.
    pub fn count(&self, set: u32, class: Class, is_external: bool, sets: &Sets) -> Count {
        let frames = self.frames[set as usize][slot(class, is_external)];
        Count { pages: frames * sets.uses(set), frames }
    }
}
