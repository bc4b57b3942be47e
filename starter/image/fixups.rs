//! Words whose value is known only in this process: stack, auxv, guards, thread id, break, vDSO.

use crate::arch::{self, Pages, nr};
use crate::elf::{WORD, Word};
use crate::kernel::Thread;
use crate::origin::Origin;
use crate::params::*;
use crate::stack::{AT_RANDOM, AT_SECURE, AT_SYSINFO_EHDR, Stack};
use crate::{Block, PAGE, vdso};

const RLIMIT_STACK: u64 = 3;

/// Writes every fix-up.
///
/// # Safety
///
/// The fix-ups lie in mapped, writable pages, and `slides::apply` has run.
pub unsafe fn apply(p: &Params, block: Block<'_>, stack: &Stack, thread: &Thread) {
    // SAFETY: AT_RANDOM points at 16 bytes; the rest is the caller's promise.
    unsafe {
        let random = stack.value(AT_RANDOM).map_or([0, 0], |bytes| {
            let words = bytes as *const Word;
            [words.read_unaligned() as u64, words.add(1).read_unaligned() as u64]
        });
        let vdso = stack.value(AT_SYSINFO_EHDR).and_then(|ehdr| vdso::Vdso::open(ehdr));
        let secure = stack.value(AT_SECURE).is_some_and(|secure| secure != 0);
        let names = (p as *const Params).byte_sub(p.vdso_names.offset as usize).cast::<u8>();
        let mut origin = Origin::new();
        for fixup in p.fixups.records::<Fixup>(p) {
            let at = block.at(fixup.at) as *mut Word;
            let value = match fixup.kind {
                FIXUP_STACK => {
                    Some((stack.sp as u64).wrapping_add_signed(i64::from(fixup.extra as i32)))
                }
                FIXUP_ENVP => Some(stack.envp as u64),
                FIXUP_AUXV => Some(stack.auxv as u64),
                FIXUP_ARGC => Some(stack.argc),
                FIXUP_AUX_VALUE => stack.value(u64::from(fixup.arg)),
                FIXUP_CANARY => Some(random[0] & !u64::from(fixup.arg)),
                FIXUP_POINTER_GUARD => Some(random[1]),
                FIXUP_THREAD_ID => Some(thread.id),
                FIXUP_BREAK => Some(arch::syscall(nr::BRK, [0; 6]) as u64),
                FIXUP_STACK_LIMIT => Some(thread_stack_size(p, Pages::of(stack).size())),
                FIXUP_VDSO => vdso.as_ref().and_then(|v| v.find(names.add(usize::from(fixup.arg)))),
                FIXUP_RANDOM => Some(fresh_random(random[0])),
                FIXUP_RSEQ_SIZE if thread.without_rseq => Some(0),
                FIXUP_TIMESTAMP => Some(arch::timestamp()),
                FIXUP_TIMESTAMP_HIGH if WORD == 4 => Some(arch::timestamp() >> 32),
                FIXUP_RANDOM_WORD if WORD == 4 => stack.value(AT_RANDOM).map(|bytes| {
                    (bytes as *const Word).add(usize::from(fixup.arg)).read_unaligned() as u64
                }),
                FIXUP_UNALIGNED_SLIDE => {
                    let module = block.at(u64::from(fixup.extra) * PAGE);
                    Some((at.read_unaligned() as u64).wrapping_add(module))
                }
                FIXUP_ORIGIN => Some(origin.path(p, names.add(fixup.extra as usize))),
                FIXUP_CPU_WORD => arch::cpu_word(fixup.arg, stack),
                FIXUP_SECURE | FIXUP_HWCAP
                    if (fixup.kind == FIXUP_SECURE && secure)
                        || (fixup.kind == FIXUP_HWCAP && arch::has_hwcap(fixup.arg, stack)) =>
                {
                    let word = if fixup.width == 4 {
                        u64::from(at.cast::<u32>().read_unaligned())
                    } else {
                        at.read_unaligned() as u64
                    };
                    Some(word.wrapping_add(fixup.extra as i32 as u64))
                }
                _ => None,
            };
            if let Some(value) = value {
                if fixup.width == 4 {
                    at.cast::<u32>().write_unaligned(value as u32);
                } else {
                    at.write_unaligned(value as Word);
                }
            }
        }
    }
}

/// What glibc computes from RLIMIT_STACK (sysdeps/nptl/pthread_early_init.h), its two constants
/// having been observed at conversion.
unsafe fn thread_stack_size(p: &Params, page: u64) -> u64 {
    let mut limit = [0u64; 2];
    let to = (&raw mut limit) as u64;
    // As the C library asks; the older call where a sandbox knows that only.
    // SAFETY: both write two words.
    let result = unsafe {
        match arch::syscall(nr::PRLIMIT64, [0, RLIMIT_STACK, 0, to, 0, 0]) {
            0 => 0,
            _ => old_limit(RLIMIT_STACK, &mut limit),
        }
    };
    let size =
        if result < 0 || limit[0] >= Word::MAX as u64 { p.stack_unlimited } else { limit[0] };
    let size = if size < p.stack_least { p.stack_least } else { size };
    size.wrapping_add(page - 1) & !(page - 1)
}

/// getrlimit(2), whose numbers have an address's size: the limit, and the most that it can be raised to.
fn old_limit(resource: u64, limits: &mut [u64; 2]) -> i64 {
    let words: *mut Word = limits.as_mut_ptr().cast();
    // SAFETY: two words are written, which have room; the upper one is read before it is written over.
    unsafe {
        let result = arch::syscall(nr::GETRLIMIT, [resource, words as u64, 0, 0, 0, 0]);
        *limits = [*words as u64, *words.add(1) as u64];
        result
    }
}

/// getrandom(2) is of Linux 3.17. Older kernels have AT_RANDOM only, of which `seed` is a word: the
/// guards are made of it, so that it must not be read out of the result.
unsafe fn fresh_random(seed: u64) -> u64 {
    const GRND_NONBLOCK: u64 = 1;
    /// An odd number without a pattern (the golden ratio's first 64 bits).
    const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut word = 0u64;
    // SAFETY: getrandom(2) writes at most eight bytes.
    let result = unsafe {
        arch::syscall(nr::GETRANDOM, [(&raw mut word) as u64, 8, GRND_NONBLOCK, 0, 0, 0])
    };
    if result == 8 {
        return word;
    }
    let mixed = (u128::from(seed) + u128::from(arch::timestamp())) * u128::from(SCATTER);
    (mixed >> 64) as u64 ^ mixed as u64
}
