//! Memory by frame: what is read is what is there, and nothing is left behind.

mod planted;
#[macro_use]
mod trials;

use std::fs::{self, File};
use std::io::Seek;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use pagescan::hash::Hasher;
use pagescan::kernel::kpage::KernelPages;
use pagescan::kernel::{Lack, StructPages, Types};
use pagescan::scan::by_frame::ByFrame;
use pagescan::scan::contents::{Content, Contents, Wanted};
use pagescan::scan::ram;
use pagescan::snapshot::{Attributes, FrameFlags, Header, Means, Scope, Totals, Writer, read_all};
use planted::{Fork, PAGE, Region, alone, memfd, page};
use trials::not_run_in_part;

trials! {
    each_kind_of_memory_is_read_and_told: [Root];
    uses_of_frames_are_counted: [Root];
    a_scan_by_frame_leaves_no_mark: [Root];
    memory_is_written_frame_by_frame: [Root];
    what_lacks_is_said: [Root];
    who_has_no_rights_reads_one_sentence: [];
    bytes_a_second: [Root] asked for;
    all_of_memory: [Root] asked for;
}

const HASHER: Hasher = Hasher::Xxh3_128;

fn wanted(frames: &[u64]) -> Vec<Wanted> {
    frames.iter().map(|&number| Wanted { number: Some(number), address: 0 }).collect()
}

/// What a region holds by frame, and what /proc/self/mem says that it does.
fn both_ways(by: &ByFrame, region: &Region) -> (Vec<Content>, Vec<Content>) {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut bytes = vec![0; region.len];
    memory.read_exact_at(&mut bytes, region.start as u64).unwrap();
    let by_process = bytes.chunks_exact(PAGE).map(|page| Content::of(page, &HASHER)).collect();
    (by.of(&wanted(&region.frames()), &HASHER), by_process)
}

/// The flags that tell classes.
fn classes(pages: &KernelPages, frames: &[u64]) -> Vec<FrameFlags> {
    let told = FrameFlags::ANONYMOUS
        | FrameFlags::NAMED
        | FrameFlags::SHMEM
        | FrameFlags::KSM
        | FrameFlags::ZERO_PAGE
        | FrameFlags::HUGE
        | FrameFlags::HUGETLB
        | FrameFlags::KERNEL
        | FrameFlags::FREE
        | FrameFlags::DEVICE
        | FrameFlags::UNKNOWN;
    // In order, as they are asked for.
    let mut sorted = frames.to_vec();
    sorted.sort_unstable();
    let attributes = pages.attributes(&sorted);
    let of = |frame| attributes[sorted.binary_search(frame).unwrap()].flags.0 & told.0;
    frames.iter().map(|frame| FrameFlags(of(frame))).collect()
}

