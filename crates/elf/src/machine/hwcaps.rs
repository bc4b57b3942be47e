//! What glibc's loader takes of the CPU into the names of the directories that it searches.

use super::abi::Abi;
use super::{Level, aarch64, x86_64};

/// What the scheme of directories says of a CPU that glibc had before `glibc-hwcaps` (up to 2.36;
/// elf/dl-hwcaps.c).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OlderScheme {
    /// Names of directories, every combination of which is searched: capabilities in the order of their
    /// bits, then the platform, then `tls`.
    pub names: Vec<&'static str>,
    /// The capabilities, as the cache has them.
    pub bits: u64,
    /// `$PLATFORM`, which is the kernel's AT_PLATFORM, or the loader's own word; `None` if not known.
    pub platform: Option<&'static str>,
    /// The platform's bit in the cache, if it has one.
    pub platform_bit: u64,
}

impl OlderScheme {
    /// Adds a capability: its bit and its directory.
    pub(super) fn add(&mut self, (bit, name): (u64, &'static str)) {
        self.bits |= bit;
        self.names.push(name);
    }
}

impl Abi {
    /// Whether its programs run on CPUs that have a [`Level`], which decides on subdirectories.
    pub fn has_levels(&self) -> bool {
        x86_64::is_run(self.machine)
    }

    /// The abilities of CPUs, as the kernel tells them (AT_HWCAP), that decide on subdirectories in the older
    /// scheme, on machines without levels; and how the least CPU is called.
    pub fn abilities(&self) -> Option<(&'static [(u64, &'static str)], &'static str)> {
        aarch64::hwcaps::abilities(self.machine, self.is_64 && self.is_little_endian)
    }

    /// What the older scheme says of a CPU of this level, `intel` if it is one of Intel's, or, on machines without
    /// levels, one that has these abilities. `names_platforms`: the loader has words of its own for CPUs (from 2.26
    /// on).
    pub fn older_scheme(
        &self,
        names_platforms: bool,
        level: Level,
        intel: bool,
        abilities: &[&str],
    ) -> OlderScheme {
        let mut scheme = match self.abilities() {
            Some(_) => aarch64::hwcaps::older_scheme(abilities),
            None if self.has_levels() => {
                x86_64::hwcaps::older_scheme(self.machine, names_platforms, level, intel)
            }
            // The kernel's word, which depends on the CPU: not known of another machine's.
            None => OlderScheme::default(),
        };
        scheme.names.extend(scheme.platform);
        scheme.names.push("tls");
        scheme
    }
}
