//! Forecasts of snapshots that are made by hand.

use super::candidates::{Candidates, Reach};
use super::changed::Changed;
use super::cost::Cost;
use super::forecast::{Forecast, Merging};
use super::obstacle::Obstacle;
use super::settings::Settings;
use super::{Question, advice};
use crate::hash::{Algorithm, Hasher, PageHash};
use crate::snapshot::{
    Attributes, FrameFlags, Frames, Header, Mapping, Means, PageFlags, Placed, Process, Scope,
    Snapshot, Task, Totals, Vma,
};

/// What a page holds; 0 is zeros.
type Content = u64;

struct Made(Snapshot);

impl Made {
    fn new() -> Self {
        let header = Header {
            taken: 0,
            host: String::new(),
            boot: String::new(),
            kernel: String::new(),
            page_size: 4096,
            memory: 0,
            algorithm: Algorithm::Xxh3_128,
            key_id: None,
            scope: Scope::Processes,
            means: Means::Process,
            lacks: Vec::new(),
        };
        let (frames, totals) = (Frames::default(), Totals::default());
        Self(Snapshot { header, frames, tasks: Vec::new(), files: Vec::new(), totals })
    }

    /// A frame of this content. Returns its index.
    fn frame(&mut self, content: Content, more: FrameFlags, map_count: u32) -> u64 {
        let frames = &mut self.0.frames;
        let zero = if content == 0 { FrameFlags::ZERO } else { FrameFlags::default() };
        let hash = if content == 0 {
            PageHash::default()
        } else {
            Hasher::Xxh3_128.hash(&content.to_le_bytes())
        };
        frames.kinds.push(frames.attributes.len() as u32);
        frames.attributes.push(Attributes {
            flags: zero | more,
            map_count,
            ..Attributes::default()
        });
        frames.hashes.push(hash);
        frames.numbers.push(frames.numbers.len() as u64);
        frames.numbers.len() as u64 - 1
    }

    fn anonymous(&mut self, content: Content) -> u64 {
        self.frame(content, FrameFlags::ANONYMOUS, 0)
    }

    /// A process with one mapping that has these frames, one after another.
    fn process(&mut self, pid: u32, flags: &str, frames: &[u64]) {
        let process = Process { pid, ..Process::default() };
        let mapping =
            Mapping { range: 0x10000..0x1000_0000, flags: flags.into(), ..Mapping::default() };
        let place = |(page, frame): (usize, &u64)| Placed {
            page: page as u64,
            frame: *frame,
            len: 1,
            flags: PageFlags::default(),
        };
        let runs = frames.iter().enumerate().map(place).collect();
        self.0.tasks.push(Task { process, vmas: vec![Vma { mapping, runs }] });
    }

    fn forecast(&self, max_page_sharing: u64, use_zero_pages: bool) -> Forecast {
        let candidates = Candidates::of(&self.0, &Changed::default(), Reach::Everything);
        Forecast::of(
            &self.0,
            &candidates,
            Merging { max_page_sharing, use_zero_pages, leaves_out: false },
        )
    }
}

const PRIVATE: &str = "rd wr mr mw me ac";

#[test]
fn equal_pages_share_as_far_as_they_may() {
    let mut made = Made::new();
    let frames: Vec<u64> = (0..600).map(|_| made.anonymous(7)).collect();
    made.process(1, PRIVATE, &frames);
    let own: Vec<u64> = (0..10).map(|n| made.anonymous(100 + n)).collect();
    made.process(2, PRIVATE, &own);
    let forecast = made.forecast(256, false);
    assert_eq!((forecast.frames_now, forecast.frames_after, forecast.frames_least), (610, 13, 11));
    assert_eq!((forecast.merging_pages, forecast.frames_if_written), (600, 597));
    assert_eq!(made.forecast(2, false).frames_after, 310);
}

