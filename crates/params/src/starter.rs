//! The parameter block: what a conversion tells the starter. Shared by source between the image,
//! which reads it, and `statify`, which writes it.
//!
//! In the file and in memory the tables come first, then [`Params`], then the image's code:
//!
//! ```text
//! | ELF header, program headers | tables ... | padding | Params | code ... |
//! ^ unmapped before the hand-off, with the tables and the parameters        ^ entry = first byte
//! ```
//!
//! On machines whose kernels have pages of several sizes the code lies [`FRONT_GAP`] further in memory, since its permissions
//! are others.
//!
//! All integers are little-endian. A *place* is an address in 64 bits: with bit 63 set it is
//! absolute, otherwise a virtual address of the output. The kernel chooses where the program and
//! this front go, by program headers; behind lie the loader, the libraries and the loader's memory
//! ([`Params::groups`]), which the starter maps, each group at a distance of its own.

/// How far the code lies from the tables in memory, in bytes, on machines whose kernels have pages of several sizes: no page
/// is of both.
pub const FRONT_GAP: u64 = 64 << 10;

/// Bit 63 of a place: the rest is an absolute address, not one in the block.
pub const ABSOLUTE: u64 = 1 << 63;

/// First word of every parameter block ("statify" and the format's version).
pub const MAGIC: u64 = u64::from_le_bytes(*b"statify\x07");

/// An array of records: `offset` bytes below the [`Params`] it belongs to, `count` records.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Distance from the first record down from the address of `Params`, in bytes.
    pub offset: u32,
    /// Number of records.
    pub count: u32,
}

/// Everything the starter needs to know; ends where the image's code begins.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Params {
    /// [`MAGIC`].
    pub magic: u64,
    /// Virtual address of this structure in the output.
    pub vaddr: u64,
    /// Virtual address of the output's ELF header: the first byte of the front.
    pub front: u64,
    /// Bytes before the starter's code that are of no use after the start: whole pages.
    pub unmap: u64,
    /// Where to jump (a place).
    pub handoff: u64,
    /// AT_ENTRY of the embedded program (a place); in the return-value register at hand-off.
    pub entry: u64,
    /// AT_PHDR of the embedded program (a place).
    pub phdr: u64,
    /// AT_PHNUM of the embedded program.
    pub phnum: u64,
    /// AT_BASE: where the embedded loader lies (a place).
    pub loader: u64,
    /// The size of pages that the loader was told of when it was captured (AT_PAGESZ), in bytes.
    pub page_size: u64,
    /// The size that thread stacks get by default where RLIMIT_STACK is unlimited, in bytes.
    pub stack_unlimited: u64,
    /// The least size that thread stacks get by default, in bytes.
    pub stack_least: u64,
    /// One of the `SECURE_*` constants: what to do where the kernel says AT_SECURE.
    pub secure: u64,
    /// What the distance between the program's addresses and its virtual addresses must be a
    /// multiple of: a power of two, a page at least.
    pub alignment: u64,
    /// Table of [`Group`], ascending, at most [`MOST_GROUPS`]: all places from the first one's start on
    /// belong to one. None where nothing slides.
    pub groups: Table,
    /// A page of the starter's code that is mapped once more (a place): where the output cannot be
    /// opened, it grows to hold what [`Params::maps`] names.
    pub spare: u64,
    /// The offset in the output of that page, in bytes.
    pub spare_offset: u64,
    /// To how many bytes it grows.
    pub spare_len: u64,
    /// The program's code and data, as proc_pid_stat(5) tells of them: four places.
    pub extents: [u64; 4],
    /// A sum of the `RANDOM_*` and `SEAL_*` constants, [`PROGRAM_FIRST`] and [`SAME_PAGE_SIZE`].
    pub choices: u64,
    /// The oldest kernel that the program's files take, three numbers of a byte each (0x30200 is
    /// 3.2.0); 0 if they do not say.
    pub least_kernel: u64,
    /// The directory of the pool, from the root on: the names of the directories that lead to it, and its own, a NUL behind
    /// each; `count` is in bytes, 0 without a pool.
    pub pool: Table,
    /// Table of [`PoolFile`].
    pub pool_files: Table,
    /// Table of [`Map`].
    pub maps: Table,
    /// Table of [`Range`] with `prot`: zero pages to map.
    pub zeros: Table,
    /// Table of [`Range`]: pages that will be written, to be made present in one call each.
    pub populates: Table,
    /// Table of [`Call`].
    pub calls: Table,
    /// Table of [`ConstantRun`]: words that the file does not have in their pages, or whose pages it does not have; written
    /// first of all.
    pub constants: Table,
    /// Table of [`Slide`].
    pub slides: Table,
    /// Table of [`Fixup`].
    pub fixups: Table,
    /// NUL-terminated names of vDSO functions, and then ends of paths, one after the other; `count` is
    /// in bytes.
    pub vdso_names: Table,
    /// Table of [`Range`] with `prot`: final permissions.
    pub protects: Table,
    /// Table of [`Range`]: what to seal with mseal(2).
    pub seals: Table,
    /// What the CPU must have; all zero where every x86-64 CPU has it.
    pub floor: CpuFeatures,
    /// Table of [`Variant`]: what was prepared for a CPU, best first.
    pub variants: Table,
    /// Table of [`ConstantRun`]: what to write before the [`Resolver`]s run.
    pub resets: Table,
    /// Table of [`Resolver`].
    pub resolvers: Table,
    /// Whether the resolvers can be run for a CPU that no variant is for.
    pub can_resolve: u64,
    /// The loader's function that reads the C library's variables out of the environment whose address
    /// it is given (a place); 0 if that is not the loader's business, or [`FROZEN_TUNABLES`].
    pub read_tunables: u64,
    /// The C library's function that takes over what the loader has read (a place); 0 if there is none.
    pub take_over_tunables: u64,
    /// How many bytes all paths take that begin with the output's directory.
    pub origin_room: u64,
    /// The largest size of pages that it is laid out for, in bytes: no page of that size has two permissions.
    pub largest_page: u64,
}

