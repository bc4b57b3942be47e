//! From the loader's first instruction to the hand-off: addresses dictated, calls recorded or
//! answered, everything a loader does not do refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::Signal;
use statify_elf::ElfFile;
use statify_elf::machine::{Answers, CPUID, LONGEST_TRAP, Registers};
use statify_process::{Stop, Tracee};

use super::block::{Block, Object, Role};
use super::cpuid::Cpuids;
use super::observe::read_string;
use super::rearrange::Arranged;
use super::run_error::RunError;
use super::variation::Variation;
use super::{Subject, filter, handoff};

/// Overrides what the machine's administrator preloads into every program.
const PRELOAD_FILE: &str = "/etc/ld.so.preload";
/// By it the administrator lets privileged programs be debugged; what is captured does not ask.
const DEBUG_FILE: &str = "/etc/suid-debug";
/// Where the loader asks for the program's directory ($ORIGIN).
const OWN_FILE: &str = "/proc/self/exe";
/// No mapping of a loader's is larger: 16 TiB, an eighth of the address space.
const MOST_MAPPED: u64 = 1 << 44;
/// mmap(2), Linux 4.17; a hint to older kernels, and the hint is free.
const MAP_FIXED_NOREPLACE: u64 = 0x0010_0000;

/// A call that the kernel must see again in the output's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelCall {
    /// Its number.
    pub number: i64,
    /// Its arguments; those behind the last that it has are 0.
    pub args: [u64; 4],
}

/// What happened up to the hand-off.
#[derive(Debug, Default)]
pub struct Record {
    /// In the order they were made.
    pub calls: Vec<KernelCall>,
    /// What else was mapped from files.
    pub objects: Vec<Object>,
    /// /etc/ld.so.preload exists and was hidden.
    pub preload_hidden: bool,
    /// getrandom(2) was called.
    pub used_getrandom: bool,
}

/// Runs the process to the hand-off and leaves it there. Returns the hand-off's address; `record`
/// is filled as far as it came.
pub fn run_to_handoff(
    tracee: &mut Tracee,
    arranged: &mut Arranged,
    variation: &Variation,
    record: &mut Record,
    subject: &Subject,
) -> Result<u64, RunError> {
    let loader = &record.objects[1];
    let handoff = handoff::find(tracee, arranged, loader, subject)?;
    let saved = tracee.set_breakpoint(handoff)?;
    let (block, cpuids) = (&mut arranged.block, &mut arranged.cpuids);
    let mut run = Run { tracee, variation, block, cpuids, record, subject, foreign: false };
    let arrived = run.run_to_breakpoint();
    arrived.map_err(|error| run.say_whose(error))?;
    let mut regs = tracee.registers()?;
    if regs.breakpoint() != handoff || regs.stack_pointer() != arranged.stack.sp {
        return Err(RunError::Behaviour(format!(
            "stop at {:#x} on its own",
            regs.instruction_pointer()
        )));
    }
    tracee.poke(handoff, saved)?;
    regs.go_to(handoff);
    tracee.set_registers(&regs)?;
    Ok(handoff)
}

/// A process that runs.
pub struct Run<'a> {
    /// It.
    pub tracee: &'a mut Tracee,
    /// What it is told.
    pub variation: &'a Variation,
    /// Where its mappings go.
    pub block: &'a mut Block,
    /// The CPUIDs in its code.
    pub cpuids: &'a mut Cpuids,
    /// What it does.
    pub record: &'a mut Record,
    /// What is captured.
    pub subject: &'a Subject,
    /// Code of others than the loader may run from now on: IFUNC resolvers. No file is named any more.
    pub foreign: bool,
}

