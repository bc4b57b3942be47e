//! What a converted program runs first: bring the snapshot into the state that ld.so would have
//! left behind in this process, then continue where ld.so handed over.
//!
//! No libc, no relocations, no writable data, no panics: the image is copied as it is into every
//! output. Everything it knows of the program stands in the parameter block.

#![no_std]
#![no_main]

#[cfg_attr(target_arch = "aarch64", path = "arch/aarch64.rs")]
#[cfg_attr(target_arch = "x86_64", path = "arch/x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "arch/i386.rs")]
mod arch;
mod base;
mod call;
mod cpu;
mod elf;
mod fixups;
mod groups;
mod heap;
mod kernel;
mod maps;
mod message;
mod origin;
mod own_file;
#[path = "../../crates/params/src/starter.rs"]
#[allow(dead_code)]
mod params;
mod pool;
mod random;
mod release;
mod secure;
mod slides;
mod stack;
mod stat;
mod tunables;
mod vdso;

use core::mem::MaybeUninit;

use arch::{Pages, Resume};
use elf::Word;
use own_file::OwnFile;
use params::{Group, Params};

/// The unit of ranges in the tables, and the least size of pages.
const PAGE: u64 = 4096;

/// Where the block lies in this process: what is added to virtual addresses of the output.
#[derive(Clone, Copy)]
struct Block<'a> {
    /// To those of the program and the front.
    program: u64,
    /// Groups of libraries whose distances are known.
    groups: &'a [Group],
    /// As many distances: what is added to their addresses.
    slides: &'a [u64],
}

impl Block<'_> {
    /// The address that a place means here. Not inlined: it would make a third of the code.
    #[inline(never)]
    fn at(self, place: u64) -> u64 {
        if place & params::ABSOLUTE != 0 {
            return place & !params::ABSOLUTE;
        }
        let next = self.groups.partition_point(|group| group.start <= place);
        let slide = next.checked_sub(1).and_then(|group| self.slides.get(group));
        slide.unwrap_or(&self.program).wrapping_add(place)
    }
}

/// Called by the entry code with the initial stack pointer and the parameter block.
///
/// # Safety
///
/// `sp` is the kernel's initial stack, `params` the block in front of the image, and no other
/// thread exists.
unsafe extern "C" fn start(sp: *mut Word, params: *const Params) -> Resume {
    // SAFETY: the caller's promise; the parameter block was checked when the file was written.
    unsafe {
        let p = &*params;
        let program = (params as u64).wrapping_sub(p.vaddr);
        let block = Block { program, groups: &[], slides: &[] };
        let mut stack = stack::Stack::find(sp);
        let pages = Pages::of(&stack);
        if p.magic != params::MAGIC || !Pages::fit(p, &stack) {
            message::fail(message::PAGE_SIZE);
        }
        if p.least_kernel != 0 && !release::is_at_least(p.least_kernel as u32) {
            message::fail(message::KERNEL);
        }
        secure::prepare(p, &stack);
        let front = block.at(p.front);
        let file = OwnFile::open(front, &stack);
        // Without the file, the page behind the code grows, and goes.
        let spare = block.at(p.spare);
        let spare_end = spare + if file.is_some() { PAGE } else { 0 };
        let random = random::Random::of(&stack);
        let moved = base::settle(p, pages, block, random, file.as_ref());
        // The front, which is where it was, is not needed by its place any more.
        let block = Block { program: program.wrapping_add(moved), ..block };
        let mut room = [const { MaybeUninit::uninit() }; params::MOST_GROUPS];
        let slides = groups::assemble(p, pages, block, spare, random, file.as_ref(), &mut room);
        let block = Block { groups: p.groups.records(p), slides, ..block };
        if let Some(file) = file {
            file.close();
        }
        if let Some(random) = random.filter(|_| p.choices & params::RANDOM_FULL != 0) {
            heap::place(p, pages, block, &stack, random, moved);
        }
        maps::populate(p, pages, block);
        // Before the kernel is told where to write.
        slides::constants(p, block, p.constants);
        let thread = kernel::replay(p, block);
        slides::apply(p, block);
        fixups::apply(p, block, &stack, &thread);
        let tunables = tunables::Tunables::find(p, pages, block, &stack);
        cpu::apply(p, block, &stack, &tunables);
        // Warnings are to be given once.
        if !tunables.are_of_cpu || p.can_resolve == 0 {
            tunables.read();
        }
        tunables.take_over();
        let tables_end = params.add(1) as u64;
        let tables = if p.unmap != 0 { tables_end } else { front };
        if arch::FRONT_GAP == 0 {
            maps::protect(p, block, &stack, [(tables, spare_end)]);
        } else {
            let code = (tables_end + arch::FRONT_GAP, spare + PAGE - arch::FRONT_GAP);
            let parts = [(tables, tables_end), code, (spare, spare_end)];
            maps::protect(p, block, &stack, parts);
        }
        stack.describe_program(p, block);
        let resume = Resume::new(block.at(p.entry), block.at(p.handoff));
        // The last use of the parameters: from here on they are gone.
        if p.unmap != 0 {
            arch::syscall(arch::nr::MUNMAP, [tables_end - p.unmap, p.unmap, 0, 0, 0, 0]);
        }
        resume
    }
}

impl params::Table {
    /// The records of this table.
    ///
    /// # Safety
    ///
    /// The table belongs to `p` and holds records of type `T`.
    unsafe fn records<T>(self, p: &Params) -> &[T] {
        // SAFETY: `offset` and `count` were computed from the table that lies there.
        unsafe {
            let first = (p as *const Params).byte_sub(self.offset as usize).cast::<T>();
            core::slice::from_raw_parts(first, self.count as usize)
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing in the image can panic; should a change bring one in, the build's size check and the
    // missing symbol below make it fail to link.
    unsafe extern "C" {
        fn the_starter_must_not_panic() -> !;
    }
    // SAFETY: never linked.
    unsafe { the_starter_must_not_panic() }
}
