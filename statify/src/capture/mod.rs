//! A capture: one traced run up to the hand-off, with its memory, its mappings and the system
//! calls that the loader made.
//!
//! [`launch`] starts the program, [`rearrange`] moves it into the [`block`] ([`cpu_sites`] sees to its
//! instructions that tell of the CPU), [`run`] takes it to
//! the [`handoff`] ([`answer`] and [`mmap`] see to its system calls), [`snapshot`] reads its memory, [`rehearse`] runs more in
//! it; a [`short_run`] stops earlier, for [`secure`] and [`hwcap`]. ptrace is talked to by [`statify_process::Tracee`] only.

mod answer;
pub mod auxv;
mod block;
mod cpu_sites;
mod explain;
mod filter;
mod follow;
pub mod functions;
mod handoff;
pub mod hwcap;
mod launch;
mod mmap;
mod observe;
mod preload;
mod reader;
mod rearrange;
pub mod rehearse;
mod run;
mod run_error;
pub mod secure;
pub mod short_run;
mod snapshot;
mod stopwatch;
pub mod tunables;
pub mod variation;
mod vdso;
mod watchdog;

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use statify_elf::c_library::{CLibrary, musl};
use statify_elf::machine::{self, Cpu, Machine};
use statify_elf::{ElfFile, PROT_EXEC, PROT_READ, little_endian, page_down};
use statify_params::CALL_SET_THREAD_POINTER;
use statify_process::procfs::Mapping;
use statify_program::Refusal;
use statify_room::sandbox::{self, Sandbox};

pub use auxv::InitialStack;
pub use block::{Files, LOADER, Object, PROGRAM, room_for_agent};
pub use follow::{Ending, follow};
pub use observe::{CallSite, FileId, Observation};
pub use preload::{NOWHERE, Preloaded, preload};
pub use reader::Reader;
pub use run::KernelCall;
pub use snapshot::{Pages, Region};
pub use vdso::VdsoFunctions;

use crate::error::{Error, Result};
use launch::{LaunchError, Launched};
use rearrange::{Arranged, RearrangeError};
use rehearse::Rehearsal;
use run::Record;
use run_error::RunError;
use variation::Variation;
use watchdog::Watchdog;

/// What is to be captured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The program's path.
    pub program: PathBuf,
    /// Its loader's path.
    pub interpreter: PathBuf,
    /// The C library that the loader belongs to.
    pub c_library: CLibrary,
    /// The machine that both are for.
    pub machine: Machine,
    /// It has privileges: what the loader opens or tries to open is remembered.
    pub is_privileged: bool,
    /// How long one capture may take.
    pub timeout: Duration,
    /// How much address space it may have, in bytes.
    pub memory: Option<u64>,
    /// The files that captures of it have mapped.
    pub files: Files,
    /// The room it runs in, if it is of another root.
    pub sandbox: Option<Arc<Sandbox>>,
    /// As whom it reads files, if not as this process.
    pub reader: Option<Reader>,
}

/// A process at the hand-off.
#[derive(Debug)]
pub struct Capture {
    /// The machine that it is a process of.
    pub machine: Machine,
    /// Where the block lies.
    pub block: Range<u64>,
    /// Whether the program lies at the addresses it was linked for, and not in the block.
    pub fixed_program: bool,
    /// Where each group of modules that slide alike begins; ascending. None if nothing slides.
    pub groups: Vec<u64>,
    /// The initial stack.
    pub stack: InitialStack,
    /// The program break as the loader saw it.
    pub program_break: u64,
    /// Mapped files: the program, the loader, the libraries in the order of their loading.
    pub objects: Vec<Object>,
    /// Mappings of the block, and of a program that is not in it; ascending.
    pub regions: Vec<Region>,
    /// Pages of the regions that are not plain pages of files.
    pub pages: Pages,
    /// The calls to repeat.
    pub calls: Vec<KernelCall>,
    /// The instruction to continue at.
    pub handoff: u64,
    /// Whether the stack is executable.
    pub executable_stack: bool,
    /// /etc/ld.so.preload exists and was hidden.
    pub preload_hidden: bool,
    /// getrandom(2) was called.
    pub used_getrandom: bool,
    /// What musl's file of directories with libraries says, if there is one.
    pub search_path: Option<Vec<u8>>,
    /// What the vDSO offers; empty if it was hidden.
    pub vdso: VdsoFunctions,
    /// AT_RANDOM.
    pub random: [u8; 16],
    /// What getrandom(2) answered.
    pub getrandom: [u8; 8],
    /// What the time-stamp counter read.
    pub timestamp: u64,
    /// What set_tid_address(2) answered.
    pub thread_id: u32,
    /// RLIMIT_STACK as the loader saw it.
    pub stack_limit: u64,
    /// See [`machine::cpu_identity`].
    pub cpu_identity: [u8; 8],
    /// The CPU that it was told of, if that is so.
    pub cpu: Cpu,
    /// Whether the CPU told of itself what the variation asks for.
    pub cpu_dictated: bool,
}