#[test]
fn what_a_fork_shares_is_no_duplicate_of_itself() {
    let mut made = Made::new();
    let frame = made.anonymous(7);
    for pid in 1..=600 {
        made.process(pid, PRIVATE, &[frame]);
    }
    assert_eq!(made.forecast(256, false).saved(), 0);
    // But each counts where there is an equal page.
    let other = made.anonymous(7);
    made.process(601, PRIVATE, &[other]);
    let forecast = made.forecast(256, false);
    assert_eq!((forecast.frames_now, forecast.frames_after, forecast.saved()), (2, 3, -1));
    assert_eq!(forecast.frames_least, 1);
}

#[test]
fn zeros_merge_like_others_or_go_to_the_kernels() {
    let mut made = Made::new();
    let frames: Vec<u64> = (0..512).map(|_| made.anonymous(0)).collect();
    made.process(1, PRIVATE, &frames);
    assert_eq!(made.forecast(256, false).frames_after, 2);
    let forecast = made.forecast(256, true);
    assert_eq!((forecast.frames_after, forecast.zero_frames_freed), (0, 512));
    let mut one = Made::new();
    let frame = one.anonymous(0);
    one.process(1, PRIVATE, &[frame]);
    assert_eq!((one.forecast(256, false).saved(), one.forecast(256, true).saved()), (0, 1));
}

#[test]
fn a_huge_page_that_is_split_gives_its_zeros_back() {
    let huge = FrameFlags::ANONYMOUS | FrameFlags::HUGE;
    let make = |flags: &str, planted: Content| {
        let mut made = Made::new();
        let frames: Vec<u64> = (0..512)
            .map(|n| {
                made.frame(
                    if n < 500 {
                        n + 1000
                    } else if n < 511 {
                        0
                    } else {
                        5000
                    },
                    huge,
                    0,
                )
            })
            .collect();
        made.process(1, flags, &frames);
        let other = made.anonymous(planted);
        made.process(2, flags, &[other]);
        made.forecast(256, false)
    };
    let split = make(PRIVATE, 5000);
    assert_eq!((split.huge_pages_split, split.zero_frames_freed), (1, 11));
    assert_eq!(split.saved(), 12);
    // Its zeros are equal to one another, so it is split in any case.
    assert_eq!(make(PRIVATE, 9999).saved(), 11);
    // Those of locked memory merge like others.
    assert_eq!(make("rd wr lo", 5000).saved(), 11);
}

#[test]
fn what_others_hold_stays() {
    let mut made = Made::new();
    let (a, b) = (made.anonymous(7), made.frame(7, FrameFlags::ANONYMOUS, 2));
    made.process(1, PRIVATE, &[a, b]);
    // Somebody else maps b, too, and keeps it.
    let forecast = made.forecast(256, false);
    assert_eq!((forecast.frames_now, forecast.frames_after), (2, 2));
}

#[test]
fn what_is_merged_is_counted_once() {
    let mut made = Made::new();
    let frame = made.frame(7, FrameFlags::ANONYMOUS | FrameFlags::KSM, 0);
    made.process(1, PRIVATE, &[frame; 200]);
    let forecast = made.forecast(256, false);
    assert_eq!((forecast.frames_now, forecast.frames_after, forecast.merged_already), (1, 1, 199));
    let more: Vec<u64> = (0..100).map(|_| made.anonymous(7)).collect();
    made.process(2, PRIVATE, &more);
    assert_eq!(made.forecast(256, false).frames_after, 2);
}