/// What is asked of the CPU at start. Of x86 that is two leaves of CPUID; of AArch64 MIDR_EL1 (`signature`), and, in words of
/// 32 bits, AT_HWCAP (`basic`), AT_HWCAP2 and the lower half of AT_HWCAP3 (`structured`).
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuFeatures {
    /// Leaf 1, eax: family, model, stepping.
    pub signature: u32,
    /// Leaf 1, ecx and edx.
    pub basic: [u32; 2],
    /// Leaf 7, ebx, ecx and edx; zero without OSXSAVE.
    pub structured: [u32; 3],
    /// The states that XGETBV says are enabled; zero without OSXSAVE.
    pub xcr0: u32,
    /// `CPU_*`.
    pub more: u32,
}

/// LZCNT is what it says (leaf 0x80000001, ecx bit 5).
pub const CPU_LZCNT: u32 = 1;
/// Of Intel's make, or told of in Intel's way.
pub const CPU_INTEL: u32 = 2;
/// Of AMD's make.
pub const CPU_AMD: u32 = 4;

/// The make of a CPU with this `signature`. All of AMD's with XSAVE are of family 16 or later, and
/// nobody else's is; of the others leaf 0's ebx tells, the first letters of the maker's name.
pub fn vendor(signature: u32, has_xsave: bool, name: impl FnOnce() -> u32) -> u32 {
    let is_new = signature >> 20 & 0xff != 0;
    if is_new || !has_xsave && name() == u32::from_le_bytes(*b"Auth") { CPU_AMD } else { CPU_INTEL }
}

impl CpuFeatures {
    /// Whether it has everything that `other` has, whatever it is called.
    pub fn contains(&self, other: &Self) -> bool {
        let has = |own: u32, wanted: u32| own & wanted == wanted;
        has(self.basic[0], other.basic[0])
            && has(self.basic[1], other.basic[1])
            && has(self.structured[0], other.structured[0])
            && has(self.structured[1], other.structured[1])
            && has(self.structured[2], other.structured[2])
            && has(self.xcr0, other.xcr0)
            && has(self.more, other.more)
    }
}

/// What the loader and IFUNC resolvers choose on one kind of CPU.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The CPU.
    pub cpu: CpuFeatures,
    /// Not 0: for this CPU only. 0: for every one that has its features.
    pub exact: u64,
    /// Table of [`ConstantRun`].
    pub literals: Table,
    /// Table of [`Constant`], the values being places.
    pub pointers: Table,
    /// As many places as there are [`Resolver`]s: what each answers.
    pub results: Table,
}

/// An IFUNC resolver and the slots that hold its answer.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// The function (a place).
    pub function: u64,
    /// The first slot's delta counts from here (a place, a multiple of 8).
    pub start: u64,
    /// As in [`Slide`].
    pub stream: u32,
    /// Number of slots.
    pub count: u32,
}

