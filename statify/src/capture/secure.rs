//! What AT_SECURE changes: two [short runs](super::short_run), one without and one with it, nothing else varied. What else
//! depends on AT_SECURE is its search path, and that only where it says `$ORIGIN`.

use super::short_run::{LoaderMemory, loader_memory};
use super::variation::{self, Mode};
use super::{Failure, Subject, pin};

/// The loader's memory without and with AT_SECURE: the same addresses, as in the first capture.
#[derive(Debug)]
pub struct Secure {
    /// Without it.
    pub without: LoaderMemory,
    /// With it.
    pub with: LoaderMemory,
    /// The loader's function that reads the C library's variables; see [`super::tunables`].
    pub read_tunables: Option<u64>,
}

/// Runs both on the CPU `cpu`. `None` if the loader does not ask, or if it differs in more than data.
pub fn capture(subject: &Subject, mode: Mode, cpu: usize) -> Result<Option<Secure>, Failure> {
    if subject.c_library.heeds_secure_itself() {
        return Ok(None);
    }
    pin(cpu);
    let memory = |secure| loader_memory(subject, &variation::secure(mode, secure));
    let (Some(without), Some(with)) = (memory(false)?, memory(true)?) else { return Ok(None) };
    let same = without.start == with.start && without.bytes.len() == with.bytes.len();
    let read_tunables = without.read_tunables;
    Ok(same.then_some(Secure { without, with, read_tunables }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Range;
    use std::time::Duration;

    use statify_elf::c_library::CLibrary;
    use statify_elf::machine::{Cpu, Machine};

    use super::*;
    use crate::capture::{Capture, Files, capture as capture_all};

    /// The oracle for stopping early: of a whole run to the hand-off, AT_SECURE changes these words
    /// and no others.
    #[test]
    fn nothing_else_depends_on_it_up_to_the_hand_off() {
        let program = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&program).unwrap();
        let elf = statify_elf::ElfFile::parse(&bytes).unwrap();
        let interpreter = elf.interpreter().unwrap().unwrap();
        let interpreter = String::from_utf8(interpreter.to_vec()).unwrap().into();
        let timeout = Duration::from_secs(60);
        let c_library = CLibrary::Glibc;
        let subject = Subject {
            program,
            interpreter,
            c_library,
            machine: Machine::HOST,
            is_privileged: false,
            timeout,
            memory: None,
            files: Files::default(),
            sandbox: None,
            reader: None,
        };
        let cpu = Cpu::floors()[0];
        let machine = Machine::HOST;
        let mode = Mode { machine, fixed: false, apart: false, bind_now: true, cpu, agent: false };
        let early = capture(&subject, mode, 0).map_err(|failure| failure.error).unwrap().unwrap();
        let whole = [false, true].map(|secure| {
            let variation = variation::secure(mode, secure);
            capture_all(&subject, &variation, 0).map_err(|failure| failure.error).unwrap()
        });
        // The initial stack lies elsewhere each time; the arguments' and the variables' strings are
        // above its pointer.
        let stacks = whole
            .each_ref()
            .map(|capture| capture.stack.sp - (1 << 16)..capture.stack.sp + (1 << 16));
        let mut late = BTreeSet::new();
        for address in whole.iter().flat_map(|capture| capture.pages.addresses()) {
            for offset in (0..statify_elf::PAGE).step_by(8) {
                let [a, b] = whole.each_ref().map(|capture| word(capture, address + offset));
                if a != b && !(stacks[0].contains(&a) && stacks[1].contains(&b)) {
                    late.insert(address + offset);
                }
            }
        }
        let words = early.without.bytes.chunks(8).zip(early.with.bytes.chunks(8)).enumerate();
        let differing = words.filter(|(_, (a, b))| {
            let in_stack = |bytes: &[u8], stack: &Range<u64>| {
                stack.contains(&u64::from_le_bytes(bytes.try_into().unwrap()))
            };
            a != b && !(in_stack(a, &early.without.stack) && in_stack(b, &early.with.stack))
        });
        let differing: BTreeSet<u64> =
            differing.map(|(index, _)| early.without.start + 8 * index as u64).collect();
        assert!(!differing.is_empty());
        assert_eq!(differing, late);
    }

    fn word(capture: &Capture, address: u64) -> u64 {
        let page = address & !(statify_elf::PAGE - 1);
        let from = (address - page) as usize;
        let bytes = capture.pages.get(page).map(|page| page[from..from + 8].to_vec());
        u64::from_le_bytes(bytes.unwrap_or_default().try_into().unwrap_or_default())
    }
}
