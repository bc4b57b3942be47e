//! An image in the making: the first capture's pages, and of the words in them what is known so far. Each
//! step takes out what means something else at a start, or puts in what only another capture can tell.

use std::collections::{BTreeMap, BTreeSet};

use statify_elf::c_library::CLibrary;

use super::frame::{self, Frame};
use super::hwcap::Follower;
use super::known::Value;
use super::memory::{Fixup, Module, PageBytes, Slide};
use super::origin;
use super::search_path::{self, SearchPath};
use super::secure::Difference;
use super::words::{self, Compared, Slid};
use super::{probes, rseq};
use crate::capture::{Capture, LOADER};
use crate::place::Place;

/// What begins at the thread pointer (psABI: the thread control block) has words of the loader's in so many bytes.
const THREAD: u64 = 256;

/// See above.
pub struct Draft<'a> {
    first: &'a Capture,
    frame: &'a Frame,
    modules: &'a [Module],
    /// As [`super::Image::pages`], but with pages that are plain ones.
    pub pages: BTreeMap<Place, PageBytes>,
    slid: Vec<Slid>,
    /// As [`super::Image::fixups`], but in no order.
    pub fixups: Vec<Fixup>,
}

impl<'a> Draft<'a> {
    /// From the comparison of the first capture with another one.
    pub fn new(
        first: &'a Capture,
        frame: &'a Frame,
        modules: &'a [Module],
        pages: BTreeMap<Place, PageBytes>,
        compared: Compared,
    ) -> Self {
        let Compared { slid, fixups, .. } = compared;
        Self { first, frame, modules, pages, slid, fixups }
    }

    /// The size of a word, in bytes.
    fn word(&self) -> u64 {
        self.first.machine.word()
    }

    /// Overwrites bytes, across page boundaries.
    pub fn write(&mut self, at: Place, bytes: &[u8]) {
        words::write(&mut self.pages, at, bytes);
    }

    /// musl has not looked for its search path yet.
    pub fn forget_search_path(&mut self) {
        let Some(SearchPath { pointer, text }) = search_path::find(self.first, self.frame) else {
            return;
        };
        self.slid.retain(|slid| slid.at != pointer);
        self.write(pointer, &[0; 8][..self.word() as usize]);
        if let Some((at, len)) = text {
            self.write(at, &vec![0; len]);
        }
    }

    /// `$ORIGIN` is not looked up yet, or becomes the output's directory.
    pub fn free_origin(&mut self, c_library: CLibrary) -> Result<(), origin::NotFound> {
        let origin = origin::find(c_library, self.first, self.frame)?;
        let relative = origin.relative.iter().map(|word| word.0);
        let words: BTreeSet<Place> = origin.forgotten.iter().copied().chain(relative).collect();
        self.slid.retain(|slid| !words.contains(&slid.at));
        let word = self.word() as u8;
        for &at in &words {
            self.write(at, &[0; 8][..usize::from(word)]);
        }
        for &at in &origin.missing {
            self.write(at, &[0; 4]);
        }
        let relative = origin.relative.into_iter();
        let fixup = |(at, rest)| Fixup { at, width: word, value: Value::Origin(rest) };
        self.fixups.extend(relative.map(fixup));
        Ok(())
    }

    /// Pointers, stored relative to the module that they lead into: those at multiples of a word's size, and the others;
    /// ascending. `None` if one leads nowhere.
    pub fn store_pointers(&mut self) -> Option<(Vec<Slide>, Vec<Slide>)> {
        let (mut slides, mut unaligned) = (Vec::new(), Vec::new());
        let word = self.word();
        for &Slid { at, value, group } in &self.slid {
            let target = frame::attribute(self.modules, group, at, self.frame.place(value))?;
            let start = self.frame.address(self.modules[target].range.start);
            let relative = value.wrapping_sub(start).to_le_bytes();
            words::write(&mut self.pages, at, &relative[..word as usize]);
            let list = if at.is_multiple_of(word) { &mut slides } else { &mut unaligned };
            list.push(Slide { target, at });
        }
        slides.sort_unstable();
        unaligned.sort_unstable();
        Some((slides, unaligned))
    }

    /// Nothing of the conversion stays where a fix-up will write.
    pub fn clear_fixups(&mut self) {
        for fixup in &self.fixups {
            let nothing = &[0; 8][..usize::from(fixup.width)];
            words::write(&mut self.pages, fixup.at, nothing);
        }
    }

