//! The CPUs that captures run on. What a CPU has, the kernel says (AT_HWCAP and its kind; Documentation/arch/arm64/
//! elf_hwcaps.rst), and so the tracer can; who made it, and how much `dc zva` clears, registers say, which are read by
//! instructions that a capture replaces. The output is made for the least CPU, and asks the running one at each start.

use statify_params::CpuFeatures;

/// The auxiliary vector's entries that tell of a CPU (linux/auxvec.h).
const AT_HWCAP: u64 = 16;
const AT_HWCAP2: u64 = 26;
const AT_HWCAP3: u64 = 29;
const AT_HWCAP4: u64 = 30;
const KINDS: [u64; 4] = [AT_HWCAP, AT_HWCAP2, AT_HWCAP3, AT_HWCAP4];

/// HWCAP_FP and HWCAP_ASIMD, which all CPUs have that distributions run on, and HWCAP_CPUID: the kernel answers for MIDR_EL1.
const LEAST: u64 = 1 | 1 << 1 | 1 << 11;
/// HWCAP_AES to HWCAP_CRC32, FPHP and ASIMDHP, ASIMDRDM, JSCVT, LRCPC and ASIMDDP: what resolvers of libraries ask for. Not
/// HWCAP_ATOMICS, by which glibc up to 2.36 searches other directories, nor what a loader keeps of the CPU (SVE).
const MORE: u64 = 0b11111 << 3 | 0b11 << 9 | 0b11 << 12 | 1 << 15 | 1 << 20;
/// HWCAP2_RNG, of AT_HWCAP2.
const MORE2: u64 = 1 << 16;
/// A bit of each that no CPU has yet, and so nobody asks for.
const NOBODYS: u64 = 1 << 53;
/// In a resolver's first argument: there is a second one (_IFUNC_ARG_HWCAP of the C library's sys/ifunc.h).
const HAS_SECOND: u64 = 1 << 62;

/// What a CPU says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// What every CPU has, and nothing more; the same on every machine. Nobody made it.
    Least,
    /// The same in all by which anybody would choose: words that differ from `Least`'s are what the CPU says.
    LeastAgain,
    /// One that differs in what C libraries choose by: its maker, `dc zva` and some abilities, but for those by which loaders
    /// search other directories.
    Unlike,
    /// One of [`Cpu::coded`]: the least, and of all other bits of AT_HWCAP and its kind those whose code has this digit.
    Coded(u8),
    /// The one that runs the capture.
    This,
}

/// Each bit of AT_HWCAP and its kind has a code of so many binary digits, of which [`ONES`] are 1: what is 1 where one or
/// the other of two bits is set has more, and what is 1 where both are has fewer.
const DIGITS: u8 = 10;
const ONES: u32 = 5;

/// The bits that have a code, in its order: the number of the word in [`KINDS`], and the bit's in it.
fn coded_bits() -> impl Iterator<Item = (usize, u32)> {
    let bits = (0..KINDS.len()).flat_map(|word| (0..u64::BITS).map(move |bit| (word, bit)));
    // What the least CPU has, all have; and a resolver's first argument has two bits of its own.
    bits.filter(|&(word, bit)| word != 0 || (LEAST | HAS_SECOND | HAS_SECOND << 1) >> bit & 1 == 0)
}

fn codes() -> impl Iterator<Item = u16> {
    (0..1 << DIGITS).filter(|code: &u16| code.count_ones() == ONES)
}

impl Cpu {
    /// For what outputs are made that run on all CPUs: the least that programs take, of which each may ask for more.
    pub fn floors() -> Vec<Self> {
        vec![Self::Least]
    }

    /// What the second capture runs on: a CPU on which all choices are the same.
    pub fn again(self) -> Self {
        match self {
            Self::Least => Self::LeastAgain,
            other => other,
        }
    }

    /// The one that tells what depends on the CPU. `None` if this is the machine's, for which all is made.
    pub fn unlike(self) -> Option<Self> {
        (self != Self::This).then_some(Self::Unlike)
    }

    /// CPUs that differ in bits of AT_HWCAP and its kind, so that what follows a bit tells which: the digits of its code are
    /// where it is not as on the least CPU. None for this machine's CPU, for which all is made.
    pub fn coded(self) -> Vec<Self> {
        if self == Self::This { Vec::new() } else { (0..DIGITS).map(Self::Coded).collect() }
    }

