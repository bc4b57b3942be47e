//! On which CPUs the program is captured: first on the least that the output is for, then on as many others as it takes to
//! tell what depends on the CPU (`classify/cpu.rs` tells it).

use statify_elf::machine::{Cpu, Level, Vendor};
use statify_params::CpuFeatures;

use crate::capture::variation::{self, Mode};
use crate::capture::{self, Capture, Failure, Subject};
use crate::classify::cpu::{self as choices, CpuChoices};

/// What is prepared where a loader's choices cannot be made again: best first.
const PREPARED: [(Vendor, Level); 9] = [
    (Vendor::Intel, Level::V4),
    (Vendor::Amd, Level::V4),
    (Vendor::Intel, Level::V3),
    (Vendor::NewAmd, Level::V3),
    (Vendor::Amd, Level::V3),
    (Vendor::Intel, Level::Avx),
    (Vendor::Amd, Level::Avx),
    (Vendor::Intel, Level::V2),
    (Vendor::Amd, Level::V1),
];

/// Captures `subject` on the CPU that `mode` says, run on the CPU number `number`.
pub fn capture(
    subject: &Subject,
    mode: Mode,
    number: usize,
) -> Result<(Capture, CpuChoices), Failure> {
    let first = capture::capture(subject, &variation::first(mode), number)?;
    let level = match mode.cpu {
        Cpu::Of(level) if first.cpu_dictated || !subject.c_library.chooses_for_cpu() => level,
        // Whatever is chosen is for this CPU.
        _ => {
            let floor = Cpu::This.features();
            let choices = CpuChoices { least: "native", floor, ..CpuChoices::default() };
            return Ok((first, choices));
        }
    };
    let floor = if level > Level::V1 { mode.cpu.features() } else { CpuFeatures::default() };
    let nothing = CpuChoices { least: level.name(), floor, ..CpuChoices::default() };
    if !subject.c_library.chooses_for_cpu() {
        return Ok((first, nothing));
    }
    let unlike = variation::unlike(mode, Cpu::Unlike(level));
    let studied = capture::capture_then(subject, &unlike, number, |unlike, rehearsal| {
        choices::study(&first, unlike, rehearsal, mode.cpu, mode.fixed)
    });
    let mut found = match studied {
        Ok((_, found)) => CpuChoices { least: level.name(), floor, ..found },
        // A resolver that minds: the output does with what the first capture has.
        Err(_) => return Ok((first, nothing)),
    };
    if found.can_resolve && found.resolvers.is_empty() && found.resets.is_empty() {
        // Nothing depends on the CPU: nothing is to be asked of it.
        return Ok((first, nothing));
    }
    if !found.can_resolve {
        for (vendor, prepared) in PREPARED.into_iter().filter(|&(_, prepared)| prepared >= level) {
            let cpu = Cpu::Prepared(vendor, prepared);
            let variation = variation::unlike(mode, cpu);
            // One that lacks what the program says it needs is no loss.
            let Ok(on_level) = capture::capture(subject, &variation, number) else { continue };
            let resolvers = &found.resolvers;
            let variant = choices::prepared(&first, &on_level, cpu, resolvers, mode.fixed);
            found.variants.extend(variant);
        }
    }
    Ok((first, found))
}
