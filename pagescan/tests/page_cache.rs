//! The page cache by file: against what cachestat(2) and mincore(2) say of files that are known.

mod planted;
#[macro_use]
mod trials;

use std::fs::{self, File};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use pagescan::hash::Hasher;
use pagescan::kernel::kpage::KernelPages;
use pagescan::kernel::{Inodes, StructPages, Types};
use pagescan::scan::by_frame::ByFrame;
use pagescan::scan::page_cache::PageCache;
use pagescan::scan::ram;
use pagescan::snapshot::{
    FrameFlags, Header, MappedFile, Means, Scope, Snapshot, Totals, Writer, read_all,
};
use planted::{PAGE, Region, alone, memfd, page};

trials! {
    files_are_found_with_the_pages_they_have_in_memory: [Root];
    the_whole_page_cache: [Root] asked for;
}

const HASHER: Hasher = Hasher::Xxh3_128;

fn snapshot(ranges: &[Range<u64>]) -> Snapshot {
    read_all(&taken(ranges)[..]).unwrap().pop().unwrap()
}

fn taken(ranges: &[Range<u64>]) -> Vec<u8> {
    let by = ByFrame::new().unwrap();
    let pages = KernelPages::open().unwrap();
    let mut cache = PageCache::new().unwrap();
    let means = ram::Means { contents: &by, pages: &pages, uses: None, hasher: &HASHER };
    let header = Header {
        taken: 0,
        host: String::new(),
        boot: String::new(),
        kernel: String::new(),
        page_size: PAGE as u32,
        memory: 0,
        algorithm: HASHER.algorithm(),
        key_id: None,
        scope: Scope::Cache,
        means: Means::Frame,
        lacks: Vec::new(),
    };
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    cache.write(&means, ranges, &mut writer, &mut |_| ()).unwrap();
    writer.finish(Totals::default()).unwrap()
}

/// cachestat(2): pages of the file that are in memory.
fn cachestat(file: &OwnedFd) -> u64 {
    let all = [0u64; 2];
    let mut counts = [0u64; 5];
    // SAFETY: struct cachestat_range and struct cachestat (include/uapi/linux/mman.h) are as many words.
    let done = unsafe {
        libc::syscall(451, file.as_raw_fd(), all.as_ptr(), counts.as_mut_ptr(), 0 as libc::c_uint)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    counts[0]
}

/// Numbers of the pages that are in memory, by mincore(2), and frames by what is mapped of them.
fn resident(file: &OwnedFd, pages: usize) -> (Vec<u64>, Vec<u64>) {
    let region = Region::map(pages * PAGE, libc::MAP_SHARED, Some(file));
    let mut there = vec![0u8; pages];
    // SAFETY: a byte for each page of the mapping.
    let done = unsafe { libc::mincore(region.start.cast(), region.len, there.as_mut_ptr()) };
    assert_eq!(done, 0);
    let numbers: Vec<_> = (0..pages).filter(|&at| there[at] & 1 == 1).map(|at| at as u64).collect();
    for &number in &numbers {
        // SAFETY: within the mapping; it is in memory, and by this in the page table too.
        unsafe { region.start.add(number as usize * PAGE).read_volatile() };
    }
    let entries = region.entries();
    let frame = |number: &u64| entries[*number as usize] & ((1 << 55) - 1);
    let frames = numbers.iter().map(frame).collect();
    (numbers, frames)
}

/// Ranges around frames, as large pages are aligned.
fn around(frames: &[u64]) -> Vec<Range<u64>> {
    let mut starts: Vec<_> = frames.iter().map(|frame| frame / 512 * 512).collect();
    starts.sort_unstable();
    starts.dedup();
    starts.into_iter().map(|start| start..start + 512).collect()
}

/// The file's pages in a snapshot: numbers and hashes.
fn hashes(snapshot: &Snapshot, file: &MappedFile) -> Vec<(u64, pagescan::hash::PageHash)> {
    let mut pages = Vec::new();
    for run in &file.runs {
        for (page, frame) in (run.page..).zip(run.frames()) {
            assert!(snapshot.frames.attributes(frame).flags.has(FrameFlags::NAMED));
            pages.push((page, snapshot.frames.hashes[frame]));
        }
    }
    pages
}

fn find<'a>(snapshot: &'a Snapshot, file: &OwnedFd) -> &'a MappedFile {
    let stat = File::from(file.try_clone().unwrap()).metadata().unwrap();
    let is_it =
        |found: &&MappedFile| (found.file.device, found.file.inode) == (stat.dev(), stat.ino());
    let mut found = snapshot.files.iter().filter(is_it);
    let file = found.next().expect("the file is in the snapshot");
    assert!(found.next().is_none(), "and once");
    assert_eq!(file.file.size, stat.size());
    file
}