fn each_kind_of_memory_is_read_and_told() {
    let _alone = alone();
    let by = ByFrame::new().unwrap();
    let pages = KernelPages::open().unwrap();
    let (anonymous, named, huge) = (FrameFlags::ANONYMOUS, FrameFlags::NAMED, FrameFlags::HUGE);
    let shmem = named | FrameFlags::SHMEM;
    let hold = |what: &str, region: &Region, flags: FrameFlags| {
        let (by_frame, by_process) = both_ways(&by, region);
        assert_eq!(by_frame, by_process, "{what}");
        let count = region.len / PAGE;
        assert_eq!(classes(&pages, &region.frames()), vec![flags; count], "{what}");
    };

    let region = Region::anonymous(300 * PAGE);
    region.fill(0..300);
    hold("anonymous", &region, anonymous);
    {
        let _fork = Fork::new();
        hold("forked", &region, anonymous);
        let mut frames = region.frames();
        frames.sort_unstable();
        let counts: Vec<_> =
            pages.attributes(&frames).iter().map(|known| known.map_count).collect();
        assert_eq!(counts, vec![2; frames.len()], "of both processes");
    }
    region.protect(libc::PROT_NONE);
    hold("PROT_NONE", &region, anonymous);

    let zeros = Region::anonymous(20 * PAGE);
    // SAFETY: within the mapping.
    unsafe { zeros.start.write_bytes(1, zeros.len) };
    // SAFETY: as above.
    unsafe { zeros.start.write_bytes(0, zeros.len - 1) };
    hold("zeros but for the last byte", &zeros, anonymous);
    let contents = by.of(&wanted(&zeros.frames()), &HASHER);
    assert_eq!(contents[..19], [Content::Zero; 19]);
    assert!(matches!(contents[19], Content::Hash(_)));

    // The kernel's own page of zeros, and its huge one.
    let untouched = Region::anonymous(4 * PAGE);
    untouched.advise(libc::MADV_NOHUGEPAGE);
    // SAFETY: within the mapping.
    let sum: u8 = (0..4).map(|at| unsafe { untouched.start.add(at * PAGE).read_volatile() }).sum();
    assert_eq!(sum, 0);
    hold("the page of zeros", &untouched, FrameFlags::ZERO_PAGE);

    let file = memfd(c"planted");
    File::from(file.try_clone().unwrap()).set_len(50 * PAGE as u64).unwrap();
    let region = Region::map(50 * PAGE, libc::MAP_SHARED, Some(&file));
    region.fill(1000..1050);
    hold("memfd", &region, shmem);
    let region = Region::map(50 * PAGE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, None);
    region.fill(1000..1050);
    hold("shared anonymous", &region, shmem);

    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("file");
    fs::write(&path, (2000..2050).flat_map(page).collect::<Vec<_>>()).unwrap();
    let options = File::options().read(true).write(true).open(&path).unwrap();
    let file = OwnedFd::from(options);
    let region = Region::map(50 * PAGE, libc::MAP_PRIVATE, Some(&file));
    region.advise(libc::MADV_POPULATE_READ);
    let large = by_kernel_huge(&region);
    for (frame, is_large) in classes(&pages, &region.frames()).into_iter().zip(large) {
        // Files may have large pages or not.
        assert_eq!(frame, if is_large { named | huge } else { named }, "file");
    }
    assert_eq!(both_ways(&by, &region).0, both_ways(&by, &region).1, "file");
    region.fill(3000..3050);
    hold("file, written to", &region, anonymous);

    let region = Region::anonymous(6 << 20);
    region.advise(libc::MADV_HUGEPAGE);
    region.fill(0..(6 << 20) / PAGE as u64);
    let large = by_kernel_huge(&region);
    if !large.contains(&true) {
        not_run_in_part("the kernel gives no huge pages");
    }
    let (by_frame, by_process) = both_ways(&by, &region);
    assert_eq!(by_frame, by_process, "huge");
    for (flags, is_large) in classes(&pages, &region.frames()).into_iter().zip(large) {
        assert_eq!(flags, if is_large { anonymous | huge } else { anonymous }, "huge");
    }

    hugetlb(&hold);
    secret(&by);
    outside(&by, &pages);
}

/// Of each page, whether it is part of a large one, as the kernel says it (KPF_THP).
fn by_kernel_huge(region: &Region) -> Vec<bool> {
    let file = File::open("/proc/kpageflags").unwrap();
    let is_huge = |frame: u64| {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, frame * 8).unwrap();
        u64::from_ne_bytes(word) >> 22 & 1 == 1
    };
    region.frames().into_iter().map(is_huge).collect()
}

fn hugetlb(hold: &dyn Fn(&str, &Region, FrameFlags)) {
    let free = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    if free.is_ok_and(|free| free.trim() != "0") {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let region = Region::map(2 << 20, flags, None);
        region.fill(0..512);
        hold("hugetlb", &region, FrameFlags::ANONYMOUS | FrameFlags::HUGETLB);
    } else {
        not_run_in_part("no page of hugetlbfs is free");
    }
}

