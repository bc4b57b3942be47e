//! Everything that knows a machine: what its relocations mean and may leave, the shapes of its code, its
//! registers and system calls, its CPUs, and by which names and in which directories its loaders are found.
//!
//! Each machine is a folder (`x86_64/`), all with the same functions, and a variant of [`Machine`], which is
//! chosen by what a file says (e_machine and its class) at run time. For another machine: its folder, its
//! variant, and its lines in [`Machine::of`] and `on!`; the compiler then names every function that it lacks.
//!
//! What the program that runs this does to others (their registers, CPUID) is of the machine that it is
//! compiled for, and needs no choice: those types are handed on as they are.
//!
//! Tables that name all machines at once are beside the folders: [`Abi`] for loaders, [`name`] for people.

mod aarch64;
mod abi;
mod code;
mod conversion;
mod hwcaps;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "what traces its programs, which do not run here")
)]
mod i386;
mod names;
pub mod numbers;
mod redirect;
mod relocations;
mod row;
mod space;
mod x86_64;

use crate::encode::Sizes;
use crate::{DynamicFacts, ElfError, ElfFile};

pub use abi::{Abi, CacheFlags};
pub use code::{Call, CodePart, CpuSites, Uses};
pub use conversion::NotHere;
pub use hwcaps::OlderScheme;
pub use names::{LIBRARY_DIRECTORIES, LINKED_DIRECTORIES, describe, name};
pub use redirect::{Code, Redirection};
pub use relocations::{FileValue, Meaning};
pub use space::Space;
pub use x86_64::{Level, OWN_PLATFORM};

pub use host::{
    Answers, CALL_NUMBER, Cpu, CpuInstruction, CpuModel, LONGEST_TRAP, Registers, THREAD_POINTER,
    UNDEFINED, calls_that_trap, cpu_identity, is_intel_here, level_here, tells_of_cpu,
    without_apic_id,
};

#[cfg(target_arch = "aarch64")]
use aarch64 as host;
#[cfg(target_arch = "x86_64")]
use x86_64 as host;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("statify runs on x86-64 and AArch64 only, so far");

/// A machine whose code and relocations are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// AMD64, with addresses of 64 bits.
    X86_64,
    /// The Intel386 and all after it, with addresses of 32 bits.
    I386,
    /// Arm's 64-bit architecture, with addresses of 64 bits.
    Aarch64,
}

/// The same item of each machine's folder.
macro_rules! on {
    ($machine:expr, $($item:ident)::+ $(($($argument:expr),*))?) => {
        match $machine {
            Machine::X86_64 => x86_64::$($item)::+ $(($($argument),*))?,
            Machine::I386 => i386::$($item)::+ $(($($argument),*))?,
            Machine::Aarch64 => aarch64::$($item)::+ $(($($argument),*))?,
        }
    };
}