    /// The bit, 64 times the number of its word (AT_HWCAP is 0, AT_HWCAP2 is 1 and so on) and its number in it, that is set on
    /// those of [`Cpu::coded`] where `differs` is true; `None` if it is no single one.
    pub fn coded_bit(differs: &[bool]) -> Option<u16> {
        let digits = differs.iter().enumerate();
        let code = digits.fold(0, |code, (digit, &one)| code | u16::from(one) << digit);
        let bits = codes().zip(coded_bits());
        bits.into_iter().find_map(|(other, (word, bit))| {
            (other == code).then(|| word as u16 * u64::BITS as u16 + bit as u16)
        })
    }

    /// Whether what is chosen on it is prepared for CPUs just like it: no, it takes no time to ask.
    pub fn is_prepared(self) -> bool {
        false
    }

    /// What is prepared where choices cannot be made again: nothing, they can.
    pub fn prepared(self) -> Vec<Self> {
        Vec::new()
    }

    /// What it is called.
    pub fn name(self) -> String {
        match self {
            Self::This => format!("{:08x}", self.midr()),
            _ => Self::LEAST_NAME.to_owned(),
        }
    }

    /// What the least CPU is called.
    pub const LEAST_NAME: &'static str = "armv8-a";

    /// As [`Self::name`], where it is the least of an output's.
    pub fn least_name(self) -> &'static str {
        if self == Self::This { "native" } else { Self::LEAST_NAME }
    }

    /// What an output for this CPU asks of others.
    pub fn floor(self) -> CpuFeatures {
        if self == Self::This { self.features() } else { CpuFeatures::default() }
    }

    /// Entries of the auxiliary vector of other values than the kernel's.
    pub fn auxv(self) -> Vec<(u64, u64)> {
        let words = match self {
            Self::This => return Vec::new(),
            _ => self.words(),
        };
        KINDS.into_iter().zip(words).collect()
    }

    /// AT_HWCAP, AT_HWCAP2 and so on.
    fn words(self) -> [u64; 4] {
        match self {
            Self::Least => [LEAST, 0, 0, 0],
            Self::LeastAgain => [LEAST | NOBODYS, NOBODYS << 1, NOBODYS << 2, NOBODYS << 3],
            Self::Unlike => [LEAST | MORE, MORE2, 0, 0],
            Self::Coded(digit) => {
                let mut words = [LEAST, 0, 0, 0];
                let coded = codes().zip(coded_bits()).filter(|(code, _)| code >> digit & 1 != 0);
                coded.for_each(|(_, (word, bit))| words[word] |= 1 << bit);
                words
            }
            Self::This => KINDS.map(here),
        }
    }

    /// What its registers make a C library keep, by the number that the starter knows each by (its `arch::cpu_word`), and in
    /// how many bytes (`struct cpu_features` of the C library's cpu-features.h).
    pub fn kept(self) -> Vec<(u64, u8)> {
        vec![(self.midr(), 8), (zva(self.dczid()), 4)]
    }

    /// MIDR_EL1.
    pub(super) fn midr(self) -> u64 {
        match self {
            // Of no maker's (implementer 0 is for software's use).
            Self::Least | Self::Coded(_) => 0x000f_5a30,
            Self::LeastAgain => 0x000f_a6c0,
            // Cavium's ThunderX, for which the GNU C library has functions of its own.
            Self::Unlike => 0x431f_0a10,
            Self::This => midr_here(),
        }
    }

    /// DCZID_EL0: how much `dc zva` clears, as a power of two of words of four bytes.
    pub(super) fn dczid(self) -> u64 {
        match self {
            Self::Least | Self::Coded(_) => 5,
            Self::LeastAgain => 6,
            Self::Unlike => 4,
            Self::This => dczid_here(),
        }
    }

    /// CTR_EL0: lines of 64 bytes, caches that instructions and data share.
    pub(super) fn ctr(self) -> u64 {
        0x9444_c004
    }

    /// A resolver's first argument.
    pub(super) fn resolver_word(self) -> u64 {
        self.words()[0] | HAS_SECOND
    }

    /// What a resolver's second argument leads to (`__ifunc_arg_t` of the C library's sys/ifunc.h): its size and AT_HWCAP and
    /// so on, in words of eight bytes.
    pub(super) fn resolver_argument(self) -> Vec<u8> {
        let words = self.words();
        let size = 8 * (words.len() as u64 + 1);
        std::iter::once(size).chain(words).flat_map(u64::to_le_bytes).collect()
    }

    /// What the starter compares the running CPU with.
    pub fn features(self) -> CpuFeatures {
        let [first, second, third, _] = self.words();
        let (low, high) = (|word: u64| word as u32, |word: u64| (word >> 32) as u32);
        CpuFeatures {
            signature: low(self.midr()),
            basic: [low(first), high(first)],
            structured: [low(second), high(second), low(third)],
            xcr0: 0,
            more: 0,
        }
    }
}

