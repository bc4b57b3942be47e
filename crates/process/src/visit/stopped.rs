//! A thread of another process that is stopped, and makes a call with registers that are not its own.

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use statify_elf::machine::Registers;

use super::raw::{self, Stop, Until};
use super::refused::Refused;
use super::threads::Process;
use super::{restart, sequence, site};

/// As long is waited until it stops.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it has: first, and in the end.
const GLANCES: [Duration; 2] = [Duration::from_micros(20), Duration::from_millis(5)];
/// So often signals may come between.
const ATTEMPTS: u32 = 1000;

/// A thread that is traced, and halted unless a method says otherwise.
pub struct Stopped<'a> {
    tid: i32,
    process: &'a Process,
    is_halted: bool,
}

impl<'a> Stopped<'a> {
    /// Stops a thread of a process.
    pub fn new(tid: i32, process: &'a Process) -> Result<Self, Refused> {
        raw::seize(tid).map_err(|errno| match errno {
            Errno::ESRCH => Refused::Gone,
            errno => Refused::Denied(errno),
        })?;
        // The number is kept from others now; that it was of this process still is what the handle tells.
        let mut stopped = Self { tid, process, is_halted: false };
        if !process.has_thread(tid) {
            return Err(Refused::Gone);
        }
        stopped.halt(Some(PATIENCE))?;
        Ok(stopped)
    }

    /// Makes a call. Afterwards it is halted again, and its registers are its own.
    pub fn call(&mut self, process: &Process, number: i64, args: [u64; 6]) -> Result<i64, Refused> {
        if !self.registers()?.is_native() {
            return Err(Refused::OtherMachine);
        }
        if raw::is_dispatched(self.tid) {
            return Err(Refused::Dispatched);
        }
        for _ in 0..ATTEMPTS {
            let registers = self.registers()?;
            let site = site::find(process, &registers)?;
            let back = self.going_on(&registers)?;
            if let Some(result) = self.attempt(site, number, args, &back)? {
                return Ok(result);
            }
        }
        Err(Refused::Signals)
    }

    /// Lets it go.
    pub fn leave(self) {
        if self.is_halted {
            let _ = raw::detach(self.tid);
        }
        // What does not halt is set free by the end of this thread.
    }

    /// One attempt at a call, after which the registers are `back`; `None` if a signal comes first.
    fn attempt(
        &mut self,
        site: u64,
        number: i64,
        args: [u64; 6],
        back: &Registers,
    ) -> Result<Option<i64>, Refused> {
        let mut regs = *back;
        regs.prepare_call(site, number, args);
        self.set_registers(&regs)?;
        let begun = self.run(Until::Call, 0).and_then(|()| self.wait(Some(PATIENCE)));
        match begun {
            Ok(Stop::Call) => {}
            Ok(Stop::Halt) => {
                self.set_registers(back)?;
                return Ok(None);
            }
            Ok(Stop::Signal(signal)) => {
                let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP];
                let is_own = faults.contains(&signal) && raw::is_fault(self.tid);
                self.set_registers(back)?;
                self.ask()?;
                self.run(Until::Signal, if is_own { 0 } else { signal })?;
                self.halted(Some(PATIENCE))?;
                return if is_own { Err(Refused::NoInstruction) } else { Ok(None) };
            }
            Err(refused) => {
                // It was let run and did not get anywhere: the registers are put back when it halts.
                self.halt(Some(PATIENCE))?;
                self.set_registers(back)?;
                return Err(refused);
            }
        }
        // Within the call nothing else happens; it takes as long as it takes.
        self.run(Until::Call, 0)?;
        let ended = self.wait(None)?;
        let result = self.registers()?.result() as i64;
        self.set_registers(back)?;
        if ended != Stop::Call {
            return Err(Refused::Failed(Errno::EPROTO));
        }
        // By a halt on its way out, the kernel looks at the registers once more, and restarts what they say.
        self.halt_from_stop()?;
        // KSM gives pages back only as long as no signal waits (unmerge_ksm_pages()): that comes first then.
        Ok((!restart::is_to_be_made_again(result)).then_some(result))
    }

    /// The registers with which it goes on after having been stopped with these.
    fn going_on(&self, registers: &Registers) -> Result<Registers, Refused> {
        let mut on = restart::going_on(registers);
        if registers.call_site().is_some() {
            return Ok(on);
        }
        let Some(area) = raw::sequence_area(self.tid).filter(|area| area.address != 0) else {
            return Ok(on);
        };
        let memory = self.process.file("mem")?;
        let mut pointer = [0; 8];
        let mut description = [0; sequence::LEN];
        let is_read = memory.read_exact_at(&mut pointer, area.address + sequence::POINTER).is_ok();
        let pointer = u64::from_le_bytes(pointer);
        if is_read && pointer != 0 && memory.read_exact_at(&mut description, pointer).is_ok() {
            on.go_to(sequence::goes_on_at(&description, on.instruction_pointer()));
        }
        Ok(on)
    }

    /// Has it halt wherever it is.
    fn halt(&mut self, patience: Option<Duration>) -> Result<(), Refused> {
        self.ask()?;
        self.halted(patience)
    }

    /// Has it halt again before it returns to its code.
    fn halt_from_stop(&mut self) -> Result<(), Refused> {
        self.ask()?;
        self.run(Until::Signal, 0)?;
        self.halted(Some(PATIENCE))
    }

    /// Waits until it halts; signals that come first are delivered.
    fn halted(&mut self, patience: Option<Duration>) -> Result<(), Refused> {
        loop {
            match self.wait(patience)? {
                Stop::Halt => return Ok(()),
                Stop::Signal(signal) => self.run(Until::Signal, signal)?,
                Stop::Call => self.run(Until::Signal, 0)?,
            }
        }
    }

    fn wait(&mut self, patience: Option<Duration>) -> Result<Stop, Refused> {
        let begun = Instant::now();
        let [mut glance, longest] = GLANCES;
        loop {
            if let Some(stop) = raw::stop(self.tid).map_err(failed)? {
                self.is_halted = true;
                return Ok(stop);
            }
            let waited = begun.elapsed();
            if let Some(patience) = patience.filter(|patience| waited > *patience) {
                return Err(Refused::Busy(patience.as_secs()));
            }
            if glance >= longest && !self.process.has_thread(self.tid) {
                return Err(Refused::Gone);
            }
            std::thread::sleep(glance);
            glance = (glance * 2).min(longest);
        }
    }

    fn ask(&self) -> Result<(), Refused> {
        raw::interrupt(self.tid).map_err(failed)
    }

    fn run(&mut self, until: Until, signal: i32) -> Result<(), Refused> {
        self.is_halted = false;
        raw::resume(self.tid, until, signal).map_err(failed)
    }

    fn registers(&self) -> Result<Registers, Refused> {
        raw::registers(self.tid).map_err(failed)
    }

    fn set_registers(&self, registers: &Registers) -> Result<(), Refused> {
        raw::set_registers(self.tid, registers).map_err(failed)
    }
}

fn failed(errno: Errno) -> Refused {
    match errno {
        Errno::ESRCH | Errno::ECHILD => Refused::Gone,
        errno => Refused::Failed(errno),
    }
}
