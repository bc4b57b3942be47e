//! Classes, savings and the matrix, held against a classifier that is slow and plain, and against memory whose classes are known.

mod made;

use std::collections::{BTreeMap, BTreeSet};

use made::{ANONYMOUS, Machine, Mapped, NAMED, any_snapshots, hash};
use pagescan::Error;
use pagescan::export::{Kind, export};
use pagescan::hash::Algorithm;
use pagescan::share::{Answer, By, Class, Classes, Count, Options, Sides, Source, share};
use pagescan::snapshot::{FrameFlags, PageFlags, Placed, Scope, Snapshot};
use proptest::prelude::*;

/// What a plain classifier says: of the classes, the savings, and of each pair of domains.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    classes: Classes,
    free: u64,
    contents: u64,
    at_most: u64,
    internal: u64,
    attainable: u64,
    attainable_internal: u64,
    zero: (u64, u64),
    ksm: Count,
    pairs: BTreeMap<(String, String), (u64, u64)>,
}

/// A frame as it is told from others: by the machine or snapshot, and its number or index.
type Id = (String, u64);

/// Everything by maps, in the words of the definitions.
fn plain(snapshots: &[Snapshot], by: By, max_page_sharing: u64) -> Plain {
    let hosts: BTreeSet<_> = snapshots.iter().map(|snapshot| &snapshot.header.host).collect();
    let prefix = |host: &str| if hosts.len() > 1 { format!("{host}: ") } else { String::new() };
    // The newest first; of equally old ones the last.
    let mut order: Vec<usize> = (0..snapshots.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse((snapshots[index].header.taken, index)));
    let mut frames: BTreeMap<Id, (FrameFlags, [u8; 16])> = BTreeMap::new();
    let mut uses: BTreeMap<Id, BTreeMap<String, u64>> = BTreeMap::new();
    let mut processes: BTreeMap<(String, u32, u64), usize> = BTreeMap::new();
    let mut cached: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for index in order {
        let snapshot = &snapshots[index];
        let host = &snapshot.header.host;
        let id = |frame: usize| -> Id {
            match snapshot.frames.numbers.get(frame) {
                Some(number) => (host.clone(), *number),
                None => (format!("{host} {index}"), frame as u64),
            }
        };
        for frame in 0..snapshot.frames.len() {
            let attributes = snapshot.frames.attributes(frame);
            frames.entry(id(frame)).or_insert((attributes.flags, snapshot.frames.hashes[frame].0));
            if snapshot.header.scope == Scope::Ram && !attributes.flags.has(FrameFlags::FREE) {
                let domain = match (by, attributes.cgroup) {
                    (By::Cgroup, 0) => "no cgroup".into(),
                    (By::Cgroup, inode) => format!("cgroup of inode {inode}"),
                    _ => "all memory".into(),
                };
                let domain = prefix(host) + &domain;
                let count = u64::from(attributes.map_count.max(1));
                *uses.entry(id(frame)).or_default().entry(domain).or_default() += count;
            }
        }
        let of_file = |file: &pagescan::snapshot::File| {
            let path = String::from_utf8(file.path.clone()).unwrap();
            match (by, path.rsplit_once('/')) {
                (By::Library, Some((_, name))) => name.to_owned(),
                (_, Some(_)) => prefix(host) + &path,
                (_, None) => {
                    format!("{}inode {} of device {}", prefix(host), file.inode, file.device)
                }
            }
        };
        for file in &snapshot.files {
            if file.runs.is_empty()
                || *cached.entry((host.clone(), file.file.inode)).or_insert(index) != index
            {
                continue;
            }
            let domain = match by {
                By::File | By::Library => of_file(&file.file),
                _ => prefix(host) + "page cache",
            };
            for frame in file.runs.iter().flat_map(|run| run.frames()) {
                *uses.entry(id(frame)).or_default().entry(domain.clone()).or_default() += 1;
            }
        }
        for task in &snapshot.tasks {
            let process = &task.process;
            let key = (host.clone(), process.pid, process.start);
            if *processes.entry(key).or_insert(index) != index {
                continue;
            }
            for vma in &task.vmas {
                let file = vma.mapping.file.map(|file| &snapshot.files[file as usize].file);
                let domain = match by {
                    By::Process => format!("{} ({})", process.name, process.pid),
                    By::User => format!("user {}", process.uid),
                    By::Cgroup => process.cgroup.clone(),
                    By::Guest => "host".into(),
                    By::File | By::Library => String::new(),
                };
                let domain = match (by, file) {
                    (By::File | By::Library, Some(file)) => of_file(file),
                    (By::File | By::Library, None) if vma.mapping.name.is_empty() => {
                        prefix(host) + "anonymous"
                    }
                    (By::File | By::Library, None) => prefix(host) + &vma.mapping.name,
                    _ => prefix(host) + &domain,
                };
                let is_memory = |run: &&Placed| !run.flags.has(PageFlags::SPECIAL);
                for frame in vma.runs.iter().filter(is_memory).flat_map(|run| run.frames()) {
                    *uses.entry(id(frame)).or_default().entry(domain.clone()).or_default() += 1;
                }
            }
        }
    }

    let mut plain = Plain::default();
    let nobody = BTreeMap::new();
    let is_compared = |flags: FrameFlags| {
        flags.0
            & (FrameFlags::ZERO.0
                | FrameFlags::UNREAD.0
                | FrameFlags::FREE.0
                | FrameFlags::ZERO_PAGE.0)
            == 0
    };
    let is_named = |flags: FrameFlags| flags.has(FrameFlags::NAMED) || flags.has(FrameFlags::SHMEM);
    let is_anonymous = |flags: FrameFlags| flags.has(FrameFlags::ANONYMOUS) && !is_named(flags);
    let mut by_content: BTreeMap<[u8; 16], Vec<&Id>> = BTreeMap::new();
    for (id, (flags, hash)) in &frames {
        if is_compared(*flags) {
            by_content.entry(*hash).or_default().push(id);
        }
    }
    for (id, (flags, hash)) in &frames {
        let users = uses.get(id).unwrap_or(&nobody);
        let count = Count { pages: users.values().sum(), frames: 1 };
        if flags.has(FrameFlags::FREE) {
            plain.free += 1;
            continue;
        }
        if flags.has(FrameFlags::KSM) {
            plain.ksm += count;
        }
        let alike = if is_compared(*flags) { &by_content[hash][..] } else { &[] };
        let all_are = |is: &dyn Fn(FrameFlags) -> bool| alike.iter().all(|id| is(frames[*id].0));
        let mut domains: BTreeSet<&String> = users.keys().collect();
        let class = if flags.has(FrameFlags::ZERO) || flags.has(FrameFlags::ZERO_PAGE) {
            plain.zero.0 += u64::from(!flags.has(FrameFlags::ZERO_PAGE));
            plain.zero.1 += u64::from(!flags.has(FrameFlags::ZERO_PAGE) && is_anonymous(*flags));
            domains.clear();
            Class::Zero
        } else if count.pages > 1 {
            Class::Shared
        } else if flags.has(FrameFlags::UNREAD) {
            Class::Unread
        } else if alike.len() > 1 {
            domains = alike.iter().flat_map(|id| uses.get(*id).unwrap_or(&nobody).keys()).collect();
            match () {
                () if all_are(&is_anonymous) => Class::Anonymous,
                () if all_are(&is_named) => Class::Named,
                () => Class::Mixed,
            }
        } else {
            Class::Private
        };
        plain.classes.add(class, domains.len() > 1, count);
        if class == Class::Shared {
            for (a, uses) in users {
                for b in users.keys().filter(|b| *b >= a) {
                    if a != b || *uses > 1 {
                        plain.pairs.entry((a.clone(), b.clone())).or_default().0 += 1;
                    }
                }
            }
        }
    }
    for alike in by_content.values() {
        plain.contents += 1;
        plain.at_most += alike.len() as u64 - 1;
        let saved = |ids: &[&&Id]| {
            let ids: Vec<_> = ids.iter().filter(|id| is_anonymous(frames[**id].0)).collect();
            let pages =
                |id: &&&&Id| uses.get(***id).map_or(1, |users| users.values().sum::<u64>().max(1));
            let pages: u64 = ids.iter().map(pages).sum();
            (ids.len() as u64).saturating_sub(pages.div_ceil(max_page_sharing))
        };
        plain.attainable += saved(&alike.iter().collect::<Vec<_>>());
        let used_by =
            |id: &Id, domain: &String| uses.get(id).is_some_and(|users| users.contains_key(domain));
        let domains: BTreeSet<&String> =
            alike.iter().flat_map(|id| uses.get(*id).unwrap_or(&nobody).keys()).collect();
        for &a in &domains {
            let own: Vec<_> =
                alike.iter().filter(|id| used_by(id, a) && uses[**id].len() == 1).collect();
            plain.internal += (own.len() as u64).saturating_sub(1);
            plain.attainable_internal += saved(&own);
            for &b in &domains {
                let of_a = alike.iter().filter(|id| used_by(id, a)).count() as u64;
                let has_both = alike.iter().any(|id| used_by(id, a) && used_by(id, b));
                if a == b && of_a > 1 {
                    plain.pairs.entry((a.clone(), b.clone())).or_default().1 += of_a - 1;
                } else if a < b && !has_both {
                    plain.pairs.entry((a.clone(), b.clone())).or_default().1 += 1;
                }
            }
        }
    }
    plain
}