#[test]
fn what_does_not_merge_has_a_reason() {
    let mut made = Made::new();
    let (a, b) = (made.anonymous(7), made.anonymous(7));
    let file = made.frame(7, FrameFlags::NAMED, 0);
    let (shared, unread) =
        (made.frame(7, FrameFlags::SHMEM, 0), made.frame(1, FrameFlags::UNREAD, 0));
    made.process(1, "rd wr mg", &[a, file, unread]);
    made.process(2, "rd wr", &[b]);
    made.process(3, "rd wr sh ms", &[shared]);
    let candidates = Candidates::of(&made.0, &Changed::default(), Reach::AsItIs);
    assert_eq!((candidates.pages.len(), candidates.scanned), (1, 1));
    let reasons: Vec<_> = candidates
        .regions
        .iter()
        .map(|region| (region.pid, region.obstacle, region.pages))
        .collect();
    let expected = [
        (1, Obstacle::FilePage, 1),
        (1, Obstacle::Unread, 1),
        (2, Obstacle::Off, 1),
        (3, Obstacle::Shared, 1),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(made.forecast(256, false).saved(), 1, "with KSM on everywhere");
}

#[test]
fn what_changes_does_not_merge() {
    let make = |content: Content| {
        let mut made = Made::new();
        let frames = [made.anonymous(content), made.anonymous(7), made.anonymous(7)];
        made.process(1, PRIVATE, &frames);
        made.0.header.taken = content * 1_000_000_000;
        made
    };
    let (before, now) = (make(3), make(7));
    let changed = Changed::between(&before.0, &now.0);
    assert_eq!(changed.seconds, 4.0);
    assert!(changed.has(0, 0x10000) && !changed.has(0, 0x11000));
    let candidates = Candidates::of(&now.0, &changed, Reach::Everything);
    assert_eq!((candidates.pages.len(), candidates.scanned), (2, 3));
    let merging = Merging { max_page_sharing: 256, use_zero_pages: false, leaves_out: false };
    assert_eq!(Forecast::of(&now.0, &candidates, merging).frames_after, 2);
    assert_eq!(now.forecast(256, false).frames_after, 1);
}

#[test]
fn what_ksm_knows_may_never_merge() {
    const ON: &str = "rd wr mr mw me ac mg";
    let mut made = Made::new();
    let ksm = made.frame(3, FrameFlags::ANONYMOUS | FrameFlags::KSM, 0);
    // Known to KSM: a pair of its own, one like a new one, one like two new ones, one like those that are merged.
    let known: Vec<u64> = [1, 1, 2, 4, 3].map(|content| made.anonymous(content)).to_vec();
    made.process(1, ON, &known);
    made.process(2, ON, &[ksm, ksm]);
    // Not yet: two like one another, and one each.
    let new: Vec<u64> = [2, 4, 4, 5, 5].map(|content| made.anonymous(content)).to_vec();
    made.process(3, PRIVATE, &new);
    let candidates = Candidates::of(&made.0, &Changed::default(), Reach::Everything);
    let of = |use_zero_pages, leaves_out| {
        Forecast::of(
            &made.0,
            &candidates,
            Merging { max_page_sharing: 256, use_zero_pages, leaves_out },
        )
    };
    let (all, certain) = (of(false, false), of(false, true));
    // Of 1 and 2 one frame each, of 4 two, of 5 and 3 one.
    assert_eq!((all.saved(), all.passes), (1 + 1 + 2 + 1 + 1, 2));
    assert_eq!((certain.saved(), certain.passes), (2 + 1 + 1, 18));

    let question = |settings| Question {
        reach: Reach::Everything,
        settings,
        cost: Cost { seconds_per_page: 1e-6, is_own: true, ran_seconds: 0.0 },
        tick: 0.004,
        max_cpu: 10.0,
    };
    let asked = |smart_scan, full_scans| {
        let settings = Settings { is_running: true, smart_scan, full_scans, ..Settings::default() };
        advice(&made.0, None, &question(settings))
    };
    let told = asked(true, 50);
    assert_eq!((told.saved_frames, told.certain_frames, told.settled.passes), (6, Some(4), 18));
    let text = super::text::text(&told);
    assert!(
        text.contains("Only 16.0 KiB of that is certain. Whether the other 8.0 KiB "),
        "{text}"
    );
    for told in [asked(false, 50), asked(true, 0)] {
        assert_eq!((told.saved_frames, told.certain_frames, told.settled.passes), (6, None, 2));
        assert!(!super::text::text(&told).contains("certain"));
    }
}
