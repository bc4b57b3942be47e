//! What the starter does on a CPU that it knows nothing of, done in a captured process at its
//! hand-off: the loader's record of the CPU is made again, and every IFUNC chosen again.

use statify_elf::machine::{Cpu, Registers};
use statify_elf::{PROT_READ, PROT_WRITE};
use statify_process::Tracee;

use super::rearrange::Arranged;
use super::run::{Record, Run};
use super::run_error::RunError;
use super::snapshot::{self, Pages};
use super::variation::Variation;
use super::{Capture, Stage, Subject, memory};

/// What is to be done again. Addresses of the process.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// Words to write first.
    pub resets: Vec<(u64, u64)>,
    /// Functions to call, and the slots for what each returns.
    pub resolvers: Vec<(u64, Vec<u64>)>,
}

/// A process at its hand-off, in which more can be run.
pub struct Rehearsal<'a> {
    pub(super) tracee: &'a mut Tracee,
    pub(super) arranged: &'a mut Arranged,
    pub(super) variation: &'a Variation,
    pub(super) subject: &'a Subject,
    pub(super) handoff: u64,
}

impl Rehearsal<'_> {
    /// Does it all as on the CPU `cpu`. Returns what each resolver answered, and the pages as they
    /// are then. `None` if something goes wrong: then the output cannot do it, either.
    pub fn resolve(
        &mut self,
        capture: &Capture,
        cpu: Cpu,
        resolution: &Resolution,
    ) -> Option<(Vec<u64>, Pages)> {
        self.try_resolve(capture, cpu, resolution).ok()
    }

    fn try_resolve(
        &mut self,
        capture: &Capture,
        cpu: Cpu,
        resolution: &Resolution,
    ) -> Result<(Vec<u64>, Pages), Stage> {
        let system = |errno: nix::errno::Errno| Stage::Run(RunError::from(errno));
        let word = capture.machine.word();
        let resets = resolution.resets.iter().map(|reset| reset.0);
        self.unlock(capture, resets).map_err(system)?;
        for &(at, value) in &resolution.resets {
            self.tracee.poke_word(at, value, word).map_err(system)?;
        }
        self.arranged.cpu_sites.replace_again(self.tracee).map_err(system)?;
        let registers = self.tracee.registers().map_err(system)?;
        let code = self.tracee.set_breakpoint(self.handoff).map_err(system)?;
        let mut answers = Vec::with_capacity(resolution.resolvers.len());
        for (function, slots) in &resolution.resolvers {
            let answer = self.call(cpu, *function, None, registers).map_err(Stage::Run)?;
            for &slot in slots {
                self.tracee.poke_word(slot, answer, word).map_err(system)?;
            }
            answers.push(answer);
        }
        self.tracee.poke(self.handoff, code).map_err(system)?;
        self.tracee.set_registers(&registers).map_err(system)?;
        self.arranged.cpu_sites.put_back(self.tracee).map_err(system)?;
        let wanted = memory(self.arranged, &capture.objects);
        let taken = snapshot::take(self.tracee, &capture.objects, &wanted);
        let (_, pages, _) = taken.map_err(Stage::Snapshot)?;
        Ok((answers, pages))
    }

    /// Calls functions with one argument, one after the other. The modules that `within` are
    /// addresses of are writable meanwhile; `text` is put at `at` before. Returns the pages as they are then.
    /// `None` if something goes wrong.
    pub fn call_all(
        &mut self,
        capture: &Capture,
        within: &[u64],
        text: (u64, &[u8]),
        calls: &[(u64, u64)],
    ) -> Option<Pages> {
        self.unlock(capture, within.iter().copied()).ok()?;
        self.tracee.write(text.0, text.1).ok()?;
        self.arranged.cpu_sites.replace_again(self.tracee).ok()?;
        let registers = self.tracee.registers().ok()?;
        let word = self.tracee.set_breakpoint(self.handoff).ok()?;
        for &(function, argument) in calls {
            self.call(self.variation.cpu, function, Some(argument), registers).ok()?;
        }
        self.tracee.poke(self.handoff, word).ok()?;
        self.tracee.set_registers(&registers).ok()?;
        self.arranged.cpu_sites.put_back(self.tracee).ok()?;
        let wanted = memory(self.arranged, &capture.objects);
        let (_, pages, _) = snapshot::take(self.tracee, &capture.objects, &wanted).ok()?;
        Some(pages)
    }

    /// What a function without arguments answers while a word has another value, of which the lower half counts. The word
    /// has its own again afterwards. `None` if something goes wrong.
    pub fn answer_while(
        &mut self,
        capture: &Capture,
        (at, value): (u64, u64),
        function: u64,
    ) -> Option<u64> {
        let (own, size) = (capture.word(at)?, capture.machine.word());
        self.unlock(capture, [at].into_iter()).ok()?;
        self.tracee.poke_word(at, value, size).ok()?;
        let registers = self.tracee.registers().ok()?;
        let code = self.tracee.set_breakpoint(self.handoff).ok()?;
        let answer = self.call(self.variation.cpu, function, Some(0), registers);
        self.tracee.poke(self.handoff, code).ok()?;
        self.tracee.set_registers(&registers).ok()?;
        self.tracee.poke_word(at, own, size).ok()?;
        answer.ok().map(|answer| answer & u64::from(u32::MAX))
    }

    /// Makes writable what was made read-only of the modules that these addresses are in.
    fn unlock(
        &mut self,
        capture: &Capture,
        addresses: impl Iterator<Item = u64>,
    ) -> nix::Result<()> {
        let both = u64::from(PROT_READ | PROT_WRITE);
        for region in capture.locked_regions(addresses) {
            let range = &region.range;
            let args = [range.start, range.end - range.start, both, 0, 0, 0];
            self.tracee.call(self.arranged.syscall_at, libc::SYS_mprotect, args)?;
        }
        Ok(())
    }

    /// Calls a function with one argument, or a resolver, with `regs` otherwise. A breakpoint at the hand-off, to
    /// which it returns, is set.
    fn call(
        &mut self,
        cpu: Cpu,
        function: u64,
        argument: Option<u64>,
        mut regs: Registers,
    ) -> Result<u64, RunError> {
        let (at, written) = regs.prepare_function(function, argument, self.handoff, cpu);
        self.tracee.write(at, &written)?;
        self.tracee.set_registers(&regs)?;
        let variation = Variation { cpu, ..self.variation.clone() };
        let mut record = Record::default();
        let (block, cpu_sites) = (&mut self.arranged.block, &mut self.arranged.cpu_sites);
        let tracee = &mut *self.tracee;
        let mut run = Run {
            tracee,
            variation: &variation,
            block,
            cpu_sites,
            record: &mut record,
            subject: self.subject,
            foreign: true,
        };
        run.run_to_breakpoint()?;
        let regs = self.tracee.registers()?;
        if regs.breakpoint() != self.handoff {
            return Err(RunError::Loader);
        }
        Ok(regs.result())
    }
}