    /// What the capture with a vDSO tells: which words hold its functions, and what words hold whose entry the
    /// auxiliary vector lacks. And the size of rseq's area.
    pub fn ask_vdso(&mut self, vdso: &Capture, frame: &Frame) {
        let modules = self.modules;
        let is_module =
            |at| frame::module_at(modules, at).is_some_and(|m| modules[m].object.is_some());
        let thread = [self.first, vdso].map(Capture::thread_pointer);
        let functions = probes::vdso_functions(vdso).filter_map(|(address, width, value)| {
            let of_thread = match thread {
                // The thread's own memory is elsewhere here.
                [Some(own), Some(other)] => address
                    .checked_sub(other)
                    .filter(|offset| *offset < THREAD)
                    .map(|offset| self.frame.place(own + offset)),
                _ => None,
            };
            let in_module = || Some(frame.place(address)).filter(|at| is_module(*at));
            Some(Fixup { at: of_thread.or_else(in_module)?, width, value })
        });
        let functions: Vec<Fixup> = functions.collect();
        // What has been a pointer to the loader's own instruction becomes one to the kernel's.
        self.fixups.extend(functions);
        let defaults = probes::auxv_defaults(&self.fixups, self.frame, vdso);
        for (at, default) in defaults.filter(|default| is_module(default.0)) {
            words::write(&mut self.pages, at, &default);
        }
        self.fixups.extend(rseq::sizes(self.first, self.frame));
    }

    /// Libraries that are loaded later are bound lazily where the original would. Otherwise why the loader's
    /// variable for that was not found.
    pub fn bind_lazily(&mut self, lazy: &Capture) -> Result<(), String> {
        let loader = self.modules.iter().find(|module| module.object == Some(LOADER));
        let loader = loader.ok_or("its loader is in no module")?;
        let flag = probes::lazy_flag(self.first, lazy, self.frame, loader)
            .map_err(|count| format!("the loader keeps lazy binding in {count} places"))?;
        self.write(flag, &1u32.to_le_bytes());
        Ok(())
    }

    /// Whether what AT_SECURE makes of a field, whose word is `a` without and `b` with it, can be added to it
    /// whatever else the starter does there.
    pub fn may_differ(&self, difference: &Difference, a: u64, b: u64, fixed: bool) -> bool {
        let at = self.frame.place(difference.address);
        let end = at + u64::from(difference.width);
        let apart = |fixup: &Fixup| fixup.at + u64::from(fixup.width) <= at || end <= fixup.at;
        let word = self.word();
        let slid = self.slid.iter().any(|slid| slid.at < end && at < slid.at + word);
        let is_loaders =
            |value| self.first.loader().is_some_and(|loader| loader.range.contains(&value));
        let pointers = u64::from(difference.width) == word && is_loaders(a) && is_loaders(b);
        self.fixups.iter().all(apart) && (fixed || slid == pointers)
    }

    /// What AT_SECURE changes.
    pub fn add_differences(&mut self, differences: Vec<Difference>) {
        let fixup = |difference: Difference| Fixup {
            at: self.frame.place(difference.address),
            width: difference.width,
            value: Value::Secure(difference.larger),
        };
        self.fixups.extend(differences.into_iter().map(fixup));
    }

    /// What bits of AT_HWCAP and its kind change: fields of four bytes, where nothing else is written.
    pub fn add_hwcaps(&mut self, followers: Vec<Follower>, fixed: bool) {
        let fixups = followers.into_iter().filter_map(|follower| {
            let Follower { address, bit, larger } = follower;
            let difference = Difference { address, width: 4, larger };
            let is_free = self.may_differ(&difference, 0, 0, fixed);
            let at = self.frame.place(address);
            is_free.then_some(Fixup { at, width: 4, value: Value::Hwcap(bit, larger) })
        });
        let fixups: Vec<Fixup> = fixups.collect();
        self.fixups.extend(fixups);
    }

    /// The pages that are not what their file, or fresh memory, has.
    pub fn drop_plain_pages(&mut self) {
        let (first, frame) = (self.first, self.frame);
        let is_plain = |at: &Place, page: &PageBytes| {
            let address = frame.address(*at);
            first.region_at(address).is_some_and(|region| match first.file_page(region, address) {
                Some(file) => {
                    let (held, behind) = page.split_at(file.len());
                    held == file && behind.iter().all(|&byte| byte == 0)
                }
                None => page.iter().all(|&byte| byte == 0),
            })
        };
        self.pages.retain(|at, page| !is_plain(at, page));
    }
}