/// The same of an answer.
fn of(answer: &Answer) -> Plain {
    let name = |domain: usize| answer.domains[domain].name.clone();
    let pair = |pair: &pagescan::share::Pair| {
        let (a, b) = (name(pair.a), name(pair.b));
        (if a <= b { (a, b) } else { (b, a) }, (pair.shared, pair.could))
    };
    Plain {
        classes: answer.classes,
        free: answer.free_frames,
        contents: answer.contents,
        at_most: answer.savable.at_most,
        internal: answer.savable.internal,
        attainable: answer.savable.attainable,
        attainable_internal: answer.savable.attainable_internal,
        zero: (answer.savable.zero, answer.savable.zero_attainable),
        ksm: answer.ksm.count,
        pairs: answer.matrix.pairs.iter().map(pair).collect(),
    }
}

fn classified(snapshots: &[Snapshot], options: &Options) -> Answer {
    let sources: Vec<_> = snapshots.iter().map(Source::Memory).collect();
    share(&sources, options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_plain_classifier_says_the_same(seed in any::<u64>(), by in 0usize..6, max in 2u64..5) {
        let by = [By::Process, By::User, By::Cgroup, By::File, By::Library, By::Guest][by];
        let machines = any_snapshots(seed, true);
        let snapshots: Vec<_> = machines.iter().map(Machine::snapshot).collect();
        let options = Options { by, max_page_sharing: max, ..Options::default() };
        let answer = classified(&snapshots, &options);
        prop_assert_eq!(of(&answer), plain(&snapshots, by, max));
        // Sums of what is told more than once.
        let all = answer.classes.all();
        prop_assert_eq!(answer.domains.iter().map(|domain| domain.count.pages).sum::<u64>(), all.pages);
        prop_assert_eq!(answer.savable.internal + answer.savable.external, answer.savable.at_most);
        // And from files as from memory.
        let dir = tempfile::tempdir().unwrap();
        let mut sources = Vec::new();
        for (index, machine) in machines.iter().enumerate() {
            let path = dir.path().join(index.to_string());
            std::fs::write(&path, machine.write(Vec::new())).unwrap();
            sources.push(Source::choose(&path, None).unwrap());
        }
        let mut from_files = share(&sources, &options).unwrap();
        from_files.snapshots = answer.snapshots.clone();
        prop_assert_eq!(from_files, answer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn damaged_files_are_refused(seed in 0u64..50, at in any::<prop::sample::Index>(), bit in 0u8..8, is_cut in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("damaged");
        let mut bytes = any_snapshots(seed, true)[0].write(Vec::new());
        let at = at.index(bytes.len());
        if is_cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        std::fs::write(&path, bytes).unwrap();
        let answer = Source::choose(&path, None).and_then(|source| share(&[source], &Options::default()));
        prop_assert!(answer.is_err());
    }
}

/// Of a class, within domains and between them.
fn sides(internal: (u64, u64), external: (u64, u64)) -> Sides {
    let count = |(pages, frames)| Count { pages, frames };
    Sides { internal: count(internal), external: count(external) }
}

fn classes(machine: &Machine) -> (Classes, Answer) {
    let answer = classified(&[machine.snapshot()], &Options::default());
    (answer.classes, answer)
}

#[test]
fn equal_anonymous_pages_are_opportunities() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let frames: Vec<u64> = (0..1000).map(|number| machine.frame(number, 7, ANONYMOUS)).collect();
    machine.process(1, None, &frames[..600]);
    machine.process(2, None, &frames[600..]);
    let (classes, answer) = classes(&machine);
    assert_eq!(classes.anonymous, sides((0, 0), (1000, 1000)));
    assert_eq!(classes.all(), Count { pages: 1000, frames: 1000 });
    let savable = answer.savable;
    assert_eq!((savable.at_most, savable.internal, savable.external), (999, 998, 1));
    // 1000 pages take four frames of at most 256; apart, three and two.
    assert_eq!((savable.attainable, savable.attainable_internal), (996, 600 - 3 + 400 - 2));
    assert_eq!(answer.largest[0].count.frames, 1000);
    assert_eq!(answer.largest[0].hash, format!("{:032x}", u128::from_be_bytes(hash(7).0)));
    assert_eq!(answer.largest[0].places[0], "p1 (1) anonymous+0x100000");
}

#[test]
fn forked_pages_are_shared() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let frames: Vec<u64> = (0..10).map(|number| machine.frame(number, number, ANONYMOUS)).collect();
    for pid in 1..=3 {
        machine.process(pid, None, &frames);
    }
    let (classes, answer) = classes(&machine);
    assert_eq!(classes.shared, sides((0, 0), (30, 10)));
    assert_eq!(classes.all().frames, 10);
    assert_eq!(answer.savable.at_most, 0);
    assert_eq!(answer.effect.resident_effect, Some(3.0));
    let [first, ..] = answer.matrix.pairs[..] else { panic!("pairs") };
    assert_eq!((answer.matrix.pairs.len(), first.shared, first.could), (3, 10, 0));
}

#[test]
fn two_inodes_of_the_same_contents_are_named_opportunities() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let files = [machine.file(1, "/a/libx.so"), machine.file(2, "/b/libx.so")];
    for (pid, file) in (1..).zip(files) {
        let frames: Vec<u64> =
            (0..5).map(|page| machine.frame(u64::from(pid) * 100 + page, page, NAMED)).collect();
        machine.process(pid, Some(file), &frames);
    }
    let (classes, answer) = classes(&machine);
    assert_eq!(classes.named, sides((0, 0), (10, 10)));
    assert_eq!((answer.savable.at_most, answer.savable.attainable), (5, 0));
    // Of one library they are internal.
    let snapshot = [machine.snapshot()];
    let options = Options { by: By::Library, ..Options::default() };
    let answer = classified(&snapshot, &options);
    assert_eq!(answer.classes.named, sides((10, 10), (0, 0)));
    assert_eq!(answer.domains[0].name, "libx.so");
    assert_eq!((answer.savable.internal, answer.savable.external), (5, 0));
}

