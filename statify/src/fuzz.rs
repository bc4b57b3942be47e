//! The pure parts under random input: parsers take anything without a panic, classification and
//! layout keep what they promise. (Compiled for tests only.)

use proptest::prelude::*;

use crate::capture::InitialStack;
use crate::classify::{Image, Module, PageBytes, Region};
use crate::elf::{PAGE, look_at_everything};
use crate::layout::{Segment, lay_out};
use crate::procfs;
use crate::shape::Shape;

/// This test program, cut to what headers and dynamic tables need.
fn program() -> &'static [u8] {
    static BYTES: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| std::fs::read("/bin/true").expect("there is a /bin/true"));
    &BYTES
}

/// An image of anonymous memory: regions of so many pages, with gaps of so many pages before, and
/// for each page whether it is zero.
fn image(shape: &[(u64, Vec<bool>, u32)]) -> Image {
    let mut at = 0;
    let (mut regions, mut modules) = (Vec::new(), Vec::new());
    let mut pages = std::collections::BTreeMap::new();
    for (gap, contents, prot) in shape {
        at += gap * PAGE;
        let range = at..at + contents.len() as u64 * PAGE;
        for (index, _) in contents.iter().enumerate().filter(|(_, is_data)| **is_data) {
            let page: PageBytes = Box::new([index as u8 | 1; PAGE as usize]);
            pages.insert(at + index as u64 * PAGE, page);
        }
        modules.push(Module { object: None, group: Some(0), range: range.clone() });
        let module = modules.len() - 1;
        regions.push(Region { range: range.clone(), prot: *prot, file: None, module });
        at = range.end;
    }
    Image {
        c_library: crate::c_library::CLibrary::Glibc,
        objects: Vec::new(),
        modules,
        regions,
        pages,
        slides: Vec::new(),
        unaligned_slides: Vec::new(),
        fixups: Vec::new(),
        calls: Vec::new(),
        thread_stack: (0, 0),
        secure: crate::classify::SecureStart::AsGlibc,
        variables: crate::classify::tunables::Variables::ByLibrary,
        handoff: 0,
        entry: 0,
        phdr: 0,
        phnum: 0,
        loader: 0,
        executable_stack: false,
        bound: true,
        fixed: false,
        cpu: Default::default(),
        identified: Default::default(),
        plugins: 0..0,
        agent: None,
        index: 0..0,
    }
}

proptest! {
    #[test]
    fn maps_of_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = procfs::parse_maps(&bytes);
    }

    #[test]
    fn maps_lines_come_back(start in 0u64..1 << 47, len in 0u64..1 << 30, offset: u64, inode: u64, name in "[ -~]{0,20}") {
        let line = format!("{start:x}-{:x} r-xp {offset:08x} fe:01 {inode} {name}\n", start + len);
        let maps = procfs::parse_maps(line.as_bytes()).unwrap();
        prop_assert_eq!(&maps[0].range, &(start..start + len));
        prop_assert_eq!((maps[0].prot, maps[0].offset, maps[0].inode), (5, offset, inode));
        prop_assert_eq!(&maps[0].name[..], name.trim_start_matches(' ').as_bytes());
    }

    #[test]
    fn stacks_of_any_words(words in proptest::collection::vec(0u64..6, 0..40)) {
        if let Some(stack) = InitialStack::parse(0x1000, &words) {
            prop_assert!(stack.envp < stack.auxv && stack.entries.iter().all(|entry| entry.0 != 0));
        }
    }

    #[test]
    fn changed_programs(at in 0usize..4096, bytes in proptest::collection::vec(any::<u8>(), 1..16), len in 0usize..40_000) {
        let mut changed = program().to_vec();
        changed[at..at + bytes.len()].copy_from_slice(&bytes);
        changed.truncate(len.max(1));
        look_at_everything(&changed);
    }

    /// Every page that is not zero is mapped from the file, at its own place; nothing overlaps.
    #[test]
    fn layouts_hold_every_page(
        shape in proptest::collection::vec(
            (0u64..3, proptest::collection::vec(any::<bool>(), 1..40), prop_oneof![Just(1u32), Just(3), Just(5), Just(0)]),
            1..90,
        ),
        align in prop_oneof![Just(PAGE), Just(16 * PAGE)],
        wanted in 0u64..60,
    ) {
        let image = image(&shape);
        let kept = vec![wanted * PAGE..(wanted + 3) * PAGE, (wanted + 7) * PAGE..(wanted + 8) * PAGE];
        let plan = lay_out(&image, &Shape { align, ..Shape::default() }, kept);
        prop_assert!(plan.kept.len() == 2 || wanted * PAGE < plan.front_offset + plan.front.len() as u64);
        for kept in &plan.kept {
            prop_assert!(plan.end >= kept.end);
            let free = |s: &Segment| s.offset >= kept.end || s.offset + s.file_len <= kept.start;
            prop_assert!(plan.segments.iter().filter(|s| s.file_len > 0).all(free));
        }
        prop_assert!(plan.loads.len() <= 70);
        prop_assert!(plan.loads.windows(2).all(|pair| pair[0].address + pair[0].len <= pair[1].address));
        let readable = |place: &u64| image.regions.iter().any(|r| r.range.contains(place) && r.prot != 0);
        for place in image.pages.keys().filter(|place| readable(place)) {
            let holding: Vec<_> = plan.segments.iter().filter(|s| s.file_range().contains(place)).collect();
            prop_assert_eq!(holding.len(), 1);
            prop_assert!(holding[0].offset % PAGE == 0);
        }
        for pair in plan.segments.windows(2) {
            prop_assert!(pair[0].range.end <= pair[1].range.start);
        }
    }
}