impl Capture {
    /// The loader's file.
    pub fn loader(&self) -> Option<&Object> {
        self.objects.get(LOADER)
    }

    /// Where the thread's own memory is, as the loader has told the kernel.
    pub fn thread_pointer(&self) -> Option<u64> {
        let sets = |call: &&KernelCall| {
            let own = self.machine.call_number(call.number).unwrap_or(-1);
            self.machine.sets_thread_pointer(own, &call.args)
        };
        let call = self.calls.iter().find(sets)?;
        Some(self.machine.thread_pointer(&call.args))
    }

    /// The region that an address lies in.
    pub fn region_at(&self, address: u64) -> Option<&Region> {
        let index = self.regions.partition_point(|r| r.range.start <= address).checked_sub(1)?;
        Some(&self.regions[index]).filter(|region| region.range.contains(&address))
    }

    /// The word at an address, which lies within one page: as it was kept, or as the file has it.
    pub fn word(&self, address: u64) -> Option<u64> {
        let page = page_down(address);
        let file = || self.file_page(self.region_at(page)?, page);
        let bytes = self.pages.get(page).or_else(file)?;
        let from = (address - page) as usize;
        bytes.get(from..from + self.machine.word() as usize).map(little_endian)
    }

    /// The object that an address lies in.
    pub fn object_at(&self, address: u64) -> Option<usize> {
        self.objects.iter().position(|object| object.range.contains(&address))
    }

    /// What the file has at an address of a file-backed region; shorter than a page at its end.
    pub fn file_page(&self, region: &Region, address: u64) -> Option<&[u8]> {
        let (object, offset) = region.file?;
        let start = (offset + (address - region.range.start)) as usize;
        let bytes = &self.objects[object].bytes;
        bytes.get(start..bytes.len().min(start + statify_elf::PAGE as usize))
    }
}

impl Capture {
    /// What has been made read-only of the modules that these addresses lie in: regions with pages
    /// that are not their file's.
    pub fn locked_regions(&self, addresses: impl Iterator<Item = u64>) -> Vec<&Region> {
        let objects: std::collections::BTreeSet<usize> =
            addresses.filter_map(|address| self.object_at(address)).collect();
        let is_locked = |region: &&Region| {
            region.prot == PROT_READ
                && region.file.is_some_and(|(object, _)| objects.contains(&object))
                && self.pages.any_in(&region.range)
        };
        self.regions.iter().filter(is_locked).collect()
    }
}

/// Why a loader gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It cannot bind everything before the program starts (a symbol is missing, or an IFUNC's resolver
    /// needs a module that is not ready yet): without LD_BIND_NOW it may not need to.
    EarlyBinding,
    /// It was told of a CPU that does not suffice.
    Level,
    /// Nothing of that.
    Other,
}

/// Why there is no capture, if capturing in another way may help.
#[derive(Debug)]
pub struct Failure {
    /// The error to report.
    pub error: Error,
    /// What may be done about it.
    pub cause: Cause,
}