#[test]
fn one_inode_that_is_mapped_twice_is_shared() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let file = machine.file(1, "/lib/libx.so");
    let frames: Vec<u64> = (0..5).map(|page| machine.frame(page, page, NAMED)).collect();
    machine.process(1, Some(file), &frames);
    machine.process(2, Some(file), &frames[..3]);
    // And a page of it that was written to.
    let own = machine.frame(99, 99, ANONYMOUS);
    machine.process(3, Some(file), &[own]);
    let (classes, answer) = classes(&machine);
    assert_eq!(classes.shared, sides((0, 0), (6, 3)));
    assert_eq!(classes.private, Count { pages: 3, frames: 3 });
    let file = &answer.files[0];
    assert_eq!((file.processes, file.count.pages, file.count.frames, file.copies), (3, 8, 5, 1));
    assert_eq!((file.sharing, file.is_library, file.address_pages), (1.6, true, 9));
    let effect = answer.effect;
    assert_eq!((effect.resident_pages, effect.real_frames, effect.unique_frames), (9, 6, 3));
    assert_eq!((effect.resident_effect, effect.address_effect), (Some(2.0), Some(1.8)));
}

#[test]
fn a_mapping_twice_in_one_process_is_internal() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let frame = machine.frame(1, 1, NAMED | FrameFlags::SHMEM);
    machine.process(1, None, &[frame]);
    let again = machine.processes[0].mappings[0].clone();
    machine.processes[0].mappings.push(again);
    let (classes, answer) = classes(&machine);
    assert_eq!(classes.shared, sides((2, 1), (0, 0)));
    assert_eq!((answer.matrix.pairs.len(), answer.matrix.pairs[0].shared), (1, 1));
}