/// Memory that the kernel has hidden from itself is unread, and what is beside it is read.
fn secret(by: &ByFrame) {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, 0) } as libc::c_int;
    if fd < 0 {
        return not_run_in_part("there is no secretmem");
    }
    // SAFETY: just made.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    File::from(file.try_clone().unwrap()).set_len(3 * PAGE as u64).unwrap();
    let region = Region::map(3 * PAGE, libc::MAP_SHARED, Some(&file));
    region.fill(0..3);
    let secret = region.frames();
    assert_eq!(by.of(&wanted(&secret), &HASHER), [Content::Unread; 3]);
    // The other half of each pair of pages, whatever it is.
    let mut around: Vec<_> = secret.iter().flat_map(|frame| [frame & !1, frame | 1]).collect();
    around.sort_unstable();
    around.dedup();
    for (frame, content) in around.iter().zip(by.of(&wanted(&around), &HASHER)) {
        assert_eq!(content == Content::Unread, secret.contains(frame), "frame {frame:#x}");
    }
}

/// Frames that are no memory are not even tried.
fn outside(by: &ByFrame, pages: &KernelPages) {
    let hole = by.ranges()[0].end;
    let behind = by.ranges().last().unwrap().end;
    let none = [0, hole, behind, 1 << 40, u64::MAX];
    assert_eq!(by.of(&wanted(&none), &HASHER), [Content::Unread; 5]);
    let unnumbered = [Wanted { number: None, address: 0x1000 }];
    assert_eq!(by.of(&unnumbered, &HASHER), [Content::Unread]);
    // Devices have no struct page, and behind the last there is nothing to be said.
    let flags = pages.attributes(&[hole, u64::MAX]);
    assert_eq!(flags[0].flags, FrameFlags::DEVICE);
    assert_eq!(flags[1], Attributes { flags: FrameFlags::UNKNOWN, ..Attributes::default() });
}

fn uses_of_frames_are_counted() {
    let _alone = alone();
    let structs = StructPages::find(&Types::of_kernel().unwrap()).unwrap();
    let region = Region::anonymous(100 * PAGE);
    region.advise(libc::MADV_NOHUGEPAGE);
    region.fill(0..100);
    let mut frames = region.frames();
    frames.sort_unstable();
    // New pages are on a processor's list for a while, which is a use too.
    drop(Fork::new());
    let before = structs.ref_counts(&frames);
    assert_eq!(before.len(), 100);
    let _fork = Fork::new();
    let after = structs.ref_counts(&frames);
    let more = after.iter().zip(&before).filter(|(after, before)| **after == **before + 1).count();
    assert!(more > 80, "{before:?} {after:?}");

    // A huge page is used as one.
    let region = Region::anonymous(6 << 20);
    region.advise(libc::MADV_HUGEPAGE);
    region.fill(0..(6 << 20) / PAGE as u64);
    let frames = region.frames();
    let Some(head) = frames
        .iter()
        .zip(by_kernel_huge(&region))
        .find_map(|(frame, is_huge)| (is_huge && frame % 512 == 0).then_some(*frame))
    else {
        return not_run_in_part("the kernel gives no huge pages");
    };
    let counts = structs.ref_counts(&(head..head + 512).collect::<Vec<_>>());
    assert!(counts[0] > 0);
    assert_eq!(counts, [counts[0]; 512]);
    assert_eq!(structs.ref_counts(&[head + 7, head + 300]), [counts[0]; 2]);
}