/// The loader reads the C library's variables, and it is not known by what function.
pub const FROZEN_TUNABLES: u64 = 1;

/// Under AT_SECURE: nothing, the C library itself does what is to be done.
pub const SECURE_BY_LIBRARY: u64 = 0;
/// Under AT_SECURE: what glibc's loader does.
pub const SECURE_AS_GLIBC: u64 = 1;
/// Under AT_SECURE: the program is not started.
pub const SECURE_REFUSED: u64 = 2;

/// The program moves to where addresses are random to the page, and the heap to an address of its
/// own, unless the kernel does not randomise.
pub const RANDOM_FULL: u64 = 1;
/// The program must lie below the libraries, as it did when it was captured: its loader has a table of both in the order of
/// their addresses.
pub const PROGRAM_FIRST: u64 = 8;
/// It starts on kernels with pages of [`Params::page_size`] only: how the program's code learns of another size is not known.
pub const SAME_PAGE_SIZE: u64 = 16;
/// What does not change again is sealed, unless a seccomp filter might end the process for it.
pub const SEAL_UNFILTERED: u64 = 2;
/// What does not change again is sealed.
pub const SEAL_ALWAYS: u64 = 4;

/// Loader, libraries and their memory that slide alike: what is together in the output stays so.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The first byte (a place).
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// What its distance must be a multiple of, as [`Params::alignment`].
    pub alignment: u64,
}

/// How many groups there are at most.
pub const MOST_GROUPS: usize = 256;

/// Pages of the output that the kernel does not map from a program header.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// Where they belong (a place).
    pub to: u64,
    /// Length in bytes.
    pub len: u64,
    /// Where they are in the output, in bytes from its start.
    pub offset: u64,
    /// PROT_* bits of mmap(2).
    pub prot: u16,
    /// Which file of the pool has the same bytes: the number of its [`PoolFile`], from 1 on; 0 if none has.
    pub pool_file: u16,
    /// Where they are in that file, in pages from its start.
    pub pool_page: u32,
}

/// A file of the pool: a library as it was embedded, under the name of its SHA-256 in 64 hexadecimal digits. The starter maps
/// it where it is root's and can be trusted; else the output's own pages.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFile {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// What FS_IOC_MEASURE_VERITY says of it where fs-verity guards it: by SHA-256, with blocks of 4096 bytes and no salt.
    pub verity: [u8; 32],
    /// Its length in bytes.
    pub len: u64,
}

/// In permissions that pages get last (`prot` of a [`Range`]), on AArch64: branches that go where a register says may lead to
/// instructions only that are marked (PROT_BTI; arch/arm64/include/uapi/asm/mman.h), if the CPU heeds marks.
pub const PROT_BTI: u64 = 0x10;

/// In `prot` of a [`Range`]: where pages are larger than 4 KiB, all of the page in which it begins is its own. Else what is in
/// front of it has that page.
pub const WHOLE_FIRST: u64 = 0x100;
/// The same of the page in which it ends, and what is behind it.
pub const WHOLE_LAST: u64 = 0x200;

/// A range of pages of 4 KiB.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte (a place).
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// PROT_* bits of mmap(2), where they matter, [`WHOLE_FIRST`] and [`WHOLE_LAST`].
    pub prot: u64,
}

/// A system call of the loader's that the kernel must see again in the new process.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// One of the `CALL_*` constants: what its result is for.
    pub result: u64,
    /// Arguments; the ones in `places` are places, the others plain values.
    pub args: [u64; 4],
    /// Bit i: argument i is a place.
    pub places: u64,
}

/// The result of the call does not matter.
pub const CALL_OPTIONAL: u64 = 0;
/// The call must succeed.
pub const CALL_REQUIRED: u64 = 1;
/// The call answers the thread id.
pub const CALL_THREAD_ID: u64 = 2;
/// In the place of a system call's number, on AArch64: argument 0 becomes TPIDR_EL0, where a thread finds its memory. 32-bit
/// Arm has a call of this number for it (`set_tls`); AArch64 has none, and needs none.
pub const CALL_SET_THREAD_POINTER: u64 = 0x000f_0005;
/// rseq(2): on failure `cpu_id` (4 bytes at 4 of the area, argument 0) becomes -2, as the C library does.
pub const CALL_RSEQ: u64 = 3;

