//! Values whose origin is known in both captures: a word that has the one value in the first and
//! the other in the second is that value.

use statify_elf::{little_endian, word_mask};

use crate::capture::Capture;
use crate::capture::auxv::AT_IGNORE;

/// What a fix-up writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An address this far above argc, or below it.
    Stack(i32),
    /// The address of the environment's array.
    Envp,
    /// The address of the auxiliary vector.
    Auxv,
    /// The number of arguments.
    Argc,
    /// The value of an auxv entry.
    Aux(u16),
    /// The stack protector's canary: AT_RANDOM's first word without these bits.
    Canary(u16),
    /// AT_RANDOM's second word: glibc's pointer guard, the secret of musl's allocator.
    PointerGuard,
    /// The thread id.
    ThreadId,
    /// The program break.
    Break,
    /// The default size of thread stacks.
    StackLimit,
    /// 0 where the kernel refuses rseq(2); otherwise what the word holds already.
    RseqSize,
    /// Fresh random bytes.
    Random,
    /// The time-stamp counter, or as much of it as there is room for.
    Timestamp,
    /// What of that a word of 32 bits has no room for.
    TimestampHigh,
    /// AT_RANDOM's word of this number, from 0 on: of those that have no other name.
    RandomWord(u16),
    /// What a register of the CPU makes the C library keep, by the number that the machine gives it, and in how many bytes.
    CpuWord(u16, u8),
    /// What the word holds, and under AT_SECURE this much more.
    Secure(i32),
    /// What the word holds, and so much more if the kernel says that the CPU has this bit of AT_HWCAP or its kind (as
    /// [`statify_elf::machine::Cpu::coded_bit`] counts them).
    Hwcap(u16, i32),
    /// The address of the output's directory with this behind it.
    Origin(Vec<u8>),
    /// The address of a vDSO function; without it, what the word holds already.
    Vdso(String),
}

impl Value {
    /// How many bytes of a word of `word` bytes it takes where the word holds nothing else.
    pub fn width(&self, word: u8) -> u8 {
        match self {
            Self::CpuWord(_, width) => word.min(*width),
            _ => word,
        }
    }
}

/// The table of pairs.
#[derive(Debug, Default)]
pub struct Known {
    /// Without a value: what varies and is no fix-up, CPUID's word with the number of the CPU that a capture ran on
    /// ([`super::scrub`]).
    pairs: Vec<(u64, u64, Option<Value>)>,
    /// The stack pointers at process entry.
    sp: (u64, u64),
    /// The difference by which pointers into each group differ.
    pub slides: Vec<u64>,
    /// The size of a word, in bytes.
    pub word: u64,
}

/// How far below argc a loader's frames reach, in bytes: what a stack may have by default.
const MOST_STACK: u64 = 8 << 20;

impl Known {
    /// Collects what is known of two captures, in which pointers differ by `slides`.
    pub fn new(a: &Capture, b: &Capture, slides: Vec<u64>) -> Self {
        let word = a.machine.word();
        let mut known = Self { pairs: Vec::new(), sp: (a.stack.sp, b.stack.sp), slides, word };
        let mut note = |a, b, value| known.pairs.push((a, b, value));
        let mut add = |a, b, value| note(a, b, Some(value));
        add(a.stack.sp, b.stack.sp, Value::Stack(0));
        add(a.stack.sp + word, b.stack.sp + word, Value::Stack(word as i32));
        add(a.stack.envp, b.stack.envp, Value::Envp);
        add(a.stack.auxv, b.stack.auxv, Value::Auxv);
        add(a.stack.argc, b.stack.argc, Value::Argc);
        let random = |capture: &Capture, index: usize| {
            little_endian(&capture.random[index * word as usize..][..word as usize])
        };
        // Up to glibc 2.13 the canary is the whole word.
        for without in [0xff, 0] {
            let canary = |capture| random(capture, 0) & !u64::from(without);
            add(canary(a), canary(b), Value::Canary(without));
        }
        add(random(a, 1), random(b, 1), Value::PointerGuard);
        add(u64::from(a.thread_id), u64::from(b.thread_id), Value::ThreadId);
        add(a.program_break, b.program_break, Value::Break);
        add(a.timestamp & word_mask(word), b.timestamp & word_mask(word), Value::Timestamp);
        if word == 4 {
            add(a.timestamp >> 32, b.timestamp >> 32, Value::TimestampHigh);
            for index in [2, 3] {
                add(random(a, index), random(b, index), Value::RandomWord(index as u16));
            }
        }
        add(a.stack_limit, b.stack_limit, Value::StackLimit);
        if a.used_getrandom {
            for (one, other) in
                a.getrandom.chunks(word as usize).zip(b.getrandom.chunks(word as usize))
            {
                add(little_endian(one), little_endian(other), Value::Random);
            }
        }
        for &(kind, value) in &a.stack.entries {
            let other = b.stack.value(kind).filter(|_| kind != AT_IGNORE);
            if let (Some(other), Ok(kind)) = (other, u16::try_from(kind)) {
                add(value, other, Value::Aux(kind));
            }
        }
        for (index, (one, other)) in a.cpu.kept().into_iter().zip(b.cpu.kept()).enumerate() {
            note(one.0, other.0, Some(Value::CpuWord(index as u16, one.1)));
        }
        let cpu = |identity: [u8; 8]| u64::from_le_bytes(identity) >> 32;
        note(cpu(a.cpu_identity), cpu(b.cpu_identity), None);
        // What is the same in both cannot be told apart from a constant; what slides is a pointer.
        let slides = &known.slides;
        known.pairs.retain(|(a, b, _)| {
            a != b && !slides.contains(&(b.wrapping_sub(*a) & word_mask(word)))
        });
        known
    }

    /// The group that a word points into which is `a` in the first capture and `b` in the second.
    pub fn group(&self, a: u64, b: u64) -> Option<usize> {
        let difference = b.wrapping_sub(a) & word_mask(self.word);
        self.slides.iter().position(|&slide| difference == slide)
    }

    /// The value that is `a` in the first capture and `b` in the second, if they are known; without one where
    /// nothing is to be written.
    pub fn find(&self, a: u64, b: u64) -> Option<Option<Value>> {
        let known = self.pairs.iter().find(|pair| (pair.0, pair.1) == (a, b));
        known.map(|pair| pair.2.clone()).or_else(|| self.frame(a, b).map(Some))
    }

    /// An address in a frame of the loader's. Nobody uses it any more (musl leaves one behind), but
    /// in the original it is an address of the stack, and no other.
    fn frame(&self, a: u64, b: u64) -> Option<Value> {
        let below = self.sp.0.checked_sub(a).filter(|&below| below <= MOST_STACK)?;
        let same = self.sp.1.checked_sub(b) == Some(below) && self.sp.0 != self.sp.1;
        same.then(|| Value::Stack(-(below as i32)))
    }
}

#[cfg(test)]
impl Known {
    /// A table made by hand.
    pub fn for_test(slides: &[u64], pairs: &[(u64, u64, Value)]) -> Self {
        let pairs = pairs.iter().map(|(a, b, value)| (*a, *b, Some(value.clone()))).collect();
        Self { pairs, sp: (0x7fff_f000, 0x7eee_e000), slides: slides.to_vec(), word: 8 }
    }
}
