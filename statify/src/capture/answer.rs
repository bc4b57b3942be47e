//! The loader's system calls: recorded or answered, and everything that a loader does not do refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use statify_elf::machine::{Registers, numbers};

use super::block::PROGRAM;
use super::filter;
use super::observe::read_string;
use super::run::{KernelCall, Run};
use super::run_error::RunError;

/// Overrides what the machine's administrator preloads into every program.
const PRELOAD_FILE: &str = "/etc/ld.so.preload";
/// By it the administrator lets privileged programs be debugged; what is captured does not ask.
const DEBUG_FILE: &str = "/etc/suid-debug";
/// Where the loader asks for the program's directory ($ORIGIN).
const OWN_FILE: &str = "/proc/self/exe";

/// What becomes of a call.
enum Answer {
    /// The kernel makes it.
    Kernel,
    /// It is not made, and has this result.
    Result(i64),
}

impl Answer {
    fn error(errno: i32) -> Self {
        Self::Result(-i64::from(errno))
    }
}

impl Run<'_> {
    /// A system call that the filter does not simply allow.
    pub fn call(&mut self, mut regs: Registers) -> Result<(), RunError> {
        let (number, args) = regs.call();
        self.cpu_sites.replace_pending(self.tracee);
        if self.foreign && names_file(number) {
            return Err(RunError::Behaviour(LOOKS_AT_FILE.into()));
        }
        if number == numbers::SYS_mmap {
            return self.mmap(regs, args);
        }
        let answer = match names_file(number) {
            true => self.answer_about_file(number, args)?,
            false => self.answer(number, args)?,
        };
        if let Answer::Result(result) = answer {
            regs.skip_call(result);
            self.tracee.set_registers(&regs)?;
        }
        Ok(())
    }

    /// Calls that name a file.
    fn answer_about_file(&mut self, number: i64, args: [u64; 6]) -> Result<Answer, RunError> {
        match number {
            numbers::SYS_open if !filter::writes(args[1]) => self.note_open(args[0])?,
            numbers::SYS_openat if !filter::writes(args[2]) => self.note_open(args[1])?,
            numbers::SYS_stat
            | numbers::SYS_lstat
            | numbers::SYS_newfstatat
            | numbers::SYS_statx
            | numbers::SYS_getcwd => {}
            numbers::SYS_access => return Ok(self.answer_access(args[0])),
            numbers::SYS_faccessat | numbers::SYS_faccessat2 => {
                return Ok(self.answer_access(args[1]));
            }
            numbers::SYS_readlink => return self.answer_link(args[0], args[1], args[2]),
            numbers::SYS_readlinkat => return self.answer_link(args[1], args[2], args[3]),
            _ => return Err(refused(number)),
        }
        Ok(Answer::Kernel)
    }

    /// access(2): the administrator's two files are hidden.
    fn answer_access(&mut self, path: u64) -> Answer {
        if self.is_path(path, DEBUG_FILE) {
            return Answer::error(libc::ENOENT);
        }
        if !self.is_path(path, PRELOAD_FILE) {
            return Answer::Kernel;
        }
        self.record.preload_hidden = self.subject.files.root().has(Path::new(PRELOAD_FILE));
        Answer::error(libc::ENOENT)
    }

    /// readlink(2): as if /proc were there in every root.
    fn answer_link(&mut self, path: u64, to: u64, len: u64) -> Result<Answer, RunError> {
        if !self.is_path(path, OWN_FILE) {
            return Ok(Answer::Kernel);
        }
        let own = self.record.objects.get(PROGRAM).map(|program| program.path.as_os_str());
        let own = own.unwrap_or_default().as_bytes();
        let own = &own[..own.len().min(len as usize)];
        self.tracee.write(to, own)?;
        Ok(Answer::Result(own.len() as i64))
    }

    /// Calls that name none.
    fn answer(&mut self, number: i64, args: [u64; 6]) -> Result<Answer, RunError> {
        let machine = self.subject.machine;
        // As the machine itself numbers it.
        let own = machine.call_number(number).unwrap_or(-1);
        let result = match number {
            // Under AT_SECURE: whether the standard descriptors are open. They are.
            numbers::SYS_fcntl if args[1] == libc::F_GETFD as u64 => return Ok(Answer::Kernel),
            // Messages; they are read when the process is gone.
            numbers::SYS_write | numbers::SYS_writev if args[0] == 2 => return Ok(Answer::Kernel),
            _ if machine.sets_thread_pointer(own, &args) => {
                let told = machine.thread_pointer_call(args, |at| {
                    let mut bytes = [0; 16];
                    self.tracee.read(at, &mut bytes).ok().map(|()| bytes)
                });
                self.record_call(number, &told.ok_or_else(|| refused(number))?);
                self.foreign |= self.subject.c_library.runs_resolvers();
                return Ok(Answer::Kernel);
            }
            // Another one at each start; in a namespace of its own always the same.
            numbers::SYS_getpid | numbers::SYS_gettid => i64::from(self.variation.thread_id),
            // Only asked for: the loader has memory of its own.
            numbers::SYS_brk if args[0] == 0 => self.variation.program_break as i64,
            // No more of it to be had: what is needed goes into the block.
            numbers::SYS_brk if self.subject.c_library.allocates_at_break() => {
                self.variation.program_break as i64
            }
            // Only advice.
            numbers::SYS_madvise => 0,
            // Shadow stacks and the like are for the output's process to decide.
            _ if machine.is_own_call(own) => return Ok(Answer::error(libc::EINVAL)),
            numbers::SYS_set_tid_address => {
                self.record_call(number, &args[..1]);
                // Where no call tells of the thread's memory, this one comes next (glibc from 2.34 on).
                self.foreign |= self.subject.c_library.runs_resolvers();
                i64::from(self.variation.thread_id)
            }
            numbers::SYS_set_robust_list => {
                self.record_call(number, &args[..2]);
                0
            }
            // Not made, so that the area stays as the C library initialises it.
            numbers::SYS_rseq => {
                self.record_call(number, &args[..4]);
                0
            }
            numbers::SYS_getrlimit => {
                return self.answer_limit(args[0], args[1], machine.word() as usize);
            }
            numbers::SYS_prlimit64 if args[2] == 0 => {
                return self.answer_limit(args[1], args[3], 8);
            }
            numbers::SYS_getrandom => {
                let bytes = self.variation.getrandom.iter().copied().cycle();
                let bytes: Vec<u8> = bytes.take(args[1].min(256) as usize).collect();
                self.tracee.write(args[0], &bytes)?;
                self.record.used_getrandom = true;
                bytes.len() as i64
            }
            // Newer than what the capture wants: as on an older kernel.
            NEWER.. if own >= NEWER => return Ok(Answer::error(libc::ENOSYS)),
            _ => return Err(refused(number)),
        };
        Ok(Answer::Result(result))
    }

    /// getrlimit(2): the stack's is the variation's. A limit has `size` bytes.
    fn answer_limit(&mut self, resource: u64, to: u64, size: usize) -> Result<Answer, RunError> {
        if resource != u64::from(libc::RLIMIT_STACK) {
            return Ok(Answer::Kernel);
        }
        let limits = [self.variation.stack_limit.value(), libc::RLIM_INFINITY];
        let limits = limits.map(|limit| limit.min(u64::MAX >> (64 - 8 * size)).to_le_bytes());
        let limits: Vec<u8> = limits.iter().flat_map(|limit| &limit[..size]).copied().collect();
        self.tracee.write(to, &limits)?;
        Ok(Answer::Result(0))
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
            numbers::SYS_access => self.is_path(args[0], PRELOAD_FILE),
            numbers::SYS_faccessat | numbers::SYS_faccessat2 => self.is_path(args[1], PRELOAD_FILE),
            _ => false,
        }
    }

    /// Whether a path of the process's is this one.
    fn is_path(&self, address: u64, expected: &str) -> bool {
        let mut path = vec![0; expected.len() + 1];
        self.tracee.read(address, &mut path).is_ok()
            && path.strip_suffix(b"\0") == Some(expected.as_bytes())
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
        numbers::SYS_open
            | numbers::SYS_openat
            | numbers::SYS_stat
            | numbers::SYS_lstat
            | numbers::SYS_newfstatat
            | numbers::SYS_statx
            | numbers::SYS_access
            | numbers::SYS_faccessat
            | numbers::SYS_faccessat2
            | numbers::SYS_readlink
            | numbers::SYS_readlinkat
            | numbers::SYS_getcwd
    )
}

/// A call that no loader makes.
pub fn refused(number: i64) -> RunError {
    RunError::Behaviour(format!("make system call {number}"))
}