impl Failure {
    /// Whether time was up, which says nothing of the program: what a capture would have told must not depend on it.
    pub fn is_of_time(&self) -> bool {
        matches!(self.error, Error::Timeout(..))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, cause: Cause::Other }
    }
}

/// Runs `subject` to its hand-off, varied as `variation` says, on the CPU `cpu`.
pub fn capture(subject: &Subject, variation: &Variation, cpu: usize) -> Result<Capture, Failure> {
    capture_then(subject, variation, cpu, |_, _| ()).map(|(capture, ())| capture)
}

/// The same; then `what` looks at the capture and may run more in the process.
pub fn capture_then<T>(
    subject: &Subject,
    variation: &Variation,
    cpu: usize,
    what: impl FnOnce(&mut Capture, &mut Rehearsal<'_>) -> T,
) -> Result<(Capture, T), Failure> {
    // The child inherits the CPU, and what it says of itself is asked on the same.
    pin(cpu);
    let cpu_identity = machine::cpu_identity();
    let (mut launched, watchdog) = start(subject, variation, &[])?;
    let path = || subject.program.clone();
    let mut record = Record::default();
    let result = to_handoff(&mut launched, subject, variation, &mut record);
    match result {
        Ok((mut capture, mut arranged)) => {
            capture.cpu_identity = cpu_identity;
            let mut rehearsal = Rehearsal {
                tracee: &mut launched.tracee,
                handoff: capture.handoff,
                arranged: &mut arranged,
                variation,
                subject,
            };
            let more = what(&mut capture, &mut rehearsal);
            let messages = launched.messages();
            // A resolver ran in a module that was not relocated yet: who knows what it has answered.
            if variation.bind_now && explain::cause(&messages) == Cause::EarlyBinding {
                let messages = explain::joined(&messages);
                let error = Refusal::Loading(path(), messages).into();
                return Err(Failure { error, cause: Cause::EarlyBinding });
            }
            Ok((capture, more))
        }
        Err(_) if watchdog.fired() => Err(Error::Timeout(path(), subject.timeout.as_secs()).into()),
        Err(stage) => Err(explain::explain(subject, stage, launched.messages(), &record.objects)),
    }
}

/// Starts it, and the clock.
fn start(
    subject: &Subject,
    variation: &Variation,
    more: &[Vec<u8>],
) -> Result<(Launched, Watchdog)> {
    let path = || subject.program.clone();
    let mut launched = launch::launch(subject, variation, more).map_err(|error| match error {
        LaunchError::Trace(source) => Error::Trace(path(), source, explain::cause_of_refusal()),
        LaunchError::Exec(source) => {
            let needs = subject.machine.kernel_needs();
            let needs = needs.filter(|_| source.raw_os_error() == Some(libc::ENOEXEC));
            let source = match needs {
                Some(needs) => std::io::Error::other(format!("{source}: {needs}")),
                None => source,
            };
            Refusal::Program(path(), source).into()
        }
        LaunchError::Sandbox(source) => sandbox::refused(source).into(),
    })?;
    if let Some(reader) = subject.reader {
        let entered = enter(reader, &mut launched, subject);
        entered.map_err(|source| Error::Trace(path(), source, explain::cause_of_refusal()))?;
    }
    let pidfd = launch::duplicate_pidfd(&launched.tracee);
    let looking = subject.files.looking();
    let watchdog = Watchdog::start(launched.tracee.pid(), pidfd, subject.timeout, looking);
    Ok((launched, watchdog))
}

/// Before the loader's first instruction.
fn enter(reader: Reader, launched: &mut Launched, subject: &Subject) -> std::io::Result<()> {
    let loader = subject.files.at(&subject.interpreter)?;
    let elf = ElfFile::parse(&loader.bytes).map_err(std::io::Error::other)?;
    let offset = rearrange::find_syscall(&elf);
    let offset = offset.ok_or_else(|| std::io::Error::other("its loader makes no system call"))?;
    let tracee = &mut launched.tracee;
    let base = tracee.registers()?.instruction_pointer().wrapping_sub(elf.header().e_entry);
    Ok(reader.enter(tracee, base.wrapping_add(offset))?)
}

/// How far it came.
#[derive(Debug)]
enum Stage {
    Rearrange(RearrangeError),
    Run(RunError),
    Snapshot(RearrangeError),
}

fn to_handoff(
    launched: &mut Launched,
    subject: &Subject,
    variation: &Variation,
    record: &mut Record,
) -> Result<(Capture, Arranged), Stage> {
    let tracee = &mut launched.tracee;
    let mut arranged =
        rearrange::rearrange(tracee, variation, subject).map_err(Stage::Rearrange)?;
    record.objects.append(&mut arranged.objects);
    let handoff = run::run_to_handoff(tracee, &mut arranged, variation, record, subject)
        .map_err(Stage::Run)?;
    let system = |errno| Stage::Snapshot(RearrangeError::System(errno));
    arranged.cpu_sites.put_back(tracee).map_err(system)?;
    if let Some(pointer) = tracee.thread_pointer().map_err(system)? {
        let number = CALL_SET_THREAD_POINTER as i64;
        record.calls.insert(0, KernelCall { number, args: [pointer, 0, 0, 0] });
    }
    let block = arranged.block.range();
    let wanted = memory(&arranged, &record.objects);
    let (regions, pages, others) =
        snapshot::take(tracee, &record.objects, &wanted).map_err(Stage::Snapshot)?;
    let stack = others.iter().find(|mapping| mapping.range.contains(&arranged.stack.sp));
    let executable_stack = stack.is_some_and(|stack| stack.prot & PROT_EXEC != 0);
    let kernels_own = |mapping: &Mapping| {
        // Where only a part of the stack was made executable, the rest is a mapping of its own.
        let beside = |stack: &Mapping| {
            mapping.range.end == stack.range.start || mapping.range.start == stack.range.end
        };
        mapping.name.starts_with(b"[v")
            || mapping.name == b"[stack]"
            || mapping.range.contains(&arranged.stack.sp)
            || stack.is_some_and(beside)
    };
    if !others.iter().all(kernels_own) {
        let form = "the loader leaves memory mapped that is in no module";
        return Err(Stage::Snapshot(RearrangeError::Form(form)));
    }
    let vdso = match &arranged.vdso {
        Some(range) if variation.vdso => VdsoFunctions::read(tracee, range),
        _ => VdsoFunctions::default(),
    };
    let search_path = match subject.c_library {
        CLibrary::Glibc => None,
        CLibrary::Musl => read_search_file(subject),
    };
    let capture = Capture {
        machine: subject.machine,
        block,
        fixed_program: arranged.fixed_program,
        groups: arranged.block.groups().to_vec(),
        stack: arranged.stack.clone(),
        program_break: variation.program_break,
        objects: std::mem::take(&mut record.objects),
        regions,
        pages,
        calls: std::mem::take(&mut record.calls),
        handoff,
        executable_stack,
        preload_hidden: record.preload_hidden,
        used_getrandom: record.used_getrandom,
        search_path,
        vdso,
        random: variation.random,
        getrandom: variation.getrandom,
        timestamp: variation.timestamp,
        thread_id: variation.thread_id,
        stack_limit: variation.stack_limit.value(),
        cpu_identity: [0; 8],
        cpu: variation.cpu,
        cpu_dictated: arranged.cpu_dictated,
    };
    Ok((capture, arranged))
}

/// What musl's loader reads to know where libraries are.
fn read_search_file(subject: &Subject) -> Option<Vec<u8>> {
    let path = Path::new("/").join(musl::search_file(&subject.interpreter));
    let found = subject.files.root().find(&path).ok()?;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(found.link()).ok()?;
    file.take(musl::LONGEST_SEARCH_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The addresses that a capture consists of: the block, and a program that is not in it.
fn memory(arranged: &Arranged, objects: &[Object]) -> Vec<Range<u64>> {
    let program = arranged.fixed_program.then(|| objects[PROGRAM].range.clone());
    program.into_iter().chain([arranged.block.range()]).collect()
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    if set.set(cpu).is_ok() {
        // A CPU that may not be had costs nothing but speed.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
