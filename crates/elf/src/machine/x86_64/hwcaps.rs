//! The older scheme of directories (sysdeps/x86/dl-procinfo.h and sysdeps/x86/cpu-features.c up to 2.36), of
//! this machine and of i386, whose programs run on the same CPUs.

use goblin::elf::header::EM_386;

use super::KERNEL_NAME;
use super::levels::Level;
use crate::machine::OlderScheme;

/// A platform that loaders name themselves, from 2.26 on; the kernel never says so.
pub const OWN_PLATFORM: &str = "haswell";

const SSE2: (u64, &str) = (1, "sse2");
const X86_64: (u64, &str) = (1 << 1, KERNEL_NAME);
const AVX512_1: (u64, &str) = (1 << 2, "avx512_1");
const I686_BIT: u64 = 1 << 49;
const HASWELL_BIT: u64 = 1 << 50;

/// See [`crate::machine::Abi::older_scheme`].
pub fn older_scheme(
    e_machine: u16,
    names_platforms: bool,
    level: Level,
    intel: bool,
) -> OlderScheme {
    let mut scheme = OlderScheme::default();
    if e_machine == EM_386 {
        scheme.add(SSE2);
        scheme.platform = Some("i686");
        scheme.platform_bit = I686_BIT;
    } else if names_platforms {
        // Capabilities and Intel's platforms from 2.26 on; before, and on other CPUs, the
        // platform is what the kernel says.
        scheme.add(X86_64);
        if intel && level >= Level::V4 {
            scheme.add(AVX512_1);
        }
        let haswell = intel && level >= Level::V3;
        scheme.platform = Some(if haswell { OWN_PLATFORM } else { KERNEL_NAME });
        scheme.platform_bit = if haswell { HASWELL_BIT } else { 0 };
    } else {
        scheme.platform = Some(KERNEL_NAME);
    }
    scheme
}