/// Words to write.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConstantRun {
    /// The first word's distance counts from here (a place, a multiple of 8).
    pub start: u64,
    /// Like [`Table::offset`]: distances as of [`Slide::stream`], and behind each, or behind each word's turn where one is
    /// repeated, what to write: a ULEB128 number with its sign in the lowest bit.
    pub stream: u32,
    /// Number of words.
    pub count: u32,
}

/// A word, and the place whose address is to be written there.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Where (a place).
    pub at: u64,
    /// What (a place).
    pub value: u64,
}

/// Words that hold an address in one module: to each, the module's address is added.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slide {
    /// The module that the words point into (a place).
    pub target: u64,
    /// The first word's delta counts from here (a place, a multiple of 8).
    pub start: u64,
    /// Like [`Table::offset`]: ULEB128 numbers, each twice the distance in words from the word before; and if that many words
    /// follow at the same distance, 1 more, and how many there are.
    pub stream: u32,
    /// Number of words.
    pub count: u32,
}

/// One word that gets a value known only at start.
#[repr(C)]
#[cfg_attr(
    feature = "bytes",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixup {
    /// Where (a place; of any alignment).
    pub at: u64,
    /// One of the `FIXUP_*` constants.
    pub kind: u8,
    /// Bytes to write, 4 or 8.
    pub width: u8,
    /// What the kind needs to know.
    pub arg: u16,
    /// Likewise.
    pub extra: u32,
}

/// The address `extra` bytes (signed) above argc, which is where the stack pointer is at process entry.
pub const FIXUP_STACK: u8 = 1;
/// The address of the environment's array.
pub const FIXUP_ENVP: u8 = 2;
/// The address of the auxiliary vector.
pub const FIXUP_AUXV: u8 = 3;
/// The number of arguments.
pub const FIXUP_ARGC: u8 = 4;
/// The value of the auxv entry of type `arg`; the word stays as it is if the kernel gives none.
pub const FIXUP_AUX_VALUE: u8 = 5;
/// The stack protector's canary: AT_RANDOM's first word without the bits of `arg` (0xff; none for glibc up to 2.13).
pub const FIXUP_CANARY: u8 = 6;
/// The pointer guard (musl: the allocator's secret): AT_RANDOM's second word.
pub const FIXUP_POINTER_GUARD: u8 = 7;
/// The thread id.
pub const FIXUP_THREAD_ID: u8 = 8;
/// The program break.
pub const FIXUP_BREAK: u8 = 9;
/// The default size of a thread's stack, from RLIMIT_STACK.
pub const FIXUP_STACK_LIMIT: u8 = 10;
/// The address of the vDSO function whose name starts at byte `arg` of the names; unchanged without one.
pub const FIXUP_VDSO: u8 = 11;
/// Random bytes of its own.
pub const FIXUP_RANDOM: u8 = 12;
/// A word not aligned to 8 that holds an address in the module whose place is `extra` pages from place 0.
pub const FIXUP_UNALIGNED_SLIDE: u8 = 13;
/// The time-stamp counter.
pub const FIXUP_TIMESTAMP: u8 = 14;
/// The upper half of the time-stamp counter, where a word has room for a half.
pub const FIXUP_TIMESTAMP_HIGH: u8 = 22;
/// AT_RANDOM's word of the number `arg`, where it has four of them.
pub const FIXUP_RANDOM_WORD: u8 = 23;
/// Under AT_SECURE `extra`, a signed number, is added to the word; otherwise the word stays as it is.
pub const FIXUP_SECURE: u8 = 20;
/// The address of the output's directory followed by the string that starts at byte `extra` of the names.
pub const FIXUP_ORIGIN: u8 = 21;
/// 0 if the kernel has refused rseq(2); otherwise unchanged.
pub const FIXUP_RSEQ_SIZE: u8 = 15;
/// What a register of the CPU makes a C library keep: the word of the number `arg`, as the machine counts them.
pub const FIXUP_CPU_WORD: u8 = 24;
/// `extra`, a signed number, is added to the word if the kernel says that the CPU has the bit `arg` of AT_HWCAP and its kind:
/// 64 times the number of the word (AT_HWCAP is 0, AT_HWCAP2 is 1 and so on) and the bit's number in it. On AArch64.
pub const FIXUP_HWCAP: u8 = 25;

/// Whether a number is that of a kind of fix-up.
pub const fn is_fixup(kind: u8) -> bool {
    matches!(kind, FIXUP_STACK..=FIXUP_RSEQ_SIZE | FIXUP_SECURE..=FIXUP_HWCAP)
}