#[test]
fn a_memfd_like_anonymous_memory_is_a_mixed_opportunity() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let memfd = machine.frame(1, 5, FrameFlags::NAMED | FrameFlags::SHMEM);
    let anonymous = machine.frame(2, 5, ANONYMOUS);
    machine.process(1, None, &[memfd, anonymous]);
    let (classes, answer) = classes(&machine);
    assert_eq!(classes.mixed, sides((2, 2), (0, 0)));
    assert_eq!((answer.savable.at_most, answer.savable.attainable), (1, 0));
}

#[test]
fn zeros_are_apart() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let kernel_s = machine.frame(1, 0, FrameFlags::ZERO | FrameFlags::ZERO_PAGE);
    let own = machine.frame(2, 0, ANONYMOUS | FrameFlags::ZERO);
    let file_s = machine.frame(3, 0, NAMED | FrameFlags::ZERO);
    machine.process(1, None, &[kernel_s, kernel_s, own, file_s]);
    let (classes, answer) = classes(&machine);
    assert_eq!(classes.zero, Count { pages: 4, frames: 3 });
    assert_eq!(classes.all(), classes.zero);
    let savable = answer.savable;
    assert_eq!((savable.at_most, savable.zero, savable.zero_attainable), (0, 2, 1));
}

#[test]
fn what_ksm_has_merged_is_shared_and_saves_no_more() {
    // 512 equal pages in two frames of 256, as many as there may be in one.
    let mut machine = Machine::new("host", 1, Scope::All);
    let ksm = ANONYMOUS | FrameFlags::KSM;
    let frames = [machine.frame(1, 1, ksm), machine.frame(2, 1, ksm)];
    let pages = frames.map(|frame| [frame; 256]).concat();
    machine.process(1, None, &pages);
    let (classes, answer) = classes(&machine);
    assert_eq!(classes.shared, sides((512, 2), (0, 0)));
    assert_eq!(answer.ksm.count, Count { pages: 512, frames: 2 });
    assert_eq!((answer.ksm.saved, answer.savable.at_most, answer.savable.attainable), (510, 1, 0));
}