fn files_are_found_with_the_pages_they_have_in_memory() {
    let _alone = alone();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let open = |path: &std::path::Path| {
        OwnedFd::from(File::options().read(true).write(true).open(path).unwrap())
    };
    // Names that are in the directory entry, and that are too long for it.
    let whole = dir.path().join("whole");
    let partly = dir.path().join("p".repeat(200));
    let gone = dir.path().join("gone");
    let pages = 600;
    for (path, seed) in [(&whole, 0), (&partly, 10_000), (&gone, 20_000)] {
        let bytes: Vec<_> = (seed..seed + pages).flat_map(page).collect();
        let file = File::create(path).unwrap();
        // Large pages in memory are as large as what was written at once, and are dropped as a whole.
        for piece in bytes.chunks(8 * PAGE) {
            file.write_all_at(piece, (piece.as_ptr() as usize - bytes.as_ptr() as usize) as u64)
                .unwrap();
        }
        file.sync_all().unwrap();
    }
    let files = [&whole, &partly, &gone].map(|path| open(path));
    for (start, len) in [(0u64, 7), (100, 150), (400, 1)] {
        let (start, len) = (start as i64 * PAGE as i64, len * PAGE as i64);
        // SAFETY: takes no pointers.
        unsafe { libc::posix_fadvise(files[1].as_raw_fd(), start, len, libc::POSIX_FADV_DONTNEED) };
    }
    fs::remove_file(&gone).unwrap();
    let in_memory = memfd(c"some name");
    File::from(in_memory.try_clone().unwrap()).set_len(pages * PAGE as u64).unwrap();
    let region = Region::map(30 * PAGE, libc::MAP_SHARED, Some(&in_memory));
    region.fill(30_000..30_030);

    let [first, second, third] = files;
    let all = [first, second, third, in_memory];
    let there = all.each_ref().map(|file| resident(file, pages as usize));
    assert!(there[1].0.len() < pages as usize, "nothing was dropped");
    let frames: Vec<_> = there.iter().flat_map(|(_, frames)| frames).copied().collect();
    let snapshot = snapshot(&around(&frames));

    let name = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let paths = [
        name(&whole),
        name(&partly),
        name(&gone) + " (deleted)",
        "/memfd:some name (deleted)".to_owned(),
    ];
    for (at, file) in all.iter().enumerate() {
        let found = find(&snapshot, file);
        assert_eq!(String::from_utf8_lossy(&found.file.path), paths[at]);
        let seed = at as u64 * 10_000;
        let expected: Vec<_> =
            there[at].0.iter().map(|&number| (number, HASHER.hash(&page(seed + number)))).collect();
        assert_eq!(expected.len() as u64, cachestat(file), "{}", paths[at]);
        assert_eq!(hashes(&snapshot, found), expected, "{}", paths[at]);
    }
    // A page is in one file only.
    let pages: u64 = snapshot.files.iter().flat_map(|file| &file.runs).map(|run| run.len).sum();
    assert_eq!(pages, snapshot.frames.len() as u64);
    assert_eq!(pages, snapshot.totals.pages);
}

/// Prints how long all of the page cache takes, and how much of what the kernel says that it has was found.
/// `cargo test --release -p pagescan --test page_cache -- --ignored --nocapture`.
fn the_whole_page_cache() {
    let ranges = ByFrame::new().unwrap().ranges().to_vec();
    let cpu = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
    };
    let at = cpu();
    drop(PageCache::new().unwrap());
    println!("{:.2} CPU-seconds to get ready", cpu() - at);
    names_of_all(&ranges);
    let before = pages_of_kernel();
    let at = cpu();
    let bytes = taken(&ranges);
    println!("{:.2} CPU-seconds to take {} bytes", cpu() - at, bytes.len());
    let after = pages_of_kernel();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
    let snapshot = read_all(&bytes[..]).unwrap().pop().unwrap();
    let named = snapshot.files.iter().filter(|file| !file.file.path.is_empty()).count();
    println!(
        "{} frames, {} pages of {} files, {named} with a path; the kernel says {before}, and afterwards {after}",
        snapshot.frames.len(),
        snapshot.totals.pages,
        snapshot.files.len(),
    );
}

/// Prints how long it takes to name all files that have pages in memory.
fn names_of_all(ranges: &[Range<u64>]) {
    let types = Types::of_kernel().unwrap();
    let structs = StructPages::find(&types).unwrap();
    let mut inodes = Inodes::new(&types).unwrap();
    let pages = ranges.iter().flat_map(|range| structs.of(range.clone()));
    let mut mappings: Vec<_> = pages
        .filter(|page| !page.is_tail() && page.mapping & 3 == 0 && page.mapping >> 63 == 1)
        .map(|page| page.mapping)
        .collect();
    mappings.sort_unstable();
    mappings.dedup();
    let cpu = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
    };
    let at = cpu();
    let named = inodes.of(&mappings).into_iter().flatten();
    let named = named.filter(|inode| !inode.names.path.is_empty()).count();
    println!("{:.3} CPU-seconds to name {named} of {} files", cpu() - at, mappings.len());
}

fn pages_of_kernel() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 4
    };
    number("Cached:") + number("Buffers:")
}
