//! The older scheme of directories (sysdeps/unix/sysv/linux/aarch64/dl-procinfo.h up to 2.36). There are no levels: each
//! ability of a CPU is a bit of AT_HWCAP (Documentation/arch/arm64/elf_hwcaps.rst).

use super::{E_MACHINE, KERNEL_NAME};
use crate::machine::OlderScheme;

/// HWCAP_ATOMICS, the only ability that loaders heed (HWCAP_IMPORTANT), from 2.28 on.
const ABILITIES: &[(u64, &str)] = &[(1 << 8, "atomics")];

/// See [`crate::machine::Abi::abilities`]; `is_usual`: addresses have 64 bits, and the lowest byte comes first.
pub fn abilities(
    e_machine: u16,
    is_usual: bool,
) -> Option<(&'static [(u64, &'static str)], &'static str)> {
    (e_machine == E_MACHINE && is_usual).then_some((ABILITIES, KERNEL_NAME))
}

/// See [`crate::machine::Abi::older_scheme`].
pub fn older_scheme(abilities: &[&str]) -> OlderScheme {
    let mut scheme = OlderScheme { platform: Some(KERNEL_NAME), ..OlderScheme::default() };
    for ability in ABILITIES.iter().filter(|(_, name)| abilities.contains(name)) {
        scheme.add(*ability);
    }
    scheme
}