#[test]
fn unread_frames_are_shared_if_they_are_used_twice() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let one = machine.frame(1, 1, ANONYMOUS | FrameFlags::UNREAD);
    let other = machine.frame(2, 1, ANONYMOUS | FrameFlags::UNREAD);
    machine.process(1, None, &[one, one, other]);
    let (classes, _) = classes(&machine);
    assert_eq!(classes.shared, sides((2, 1), (0, 0)));
    assert_eq!(classes.unread, Count { pages: 1, frames: 1 });
}

#[test]
fn snapshots_of_one_machine_have_frames_in_common() {
    let mut one = Machine::new("host", 1, Scope::Processes);
    let frames = [one.frame(10, 1, ANONYMOUS), one.frame(20, 2, ANONYMOUS)];
    one.process(1, None, &frames);
    let mut other = Machine::new("host", 2, Scope::Processes);
    let frames = [other.frame(15, 1, ANONYMOUS), other.frame(20, 2, ANONYMOUS)];
    other.process(2, None, &frames);
    let of = |one: &Machine, other: &Machine| {
        classified(&[one.snapshot(), other.snapshot()], &Options::default()).classes
    };
    let classes = of(&one, &other);
    assert_eq!(classes.shared, sides((0, 0), (2, 1)));
    assert_eq!(classes.anonymous, sides((0, 0), (2, 2)));
    // After another start its frames are others.
    other.header.boot = "later".into();
    assert_eq!(of(&one, &other).anonymous, sides((0, 0), (4, 4)));
}