/// How many bytes `dc zva` clears by this DCZID_EL0; 0 if it may not be used.
fn zva(dczid: u64) -> u64 {
    if dczid & 0x10 != 0 { 0 } else { 4 << (dczid & 0xf) }
}

/// Of this process's auxiliary vector.
fn here(kind: u64) -> u64 {
    // SAFETY: it only reads the vector.
    unsafe { libc::getauxval(kind) }
}

fn midr_here() -> u64 {
    if here(AT_HWCAP) & 1 << 11 == 0 {
        return 0;
    }
    let midr: u64;
    // SAFETY: where HWCAP_CPUID is set the kernel answers for the register.
    unsafe { std::arch::asm!("mrs {}, midr_el1", out(reg) midr, options(nomem, nostack)) };
    midr
}

fn dczid_here() -> u64 {
    let dczid: u64;
    // SAFETY: every program may read the register.
    unsafe { std::arch::asm!("mrs {}, dczid_el0", out(reg) dczid, options(nomem, nostack)) };
    dczid
}

/// A CPU by its maker and model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuModel {
    /// MIDR_EL1; 0 if the kernel does not tell.
    pub midr: u64,
    /// AT_HWCAP and AT_HWCAP2.
    pub abilities: [u64; 2],
}

impl CpuModel {
    /// That of the CPU that runs this.
    pub fn of_this_cpu() -> Self {
        Self { midr: midr_here(), abilities: [here(AT_HWCAP), here(AT_HWCAP2)] }
    }
}

impl std::fmt::Display for CpuModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { midr, abilities: [first, second] } = self;
        let (maker, part) = (midr >> 24 & 0xff, midr >> 4 & 0xfff);
        let (variant, revision) = (midr >> 20 & 0xf, midr & 0xf);
        write!(f, "implementer {maker:#x}, part {part:#x}, r{variant}p{revision}; ")?;
        write!(f, "AT_HWCAP {first:#x}, AT_HWCAP2 {second:#x}")
    }
}

/// What this machine's CPUs have in common, for people.
pub fn level_here() -> &'static str {
    Cpu::LEAST_NAME
}

/// What tells CPUs of one machine apart in memory: nothing does.
pub fn cpu_identity() -> [u8; 8] {
    midr_here().to_le_bytes()
}

/// The same without the number of the CPU, which it does not have.
pub fn without_apic_id(identity: [u8; 8]) -> [u8; 8] {
    identity
}

/// Whether it is one of Intel's.
pub fn is_intel_here() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_cpu_is_in_all() {
        let least = Cpu::Least.features();
        for cpu in [Cpu::LeastAgain, Cpu::Unlike, Cpu::This] {
            assert!(cpu.features().contains(&least), "{cpu:?}");
        }
        assert_eq!(Cpu::Least.floor(), CpuFeatures::default());
    }

    #[test]
    fn a_bit_is_told_by_where_it_is_set() {
        let cpus = Cpu::Least.coded();
        let of = |bits: &dyn Fn([u64; 4]) -> bool| {
            let differs: Vec<bool> = cpus.iter().map(|cpu| bits(cpu.words())).collect();
            Cpu::coded_bit(&differs)
        };
        assert_eq!(coded_bits().count(), 4 * 64 - 5);
        assert!(codes().count() >= coded_bits().count());
        for (word, bit) in coded_bits() {
            let number = word as u16 * 64 + bit as u16;
            assert_eq!(of(&|words| words[word] >> bit & 1 != 0), Some(number), "{word}, {bit}");
        }
        assert_eq!(of(&|_| true), None);
        assert_eq!(of(&|_| false), None);
        assert_eq!(of(&|words| words[0] >> 22 & 1 != 0 && words[1] >> 17 & 1 != 0), None);
        assert_eq!(of(&|words| words[0] >> 22 & 1 != 0 || words[1] >> 17 & 1 != 0), None);
    }

    #[test]
    fn what_is_kept_differs() {
        let (one, other) = (Cpu::Least.kept(), Cpu::LeastAgain.kept());
        assert!(one.iter().zip(&other).all(|(one, other)| one != other));
        assert_eq!((zva(4), zva(0x14)), (64, 0));
    }
}
