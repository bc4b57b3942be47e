//! On which CPUs the program is captured: first on the least that the output is for, then on as many others as it takes to
//! tell what depends on the CPU (`classify/cpu.rs` tells it).

use statify_elf::machine::Cpu;

use crate::capture::variation::{self, Mode};
use crate::capture::{self, Capture, Failure, Subject};
use crate::classify::cpu::{self as choices, CpuChoices};

/// Captures `subject` on the CPU that `mode` says, run on the CPU number `number`.
pub fn capture(
    subject: &Subject,
    mode: Mode,
    number: usize,
) -> Result<(Capture, CpuChoices), Failure> {
    let first = capture::capture(subject, &variation::first(mode), number)?;
    let is_dictated = first.cpu_dictated || !subject.c_library.chooses_for_cpu();
    let Some(unlike) = mode.cpu.unlike().filter(|_| is_dictated) else {
        // Whatever is chosen is for this CPU.
        let (least, floor) = (Cpu::This.least_name(), Cpu::This.features());
        return Ok((first, CpuChoices { least, floor, ..CpuChoices::default() }));
    };
    let (least, floor) = (mode.cpu.least_name(), mode.cpu.floor());
    let nothing = CpuChoices { least, floor, ..CpuChoices::default() };
    if !subject.c_library.chooses_for_cpu() {
        return Ok((first, nothing));
    }
    let unlike = variation::unlike(mode, unlike);
    let studied = capture::capture_then(subject, &unlike, number, |unlike, rehearsal| {
        choices::study(&first, unlike, rehearsal, mode.cpu, mode.fixed)
    });
    let mut found = match studied {
        Ok((_, found)) => CpuChoices { least, floor, ..found },
        Err(failure) if failure.is_of_time() => return Err(failure),
        // A resolver that minds: the output does with what the first capture has.
        Err(_) => return Ok((first, nothing)),
    };
    if found.can_resolve && found.resolvers.is_empty() && found.resets.is_empty() {
        // Nothing depends on the CPU: nothing is to be asked of it.
        return Ok((first, nothing));
    }
    if !found.can_resolve {
        for cpu in mode.cpu.prepared() {
            let variation = variation::unlike(mode, cpu);
            let on_level = match capture::capture(subject, &variation, number) {
                Err(failure) if failure.is_of_time() => return Err(failure),
                // One that lacks what the program says it needs is no loss.
                Err(_) => continue,
                Ok(on_level) => on_level,
            };
            let resolvers = &found.resolvers;
            let variant = choices::prepared(&first, &on_level, cpu, resolvers, mode.fixed);
            found.variants.extend(variant);
        }
    }
    Ok((first, found))
}