impl Machine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::X86_64, Self::I386, Self::Aarch64];

    /// The one that this is compiled for and runs on.
    pub const HOST: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    /// That of a file with this e_machine (gABI, "ELF Header"), whose addresses have 64 bits or 32; `None` if
    /// nothing is known of it.
    pub fn of(e_machine: u16, is_64: bool) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|machine| machine.e_machine() == e_machine && machine.is_64() == is_64)
    }

    /// Its number in the ELF header, EM_*.
    pub fn e_machine(self) -> u16 {
        on!(self, E_MACHINE)
    }

    /// Whether its files are of class ELFCLASS64.
    pub fn is_64(self) -> bool {
        self.word() == 8
    }

    /// How many bytes the structures of its files take.
    pub fn sizes(self) -> Sizes {
        Sizes::of(self.is_64())
    }

    /// The size of an address, a GOT entry and a pushed return address, in bytes.
    pub fn word(self) -> u64 {
        on!(self, WORD)
    }

    /// The size of the smallest page that its kernels have, in bytes: [`crate::PAGE`].
    pub fn page(self) -> u64 {
        on!(self, PAGE)
    }

    /// The size of the largest page by which its kernels map files, in bytes. A file whose segments are not laid
    /// out for it starts on kernels with smaller pages only.
    pub fn largest_page(self) -> u64 {
        on!(self, LARGEST_PAGE)
    }

    /// How far memory with other permissions lies from what is in front of it in a file, so that they share no page however
    /// large pages are; nothing where all are of one size.
    pub fn front_gap(self) -> u64 {
        if self.largest_page() > self.page() { statify_params::FRONT_GAP } else { 0 }
    }

    /// The first address that no program has: those above are the kernel's.
    pub fn address_limit(self) -> u64 {
        on!(self, ADDRESS_LIMIT)
    }

    /// Whether code consists of whole instructions that do nothing, as assemblers put them between functions.
    pub fn is_padding(self, code: &[u8]) -> bool {
        on!(self, padding::is_padding(code))
    }

    /// As the kernel calls it (uname(2), `machine`).
    pub fn kernel_name(self) -> &'static str {
        on!(self, KERNEL_NAME)
    }

    /// DT_SONAME of glibc's loader (glibc's shlib-versions).
    pub fn loader_soname(self) -> &'static [u8] {
        on!(self, loader::SONAME)
    }

    /// What stands for the machine in the names of musl's loader and of its search file.
    pub fn musl_name(self) -> &'static str {
        on!(self, loader::MUSL)
    }

    /// Directories in which only libraries for it lie, on distributions that have several kinds side by side.
    pub fn library_directories(self) -> &'static [&'static str] {
        on!(self, loader::DIRECTORIES)
    }

    /// What a relocation of this type (R_*) means; `None` if it does nothing.
    pub fn relocation(self, kind: u32) -> Option<Meaning> {
        on!(self, relocations::meaning(kind))
    }

    /// What readelf(1) calls a relocation of this type.
    pub fn relocation_name(self, kind: u32) -> String {
        on!(self, relocations::name(kind))
    }

    /// What a file has in the word that a relocation of this type writes.
    pub fn file_value(self, kind: u32) -> FileValue {
        on!(self, relocations::file_value(kind))
    }

    /// The type of the relocations that add the bias, as the words of DT_RELR get it without one.
    pub fn relative(self) -> u32 {
        on!(self, relocations::RELATIVE)
    }

    /// .init, .fini and what calls of other modules go through, as far as the code shows them.
    pub fn code_parts(self, elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Vec<CodePart> {
        on!(self, plt::code_parts(elf, facts))
    }

    /// What a slot holds until it is bound: by the index of its relocation in DT_JMPREL, the address (before
    /// any bias) in the lazy PLT that tells the loader that index.
    pub fn lazy_targets(
        self,
        elf: &ElfFile<'_>,
        facts: &DynamicFacts<'_>,
    ) -> std::collections::HashMap<u32, u64> {
        on!(self, plt::lazy_targets(elf, facts))
    }

    /// Whether this is the code of a stub that has the loader bind the slot of the entry of this index in DT_JMPREL.
    pub fn is_lazy_stub(self, code: &[u8], index: u32) -> bool {
        on!(self, plt::is_lazy_stub(code, index))
    }

    /// How the code of `elf` uses the imports whose addresses the loader writes to these words (before any
    /// bias), one list of words for each import.
    pub fn uses(self, elf: &ElfFile<'_>, imports: &[Vec<u64>]) -> Vec<Uses> {
        on!(self, calls::uses(elf, imports))
    }

    /// The beginnings of the functions that take one of these addresses (before any bias); ascending.
    pub fn functions_that_refer_to(self, elf: &ElfFile<'_>, addresses: &[u64]) -> Vec<u64> {
        on!(self, references::functions_that_refer_to(elf, addresses))
    }

    /// The instructions of a file that tell of the CPU. Takes time in proportion to the code.
    pub fn cpu_sites(self, elf: &ElfFile<'_>) -> CpuSites {
        on!(self, sites::cpu_sites(elf))
    }

    /// Code of a file, the first byte's address being `base`.
    pub fn code<'a>(self, elf: &ElfFile<'_>, bytes: &'a [u8], base: u64) -> Box<dyn Code + 'a> {
        on!(self, redirect::code(elf, bytes, base))
    }

    /// The instruction that makes a system call.
    pub fn system_call(self) -> &'static [u8] {
        on!(self, system_calls::INSTRUCTION)
    }

    /// The address of an instruction that makes a system call, in code that is at `base`.
    pub fn find_system_call(self, code: &[u8], base: u64) -> Option<u64> {
        let instruction = self.system_call();
        let windows = code.windows(instruction.len()).step_by(on!(self, INSTRUCTION_ALIGNMENT));
        let index = windows.into_iter().position(|window| window == instruction)?;
        Some(base + (index * on!(self, INSTRUCTION_ALIGNMENT)) as u64)
    }

    /// The instruction that stops a traced process with SIGTRAP, and that nothing else executes.
    pub fn breakpoint(self) -> &'static [u8] {
        on!(self, BREAKPOINT)
    }

    /// The name of the system call of this number if only this machine has it: one about registers and the like.
    pub fn own_call_name(self, number: i64) -> Option<&'static str> {
        on!(self, system_calls::own_name(number))
    }

    /// Whether only this machine has the system call of this number.
    pub fn is_own_call(self, number: i64) -> bool {
        self.own_call_name(number).is_some()
    }

    /// The number that it has for the system call which the machine that this runs on numbers so; `None` if none is known
    /// that does the same.
    pub fn call_number(self, number: i64) -> Option<i64> {
        self.call_numbers(number).first().copied()
    }

    /// All numbers that it has for calls which do what that one does, with the same arguments in the same places.
    pub fn call_numbers(self, number: i64) -> Vec<i64> {
        match self {
            Self::HOST => vec![number],
            Self::I386 => i386::numbers::all(number).collect(),
            _ => Vec::new(),
        }
    }

    /// All its calls that do what that one does but take what they are told in another form: from memory, in two halves, or
    /// less of it. Their arguments are not where those of [`Self::call_numbers`] are. Where one number stands for several
    /// calls, with the first argument that chooses this one.
    pub fn other_forms(self, number: i64) -> Vec<(i64, Option<u32>)> {
        match self {
            Self::I386 => i386::numbers::other_forms(number).collect(),
            _ => Vec::new(),
        }
    }

    /// What seccomp(2) and the audit subsystem call it: AUDIT_ARCH_* (linux/audit.h).
    pub const fn audit_number(self) -> u32 {
        on!(self, AUDIT)
    }

    /// Where captures of its programs lie.
    pub const fn space(self) -> &'static Space {
        on!(self, SPACE)
    }

    /// How many bytes of code there are up to the instruction before which `pushed` bytes have been taken back from the
    /// stack; `None` if other instructions come first.
    pub fn stack_restored(self, code: &[u8], pushed: u64) -> Option<u64> {
        match pushed {
            0 => Some(0),
            _ => on!(self, stack_restored(code, pushed)),
        }
    }

    /// Of a call that sets the thread pointer: the arguments by which it can be made again. `read` reads memory.
    pub fn thread_pointer_call(
        self,
        args: [u64; 6],
        read: impl FnOnce(u64) -> Option<[u8; 16]>,
    ) -> Option<[u64; 4]> {
        on!(self, system_calls::thread_pointer_call(args, read))
    }

    /// The thread pointer that a call with these arguments, as [`Self::thread_pointer_call`] has them, sets.
    pub fn thread_pointer(self, args: &[u64; 4]) -> u64 {
        on!(self, system_calls::thread_pointer(args))
    }

    /// Whether this system call tells the kernel where the thread's memory is, as a loader does once, when
    /// all files are mapped and before code of others runs. `args` may be cut behind the first.
    pub fn sets_thread_pointer(self, number: i64, args: &[u64]) -> bool {
        on!(self, system_calls::sets_thread_pointer(number, args))
    }
}

