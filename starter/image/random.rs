//! Random addresses. The kernel gives none that is random to the page for files of 4 MiB and more
//! (it aligns their mappings to huge pages), and puts the heap of a file without interpreter into
//! one GiB. Addresses are therefore made of AT_RANDOM, without a system call; since the stack
//! protector's canary and the pointer guard are made of it as well, by a function that does not
//! lead back: SipHash-2-4, whose key it is (Aumasson and Bernstein, 2012).

use crate::stack::{AT_EXECFN, AT_RANDOM, Stack};
use crate::{PAGE, arch};

/// What an address is for: each has random bits of its own.
#[derive(Clone, Copy)]
pub enum Purpose {
    Libraries = 1,
    Program = 2,
    Heap = 3,
    /// No address, but distances.
    Gap = 4,
}

/// Where random numbers come from.
#[derive(Clone, Copy)]
pub struct Random {
    key: [u64; 2],
}

impl Random {
    /// `None` where the kernel does not randomise.
    ///
    /// # Safety
    ///
    /// The stack is the kernel's.
    pub unsafe fn of(stack: &Stack) -> Option<Self> {
        if !is_randomised(stack) {
            return None;
        }
        let bytes = stack.value(AT_RANDOM)? as *const u64;
        // SAFETY: AT_RANDOM points at 16 bytes.
        Some(Self { key: unsafe { [bytes.read_unaligned(), bytes.add(1).read_unaligned()] } })
    }

    /// A random address, a multiple of a page; where nothing is random, always the same.
    pub fn from(random: Option<Self>, purpose: Purpose) -> u64 {
        let from = match purpose {
            Purpose::Program => arch::PROGRAM,
            Purpose::Heap => arch::HEAP,
            Purpose::Libraries | Purpose::Gap => arch::LIBRARIES,
        };
        let random = random.map_or(0, |random| siphash(random.key, purpose as u64));
        from + (random & arch::RANDOM_PAGES) * PAGE
    }

    /// How many bytes, whole pages, lie behind the group of this index before the next one.
    pub fn gap(self, group: usize) -> u64 {
        let word = Purpose::Gap as u64 | (group as u64) << 8;
        (siphash(self.key, word) & arch::GAP_PAGES) * PAGE
    }
}

/// Whether the kernel has put the stack anywhere but at the very end of the address space, as it
/// does where addresses are not randomised (`setarch -R`, debuggers). The executed path is the last
/// that lies there (bprm_execve in fs/exec.c), and no longer than a page.
fn is_randomised(stack: &Stack) -> bool {
    stack.value(AT_EXECFN).is_none_or(|path| !arch::ends_address_space(path))
}

/// SipHash-2-4 of one word.
fn siphash([k0, k1]: [u64; 2], word: u64) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    // The last block holds the message's length.
    for block in [word, 8 << 56] {
        v[3] ^= block;
        rounds(&mut v, 2);
        v[0] ^= block;
    }
    v[2] ^= 0xff;
    rounds(&mut v, 4);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn rounds(v: &mut [u64; 4], count: u32) {
    let [mut a, mut b, mut c, mut d] = *v;
    for _ in 0..count {
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
    }
    *v = [a, b, c, d];
}