impl Run<'_> {
    /// Runs to the next breakpoint, with all that happens on the way.
    pub fn run_to_breakpoint(&mut self) -> Result<(), RunError> {
        let mut signal = None;
        loop {
            self.tracee.resume(signal.take())?;
            match self.tracee.wait()? {
                Stop::Call(regs) => self.call(*regs)?,
                Stop::Trap => return Ok(()),
                Stop::Signal(Signal::SIGSEGV | Signal::SIGILL) if self.emulate()? => {}
                // Nothing handles these. They would not end process 1 of a namespace.
                Stop::Signal(
                    fault @ (Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE),
                ) => return Err(RunError::Killed(fault)),
                Stop::Signal(other) => signal = Some(other),
                Stop::Event(_) => {
                    return Err(RunError::Behaviour("start another process or program".into()));
                }
                Stop::Exited(status) => return Err(RunError::Exited(status)),
                Stop::Killed(signal) => return Err(RunError::Killed(signal)),
            }
        }
    }

    /// Adds whose code it is that did what no loader does: the module of the instruction, and
    /// the first other one, but for the loader, that the words on the stack lead back to.
    fn say_whose(&mut self, error: RunError) -> RunError {
        const WORDS: u64 = 512;
        let RunError::Behaviour(what) = error else {
            return error;
        };
        let Ok(regs) = self.tracee.registers() else {
            return RunError::Behaviour(what);
        };
        let objects = &self.record.objects;
        let module = |address: u64| objects.iter().position(|o| o.range.contains(&address));
        let inner = module(regs.instruction_pointer());
        let mut words = (0..WORDS).map_while(|word| {
            let mut bytes = [0; 8];
            self.tracee.read(regs.stack_pointer().checked_add(8 * word)?, &mut bytes).ok()?;
            Some(u64::from_le_bytes(bytes))
        });
        // The loader is the second of them.
        let caller = words.find_map(|word| module(word).filter(|&m| m > 1 && Some(m) != inner));
        let name = |index: usize| objects[index].path.display();
        RunError::Behaviour(match (inner, caller) {
            (Some(inner), Some(caller)) => {
                format!("{what} (in {}, called from {})", name(inner), name(caller))
            }
            (Some(module), None) | (None, Some(module)) => format!("{what} (in {})", name(module)),
            (None, None) => what,
        })
    }

    /// Reads the instruction that it stopped at, and does it if it is one that traps.
    pub fn emulate(&mut self) -> Result<bool, RunError> {
        let mut regs = self.tracee.registers()?;
        let mut instruction = [0; LONGEST_TRAP];
        if self.cpuids.has(regs.instruction_pointer()) {
            instruction[..CPUID.len()].copy_from_slice(&CPUID);
        } else if self.tracee.read(regs.instruction_pointer(), &mut instruction).is_err() {
            return Ok(false);
        }
        let answers = Answers { timestamp: self.variation.timestamp, cpu: self.variation.cpu };
        let emulated = regs.emulate(instruction, &answers);
        if emulated {
            self.tracee.set_registers(&regs)?;
        }
        Ok(emulated)
    }

    /// A system call that the filter does not simply allow.
    pub fn call(&mut self, mut regs: Registers) -> Result<(), RunError> {
        let (number, args) = regs.call();
        self.cpuids.replace_pending(self.tracee);
        if self.foreign && names_file(number) {
            return Err(RunError::Behaviour(LOOKS_AT_FILE.into()));
        }
        match number {
            libc::SYS_mmap => return self.mmap(regs, args),
            libc::SYS_open if !filter::writes(args[1]) => return self.note_open(args[0]),
            libc::SYS_openat if !filter::writes(args[2]) => return self.note_open(args[1]),
            libc::SYS_stat
            | libc::SYS_lstat
            | libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_getcwd => return Ok(()),
            // Under AT_SECURE: whether the standard descriptors are open. They are.
            libc::SYS_fcntl if args[1] == libc::F_GETFD as u64 => return Ok(()),
            // Messages; they are read when the process is gone.
            libc::SYS_write | libc::SYS_writev if args[0] == 2 => return Ok(()),
            libc::SYS_access | libc::SYS_faccessat | libc::SYS_faccessat2 => {
                let path = args[usize::from(number != libc::SYS_access)];
                if self.is_path(path, DEBUG_FILE) {
                    regs.skip_call(-i64::from(libc::ENOENT));
                    return Ok(self.tracee.set_registers(&regs)?);
                }
                if !self.is_path(path, PRELOAD_FILE) {
                    return Ok(());
                }
                self.record.preload_hidden = self.subject.files.root().has(Path::new(PRELOAD_FILE));
                regs.skip_call(-i64::from(libc::ENOENT));
            }
            // As if /proc were there in every root.
            libc::SYS_readlink | libc::SYS_readlinkat => {
                let [path, to, len] = match number {
                    libc::SYS_readlink => [args[0], args[1], args[2]],
                    _ => [args[1], args[2], args[3]],
                };
                if !self.is_path(path, OWN_FILE) {
                    return Ok(());
                }
                let own = self.record.objects.first().map(|program| program.path.as_os_str());
                let own = own.unwrap_or_default().as_bytes();
                let own = &own[..own.len().min(len as usize)];
                self.tracee.write(to, own)?;
                regs.skip_call(own.len() as i64);
            }
            // Another one at each start; in a namespace of its own always the same.
            libc::SYS_getpid | libc::SYS_gettid => {
                regs.skip_call(i64::from(self.variation.thread_id));
            }
            // Only asked for: the loader has memory of its own.
            libc::SYS_brk if args[0] == 0 => {
                regs.skip_call(self.variation.program_break as i64);
            }
            // No more of it to be had: what is needed goes into the block.
            libc::SYS_brk if self.subject.c_library.allocates_at_break() => {
                regs.skip_call(self.variation.program_break as i64);
            }
            // Only advice.
            libc::SYS_madvise => regs.skip_call(0),
            _ if self.subject.machine.sets_thread_pointer(number, &args) => {
                self.record_call(number, &args[..2]);
                self.foreign |= self.subject.c_library.runs_resolvers();
                return Ok(());
            }
            // Shadow stacks and the like are for the output's process to decide.
            _ if self.subject.machine.is_own_call(number) => {
                regs.skip_call(-i64::from(libc::EINVAL));
            }
            libc::SYS_set_tid_address => {
                self.record_call(number, &args[..1]);
                regs.skip_call(i64::from(self.variation.thread_id));
            }
            libc::SYS_set_robust_list => {
                self.record_call(number, &args[..2]);
                regs.skip_call(0);
            }
            // Not made, so that the area stays as the C library initialises it.
            libc::SYS_rseq => {
                self.record_call(number, &args[..4]);
                regs.skip_call(0);
            }
            libc::SYS_prlimit64 | libc::SYS_getrlimit => {
                let (resource, to) = if number == libc::SYS_getrlimit {
                    (args[0], args[1])
                } else {
                    if args[2] != 0 {
                        return Err(refused(number));
                    }
                    (args[1], args[3])
                };
                if resource != u64::from(libc::RLIMIT_STACK) {
                    return Ok(());
                }
                let limits = [self.variation.stack_limit.value(), libc::RLIM_INFINITY];
                self.tracee.write(to, limits.map(u64::to_le_bytes).as_flattened())?;
                regs.skip_call(0);
            }
            libc::SYS_getrandom => {
                let len = args[1].min(256);
                let bytes: Vec<u8> =
                    self.variation.getrandom.iter().copied().cycle().take(len as usize).collect();
                self.tracee.write(args[0], &bytes)?;
                self.record.used_getrandom = true;
                regs.skip_call(len as i64);
            }
            // Newer than what the capture wants: as on an older kernel.
            NEWER.. => regs.skip_call(-i64::from(libc::ENOSYS)),
            _ => return Err(refused(number)),
        }
        Ok(self.tracee.set_registers(&regs)?)
    }

    /// Remembers what the loader asks for, whether it is there or not.
    fn note_open(&mut self, path: u64) -> Result<(), RunError> {
        if !self.subject.is_privileged {
            return Ok(());
        }
        let path = read_string(self.tracee.pid(), path);
        let path = path.ok_or_else(|| RunError::Behaviour("open a file without a name".into()))?;
        self.subject.files.note_asked(OsStr::from_bytes(&path).into());
        Ok(())
    }

    fn record_call(&mut self, number: i64, args: &[u64]) {
        let mut kept = [0; 4];
        kept[..args.len()].copy_from_slice(args);
        self.record.calls.push(KernelCall { number, args: kept });
    }

    /// Whether the call about to be made asks for the file of preloaded libraries, which the loader
    /// does once, after its variables and before the first library.
    pub fn asks_for_preload_file(&self, regs: &Registers) -> bool {
        let (number, args) = regs.call();
        match number {
            libc::SYS_access => self.is_path(args[0], PRELOAD_FILE),
            libc::SYS_faccessat | libc::SYS_faccessat2 => self.is_path(args[1], PRELOAD_FILE),
            _ => false,
        }
    }

    /// Whether a path of the process's is this one.
    fn is_path(&self, address: u64, expected: &str) -> bool {
        let mut path = vec![0; expected.len() + 1];
        self.tracee.read(address, &mut path).is_ok()
            && path.strip_suffix(b"\0") == Some(expected.as_bytes())
    }

    fn mmap(&mut self, mut regs: Registers, mut args: [u64; 6]) -> Result<(), RunError> {
        let [address, len, prot, flags, fd, _] = args;
        let range = address..address.saturating_add(len);
        if flags & libc::MAP_PRIVATE as u64 == 0 {
            return Err(RunError::Behaviour("map shared memory".into()));
        }
        if len > MOST_MAPPED {
            return Err(RunError::Behaviour(format!("map {len} bytes")));
        }
        if flags & libc::MAP_FIXED as u64 != 0 {
            if !self.block.contains(&range) {
                return Err(RunError::Behaviour(format!("map memory at {address:#x}")));
            }
            // A file that needs more than a page's alignment comes into room reserved before.
            let known = self.record.objects.iter().any(|object| object.range.contains(&address));
            if flags & libc::MAP_ANONYMOUS as u64 == 0 && !known {
                self.record_file(fd, address).map_err(RunError::Io)?;
            }
            return Ok(());
        }
        let anonymous = flags & libc::MAP_ANONYMOUS as u64 != 0;
        args[0] = if anonymous && prot != libc::PROT_NONE as u64 {
            self.block.place_anonymous(len)
        } else if anonymous {
            self.block.reserve_library(len)
        } else {
            self.place_file(fd, len).map_err(RunError::Io)?
        };
        args[3] = flags | MAP_FIXED_NOREPLACE;
        regs.set_arguments(args);
        Ok(self.tracee.set_registers(&regs)?)
    }

    /// Room for a file that is mapped for the first time: an ELF file is a new module, any other
    /// (ld.so.cache) is only read.
    fn place_file(&mut self, fd: u64, len: u64) -> std::io::Result<u64> {
        let mut object = self.open(fd)?;
        let bytes = object.bytes.clone();
        let elf = ElfFile::parse(&bytes).ok();
        let Some((elf, span)) = elf.and_then(|elf| Some((elf.clone(), elf.span()?))) else {
            return Ok(self.block.place_scratch(len));
        };
        let key = || self.subject.files.content_key(&object, &elf);
        let bias = self.block.place_object(&elf, &span, Role::Library, key);
        let bias = bias.ok_or(std::io::ErrorKind::OutOfMemory)?;
        object.range = bias.wrapping_add(span.start)..bias.wrapping_add(span.end);
        let start = object.range.start;
        self.note(object);
        Ok(start)
    }

    /// Remembers a file that is mapped at `at`, in room that was reserved before.
    fn record_file(&mut self, fd: u64, at: u64) -> std::io::Result<()> {
        let mut object = self.open(fd)?;
        if let Some(span) = ElfFile::parse(&object.bytes).ok().and_then(|elf| elf.span()) {
            object.range = at..at + (span.end - span.start);
            self.note(object);
        }
        Ok(())
    }

    /// A module is about to be mapped, all of it before the next call that the tracer sees.
    fn note(&mut self, object: Object) {
        self.cpuids.expect(&self.subject.files, &object);
        self.record.objects.push(object);
    }

    /// The file behind a descriptor of the process.
    fn open(&self, fd: u64) -> std::io::Result<Object> {
        self.subject.files.of_process(self.tracee.pid(), &format!("fd/{}", fd as i32))
    }
}

/// The first of the numbers that all architectures share; those calls are from Linux 5.1 on.
pub const NEWER: i64 = 424;

/// What no loader does who has all its files.
pub const LOOKS_AT_FILE: &str = "open or look for a file when all libraries are loaded";

/// Whether a call has a path among its arguments, or answers one. The loader makes such calls until it has mapped
/// everything. Only then it makes the thread's memory and tells the kernel where that is (arch_prctl(2)), and only
/// then, since they may use it, do resolvers run.
pub fn names_file(number: i64) -> bool {
    matches!(
        number,
        libc::SYS_open
            | libc::SYS_openat
            | libc::SYS_stat
            | libc::SYS_lstat
            | libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_access
            | libc::SYS_faccessat
            | libc::SYS_faccessat2
            | libc::SYS_readlink
            | libc::SYS_readlinkat
            | libc::SYS_getcwd
    )
}

/// A call that no loader makes.
pub fn refused(number: i64) -> RunError {
    RunError::Behaviour(format!("make system call {number}"))
}