fn vmstat(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

fn a_scan_by_frame_leaves_no_mark() {
    let _alone = alone();
    let by = ByFrame::new().unwrap();
    let pages = KernelPages::open().unwrap();
    let region = Region::anonymous(2048 * PAGE);
    region.advise(libc::MADV_NOHUGEPAGE);
    // A mapping of its own, not one with its neighbours.
    region.advise(libc::MADV_DONTDUMP);
    region.fill((0..2048).map(|at| at % 1024));
    let fork = Fork::new();
    let address = region.start as u64;
    fs::write(format!("/proc/{}/clear_refs", fork.0), "1").unwrap();
    let names = ["Rss", "Pss", "Referenced", "Swap", "Shared_Dirty", "Private_Dirty"];
    let mark = || (fork.smaps(address, &names), vmstat("cow_ksm"), vmstat("pswpin"));
    let before = mark();
    let of = |name: &str| before.0.iter().find(|(of, _)| of == name).unwrap().1;
    assert_eq!((of("Referenced"), of("Rss"), of("Pss")), (0, 8192, 4096));

    let mut frames = region.frames();
    frames.sort_unstable();
    assert_eq!(frames.windows(2).filter(|pair| pair[0] == pair[1]).count(), 0);
    let contents = by.of(&wanted(&frames), &HASHER);
    assert!(contents.iter().all(|content| matches!(content, Content::Hash(_))));
    let attributes = pages.attributes(&frames);
    assert_eq!(attributes.iter().filter(|known| known.map_count == 2).count(), 2048);
    assert_eq!(mark(), before);

    // That it would be seen: by process, pages are marked as used.
    let memory = File::open(format!("/proc/{}/mem", fork.0)).unwrap();
    memory.read_exact_at(&mut vec![0; region.len], address).unwrap();
    let (after, ..) = mark();
    assert!(after.contains(&("Referenced".into(), 8192)), "{after:?}");
}

fn header() -> Header {
    Header {
        taken: 0,
        host: String::new(),
        boot: String::new(),
        kernel: String::new(),
        page_size: PAGE as u32,
        memory: 0,
        algorithm: HASHER.algorithm(),
        key_id: None,
        scope: Scope::Ram,
        means: Means::Frame,
        lacks: Vec::new(),
    }
}

fn memory_is_written_frame_by_frame() {
    let _alone = alone();
    let by = ByFrame::new().unwrap();
    let pages = KernelPages::open().unwrap();
    let region = Region::anonymous(64 * PAGE);
    region.fill(5000..5064);
    let frames = region.frames();
    // All around them, as large pages are aligned.
    let mut ranges: Vec<_> =
        frames.iter().map(|frame| frame / 512 * 512..frame / 512 * 512 + 512).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.dedup();
    let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let snapshot = |with_free| {
        let means = ram::Means { contents: &by, pages: &pages, uses: None, hasher: &HASHER };
        let mut writer = Writer::new(Vec::new(), header()).unwrap();
        let mut last = None;
        ram::write(&means, &ranges, with_free, &mut writer, &mut |at| last = Some(at)).unwrap();
        let last = last.unwrap();
        assert_eq!((last.done, last.total), (total, total));
        let bytes = writer.finish(Totals::default()).unwrap();
        read_all(&bytes[..]).unwrap().pop().unwrap()
    };
    let without = snapshot(false);
    let with = snapshot(true);
    assert_eq!(with.frames.len() as u64, total);
    let is_free = |at| without.frames.attributes(at).flags.has(FrameFlags::FREE);
    assert!(!(0..without.frames.len()).any(is_free));
    for snapshot in [&without, &with] {
        for (seed, frame) in (5000..).zip(&frames) {
            let at = snapshot.frames.numbers.iter().position(|number| number == frame).unwrap();
            assert_eq!(snapshot.frames.hashes[at], HASHER.hash(&page(seed)));
            assert!(snapshot.frames.attributes(at).flags.has(FrameFlags::ANONYMOUS));
        }
    }
}

/// In a thread of its own, as what it gives up is given up for good.
fn lacking(give_up: impl FnOnce() + Send + 'static) -> Lack {
    let thread = std::thread::spawn(|| {
        give_up();
        ByFrame::new().err()
    });
    thread.join().unwrap().expect("something lacks")
}

fn what_lacks_is_said() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let lack = lacking(move || {
            use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
            let rules = [(libc::SYS_bpf, Vec::new())].into();
            let denied = SeccompAction::Errno(errno as u32);
            let arch = std::env::consts::ARCH.try_into().unwrap();
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, arch).unwrap();
            let program = BpfProgram::try_from(filter).unwrap();
            seccompiler::apply_filter(&program).unwrap();
        });
        let sentence = lack.to_string();
        match errno {
            libc::EPERM => assert!(matches!(lack, Lack::Rights(_)) && sentence.contains("CAP_BPF")),
            _ => assert!(matches!(lack, Lack::Bpf(_)) && sentence.contains("Linux 5.14")),
        }
        assert!(sentence.starts_with("memory cannot be read by frame"), "{sentence}");
    }
    let lack = lacking(|| {
        use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        set_capabilities(None, sets).unwrap();
    });
    assert!(matches!(lack, Lack::Ranges), "{lack}");
    assert!(lack.to_string().contains("CAP_SYS_ADMIN"), "{lack}");
}

