//! The answer, put together.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::answer::{Answer, Domain, Duplicate, Effect, MappedFile, Merged, Taken};
use super::census::{Census, census};
use super::class::{Class, Classes};
use super::classify::{Counted, count};
use super::groups::Large;
use super::matrix::matrix;
use super::options::Options;
use super::places::places;
use super::source::Source;
use crate::error::Result;

/// Classifies snapshots. Those of one machine, from one start of it to the next, have the frames of the same number in common;
/// what such a frame holds is what the newest says. What a process or a cached file uses is also taken from the newest that
/// has it.
pub fn share(sources: &[Source<'_>], options: &Options) -> Result<Answer> {
    let mut census = census(sources, options)?;
    let mut counted = count(&mut census, options, |_| {});
    let large = counted.groups.largest();
    let largest = duplicates(sources, &census, large)?;
    let classes = counted.classes(&census.sets);
    let all = domains(&census, &counted);
    let mut order: Vec<usize> =
        (0..all.len()).filter(|&domain| all[domain].count.pages > 0).collect();
    order.sort_by_key(|&domain| (Reverse(all[domain].count.pages), domain));
    let mut ranks = vec![usize::MAX; all.len()];
    for (rank, &domain) in order.iter().enumerate() {
        ranks[domain] = rank;
    }
    let most = order.len().min(options.matrix);
    let matrix = matrix(&counted, &census.sets, &ranks, most);
    let effect = effect(&census, &counted, &classes);
    Ok(Answer {
        snapshots: sources.iter().map(taken).collect(),
        page_size: sources.first().map_or(4096, |source| source.header().page_size),
        by: options.by,
        classes,
        free_frames: counted.free,
        contents: counted.groups.contents,
        savable: counted.savable(options),
        ksm: ksm(&census, &counted),
        domains: order.into_iter().map(|domain| all[domain].clone()).collect(),
        matrix,
        largest,
        files: files(&census),
        effect,
    })
}

fn taken(source: &Source<'_>) -> Taken {
    let header = source.header();
    Taken {
        file: statify_printable::path(source.path()),
        host: statify_printable::printable(&header.host),
        taken: header.taken,
        lacks: header.lacks.clone(),
    }
}

fn ksm(census: &Census, counted: &Counted) -> Merged {
    let mut merged = Merged::default();
    for (set, &frames) in counted.ksm.iter().enumerate() {
        let uses = census.sets.uses(set as u32);
        merged.count.frames += frames;
        merged.count.pages += frames * uses;
        merged.saved += frames * uses.saturating_sub(1);
    }
    merged
}

fn domains(census: &Census, counted: &Counted) -> Vec<Domain> {
    let named = |(index, name): (usize, &String)| {
        let (savable, attainable) = counted.groups.within[index];
        Domain { name: name.clone(), savable, attainable, ..Domain::default() }
    };
    let mut domains: Vec<Domain> = census.domains.iter().enumerate().map(named).collect();
    for set in 0..census.sets.len() as u32 {
        let of_class = |class| {
            let sides = [false, true];
            sides
                .map(|side| counted.count(set, class, side, &census.sets).frames)
                .iter()
                .sum::<u64>()
        };
        let frames = Class::ALL.map(of_class);
        let all: u64 = frames.iter().sum();
        let users = census.sets.get(set);
        for &(domain, uses) in users {
            let domain = &mut domains[domain as usize];
            domain.count.frames += all;
            domain.own_frames += if users.len() == 1 { all } else { 0 };
            for (class, frames) in Class::ALL.into_iter().zip(frames) {
                let pages = frames * u64::from(uses);
                domain.count.pages += pages;
                *match class {
                    Class::Shared => &mut domain.shared,
                    Class::Anonymous | Class::Named | Class::Mixed => &mut domain.opportunity,
                    Class::Private => &mut domain.private,
                    Class::Zero => &mut domain.zero,
                    Class::Unread => &mut domain.unread,
                } += pages;
            }
        }
    }
    domains
}

fn duplicates(
    sources: &[Source<'_>],
    census: &Census,
    large: Vec<Large>,
) -> Result<Vec<Duplicate>> {
    let frames: BTreeSet<u32> = large.iter().flat_map(|large| &large.first).copied().collect();
    let frames: Vec<u32> = frames.into_iter().collect();
    let places = if frames.is_empty() { Vec::new() } else { places(sources, census, &frames)? };
    let duplicate = |large: Large| {
        let of_frame =
            |frame: &u32| places.get(frames.binary_search(frame).ok()?)?.first().cloned();
        Duplicate {
            hash: format!("{:032x}", large.hash.0),
            count: super::class::Count { pages: large.pages, frames: large.frames },
            kind: match large.class {
                Class::Anonymous => "anonymous",
                Class::Named => "named",
                _ => "mixed",
            },
            places: large.first.iter().filter_map(of_frame).collect(),
        }
    };
    Ok(large.into_iter().map(duplicate).collect())
}

fn files(census: &Census) -> Vec<MappedFile> {
    let file = |file: &super::files::FileUse| MappedFile {
        machine: (census.machines.len() > 1)
            .then(|| census.machines[file.machine as usize].clone()),
        path: file.path.clone(),
        device: file.device,
        inode: file.inode,
        is_library: file.is_library,
        processes: file.processes,
        address_pages: file.address_pages,
        count: super::class::Count { pages: file.pages, frames: file.frames },
        sharing: if file.frames == 0 { 0.0 } else { file.pages as f64 / file.frames as f64 },
        copies: file.copies,
    };
    let mut files: Vec<MappedFile> = census.files.iter().map(file).collect();
    files.sort_by_key(|file| (Reverse(file.count.pages), Reverse(file.count.frames), file.inode));
    files
}

fn effect(census: &Census, counted: &Counted, classes: &Classes) -> Effect {
    let quotient = |over: u64, under: u64| (under > 0).then(|| over as f64 / under as f64);
    let all = classes.all();
    let shared = classes.shared.all();
    // Frames that nobody uses are in no address space.
    let unused: u64 = counted.frames[super::users::NOBODY as usize].iter().sum();
    let zero_unused = counted.count(super::users::NOBODY, Class::Zero, false, &census.sets).frames;
    let real_frames = (all.frames - classes.zero.frames) - (unused - zero_unused);
    let libraries = census.files.iter().filter(|file| file.is_library);
    let (address_pages, frames) = libraries.fold((0u64, 0), |sum, file| {
        (sum.0.saturating_add(file.address_pages), sum.1 + file.frames)
    });
    Effect {
        resident_pages: all.pages - classes.zero.pages,
        real_frames,
        unique_frames: real_frames - shared.frames,
        resident_effect: quotient(shared.pages, shared.frames),
        library_address_pages: address_pages,
        library_frames: frames,
        address_effect: quotient(address_pages, frames),
    }
}