impl ElfFile<'_> {
    /// The machine that it is for; `None` if nothing is known of it.
    pub fn machine(&self) -> Option<Machine> {
        Machine::of(self.header().e_machine, self.is_64())
    }

    /// The machine that it is for, or that nothing is known of it.
    pub fn known_machine(&self) -> Result<Machine, ElfError> {
        let bits = 8 * self.address_size() as u8;
        self.machine().ok_or(ElfError::Machine(self.header().e_machine, bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_what_its_files_say() {
        for machine in Machine::ALL {
            assert_eq!(Machine::of(machine.e_machine(), machine.is_64()), Some(machine));
            assert_eq!(Machine::of(machine.e_machine(), !machine.is_64()), None);
            assert_eq!(machine.page(), crate::PAGE, "pages are rounded to by constants");
        }
        assert_eq!(Machine::of(0, true), None);
        assert_eq!(Machine::HOST.kernel_name(), std::env::consts::ARCH);
    }

    #[test]
    fn the_types_of_relocations_agree() {
        for machine in Machine::ALL {
            let kind = machine.relative();
            assert_eq!(machine.relocation(kind), Some(Meaning::Relative));
            assert_eq!(machine.file_value(kind), FileValue::Addend);
            assert!(machine.relocation_name(kind).ends_with("RELATIVE"));
            assert_eq!(machine.relocation(0), None);
        }
    }
}
