//! Who shares with whom. Frames of the same set of users, and contents of the same sets, are gone through once each.

use std::collections::BTreeMap;

use super::answer::{Matrix, Pair};
use super::class::Class;
use super::classify::{Counted, slot};
use super::users::Sets;

/// Holds the first `most` domains of an order against one another. `places` has each domain's place in the order.
pub fn matrix(counted: &Counted, sets: &Sets, places: &[usize], most: usize) -> Matrix {
    let mut pairs: BTreeMap<(usize, usize), (u64, u64)> = BTreeMap::new();
    let place = |domain: u32| Some(places[domain as usize]).filter(|&place| place < most);
    let mut shown = Vec::new();
    for (set, frames) in counted.frames.iter().enumerate() {
        let slots = [slot(Class::Shared, false), slot(Class::Shared, true)];
        let frames: u64 = slots.iter().map(|&slot| frames[slot]).sum();
        if frames == 0 {
            continue;
        }
        shown.clear();
        for &(domain, uses) in sets.get(set as u32) {
            if let Some(place) = place(domain) {
                shown.push(place);
                if uses > 1 {
                    pairs.entry((place, place)).or_default().0 += frames;
                }
            }
        }
        each_pair(&mut shown, |a, b| pairs.entry((a, b)).or_default().0 += frames);
    }
    // Within a domain: its frames that hold what others do, less the contents that they hold.
    let mut within: BTreeMap<usize, i128> = BTreeMap::new();
    for (set, &frames) in
        counted.groups.frames.iter().enumerate().filter(|(_, frames)| **frames > 0)
    {
        for place in sets.get(set as u32).iter().filter_map(|(domain, _)| place(*domain)) {
            *within.entry(place).or_default() += i128::from(frames);
        }
    }
    let mut together = Vec::new();
    for (signature, &contents) in &counted.groups.signatures {
        shown.clear();
        together.clear();
        for &set in signature {
            let mut of_set: Vec<_> =
                sets.get(set).iter().filter_map(|(domain, _)| place(*domain)).collect();
            shown.extend(&of_set);
            each_pair(&mut of_set, |a, b| together.push((a, b)));
        }
        together.sort_unstable();
        each_pair(&mut shown, |a, b| {
            if together.binary_search(&(a, b)).is_err() {
                pairs.entry((a, b)).or_default().1 += contents;
            }
        });
        for &place in &shown {
            *within.entry(place).or_default() -= i128::from(contents);
        }
    }
    for (place, saved) in within {
        if let Some(saved) = u64::try_from(saved).ok().filter(|saved| *saved > 0) {
            pairs.entry((place, place)).or_default().1 += saved;
        }
    }
    let pair = |((a, b), (shared, could))| Pair { a, b, shared, could };
    let pairs = pairs.into_iter().map(pair).filter(|pair| pair.shared + pair.could > 0);
    Matrix { domains: most, pairs: pairs.collect() }
}

/// Shows each pair of different places, the smaller first. Places are sorted, each is there once then.
fn each_pair(places: &mut Vec<usize>, mut each: impl FnMut(usize, usize)) {
    places.sort_unstable();
    places.dedup();
    for (index, &a) in places.iter().enumerate() {
        for &b in &places[index + 1..] {
            each(a, b);
        }
    }
}