#[test]
fn a_process_counts_as_the_newest_snapshot_has_it() {
    let of = |taken, number| {
        let mut machine = Machine::new("host", taken, Scope::Processes);
        let frame = machine.frame(number, 1, ANONYMOUS);
        machine.process(1, None, &[frame]);
        machine.snapshot()
    };
    let classes = classified(&[of(2, 10), of(1, 10)], &Options::default()).classes;
    assert_eq!(classes.private, Count { pages: 1, frames: 1 });
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let one = Machine::new("host", 1, Scope::All);
    let refused = |other: &Machine| {
        let snapshots = [one.snapshot(), other.snapshot()];
        let sources: Vec<_> = snapshots.iter().map(Source::Memory).collect();
        let error = share(&sources, &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Incomparable(..)), "{error}");
        error.to_string()
    };
    let mut other = Machine::new("other", 1, Scope::All);
    other.header.algorithm = Algorithm::Keyed;
    assert!(refused(&other).contains("in different ways"));
    other.header.algorithm = Algorithm::Xxh3_128;
    other.header.key_id = Some([1; 8]);
    assert!(refused(&other).contains("with different keys"));
    other.header.key_id = None;
    other.header.page_size = 16384;
    assert!(refused(&other).contains("of different sizes"));
    assert!(refused(&Machine::new("host", 1, Scope::Ram)).contains("give it alone"));
}

#[test]
fn one_of_several_snapshots_is_chosen() {
    let mut first = Machine::new("host", 1, Scope::All);
    first.frame(1, 1, ANONYMOUS);
    let second = Machine::new("host", 2, Scope::All);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshots");
    std::fs::write(&path, second.write(first.write(Vec::new()))).unwrap();
    let taken = |at| Source::choose(&path, at).map(|source| source.header().taken);
    assert_eq!((taken(None).unwrap(), taken(Some(1)).unwrap(), taken(Some(2)).unwrap()), (2, 1, 2));
    let error = taken(Some(3)).unwrap_err().to_string();
    assert!(error.ends_with("there is no snapshot 3: it has 2, counted from 1"), "{error}");
    assert!(taken(Some(0)).is_err());
}

#[test]
fn guests_are_told_from_their_host() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let frames: Vec<u64> = (0..3).map(|number| machine.frame(number, 1, ANONYMOUS)).collect();
    machine.process(1, None, &frames[..1]);
    machine.process(2, None, &frames[1..]);
    machine.processes[0].name = "qemu-system-x86".into();
    machine.processes[0].mappings.push(Mapped::default());
    let options = Options { by: By::Guest, ..Options::default() };
    let answer = classified(&[machine.snapshot()], &options);
    let names: Vec<_> = answer.domains.iter().map(|domain| &domain.name[..]).collect();
    assert_eq!(names, ["host", "qemu-system-x86 (1)"]);
}

#[test]
fn exports_have_a_line_for_each_page() {
    let mut machine = Machine::new("host", 1, Scope::All);
    let file = machine.file(77, "/lib/=x.so");
    let own = machine.frame(0x1234, 1, NAMED);
    machine.process(42, Some(file), &[own, own]);
    machine.frame(0x99, 2, FrameFlags::FREE);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshot");
    std::fs::write(&path, machine.write(Vec::new())).unwrap();
    let tables = dir.path().join("tables");
    assert_eq!(export(&path, Kind::Csv, &tables).unwrap(), 1);
    let file = std::fs::read_dir(&tables).unwrap().next().unwrap().unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file.path()).unwrap();
    let hash = format!("{:032x}", u128::from_be_bytes(hash(1).0));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(
        lines[0],
        "snapshot,pid,process,mapping,address,frame,frame_flags,page_flags,hash,ref_count,map_count,inode"
    );
    assert_eq!(lines[2], format!("1,42,p42,/lib/=x.so,101000,4660,2,4,{hash},2,1,77"));
    assert!(lines[3].starts_with("1,,,,,153,16384,,"), "{text}");
}