/// As root, by somebody else, who is nobody.
fn who_has_no_rights_reads_one_sentence() {
    let _alone = alone();
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = dir.path().join("pagescan");
    fs::copy(env!("CARGO_BIN_EXE_pagescan"), &program).unwrap();
    let by_nobody = |mut command: std::process::Command| {
        if trials::is_root() {
            command.uid(65534).gid(65534);
        }
        command
    };
    let mut sleep = std::process::Command::new("sleep");
    sleep.arg("1000");
    let mut sleep = by_nobody(sleep).spawn().unwrap();
    let mut pagescan = std::process::Command::new(&program);
    pagescan.current_dir(dir.path());
    pagescan.args(["snapshot", &sleep.id().to_string(), "-o", "pages"]);
    let output = by_nobody(pagescan).output();
    let _ = sleep.kill();
    let _ = sleep.wait();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("without root's rights") && said.contains("which control groups pay"),
        "{said}"
    );
}

/// Prints how fast all memory in use is read and hashed, on one processor and on all. Run it where nothing else runs:
/// `cargo test --release -p pagescan --test frames -- --ignored --nocapture`.
fn bytes_a_second() {
    let by = ByFrame::new().unwrap();
    let pages = KernelPages::open().unwrap();
    let used = |frames: Vec<u64>| {
        let attributes = pages.attributes(&frames);
        let kept = frames.into_iter().zip(attributes).filter(|(_, known)| {
            known.flags.0 & (FrameFlags::ANONYMOUS | FrameFlags::NAMED).0 != 0
        });
        kept.map(|(frame, _)| frame).collect::<Vec<_>>()
    };
    let frames = used(by.ranges().iter().cloned().flatten().collect());
    let wanted = wanted(&frames[..frames.len().min(1 << 19)]);
    for threads in [1, 2, 1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let cpu = || {
            let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
            used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
        };
        let (start, at) = (cpu(), std::time::Instant::now());
        let contents = pool.install(|| by.of(&wanted, &HASHER));
        let (cpu, wall) = (cpu() - start, at.elapsed().as_secs_f64());
        let unread = contents.iter().filter(|content| **content == Content::Unread).count();
        let bytes = (wanted.len() * PAGE) as f64 / 1e9;
        println!(
            "{threads} threads, {bytes:.2} GB: {:.2} GB/s, {:.2} GB a CPU-second; {unread} unread",
            bytes / wall,
            bytes / cpu
        );
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

/// Prints how long a snapshot of all memory takes. As above.
fn all_of_memory() {
    let by = ByFrame::new().unwrap();
    let pages = KernelPages::open().unwrap();
    let structs = StructPages::find(&Types::of_kernel().unwrap()).unwrap();
    let means = ram::Means { contents: &by, pages: &pages, uses: Some(&structs), hasher: &HASHER };
    let cpu = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
    };
    let (start, at) = (cpu(), std::time::Instant::now());
    let file = tempfile::tempfile().unwrap();
    let mut writer = Writer::new(file, header()).unwrap();
    ram::write(&means, by.ranges(), false, &mut writer, &mut |_| ()).unwrap();
    let mut file = writer.finish(Totals::default()).unwrap();
    let (cpu, wall) = (cpu() - start, at.elapsed().as_secs_f64());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let len = file.metadata().unwrap().len() as f64;
    file.rewind().unwrap();
    let snapshot = read_all(std::io::BufReader::new(file)).unwrap().pop().unwrap();
    let bytes = (snapshot.frames.len() * PAGE) as f64;
    let unread = (0..snapshot.frames.len())
        .filter(|&at| snapshot.frames.attributes(at).flags.has(FrameFlags::UNREAD));
    println!(
        "{:.2} GB: {:.2} GB/s, {:.2} GB a CPU-second; {} frames unread; {:.3}% of memory; {peak}",
        bytes / 1e9,
        bytes / 1e9 / wall,
        bytes / 1e9 / cpu,
        unread.count(),
        len / bytes * 100.
    );
}
