//! Subdirectories of a search directory that a loader looks into first, by what the CPU has:
//! `glibc-hwcaps/x86-64-v3` and the like (from glibc 2.33 on), and before 2.37 every combination of
//! `tls`, platform and capabilities (elf/dl-hwcaps.c, sysdeps/x86/cpu-features.c).

use statify_elf::machine::{Cpu as X86, Level};
use statify_params::CPU_INTEL;

use super::abi::Abi;
use super::cache::Capabilities;
use super::loader::Loader;

/// The CPU that a program is to run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cpu {
    /// This machine's. For programs of another architecture: one that has nothing special.
    #[default]
    This,
    /// One that is called like the subdirectory for it, as `x86-64-v3`, or `x86-64` for the least;
    /// of Intel's make where that matters.
    Named(String),
}

/// What a loader does on a CPU.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The subdirectories, in the order of the search, each with a slash at its end; the last is
    /// empty, for the directory itself.
    pub subdirectories: Vec<Vec<u8>>,
    /// What it takes of the cache.
    pub capabilities: Capabilities,
    /// `$PLATFORM`.
    pub platform: Option<&'static str>,
}

/// A name that no subdirectory of a loader's has.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownCpu;

/// The bits of x86's older scheme (sysdeps/x86/dl-procinfo.h up to 2.36), and their names.
const SSE2: (u64, &str) = (1, "sse2");
const X86_64: (u64, &str) = (1 << 1, "x86_64");
const AVX512_1: (u64, &str) = (1 << 2, "avx512_1");
const I686_BIT: u64 = 1 << 49;
const HASWELL_BIT: u64 = 1 << 50;

/// What `loader` searches on `cpu`.
pub fn choose(loader: &Loader, cpu: &Cpu) -> Result<Choice, UnknownCpu> {
    let level = level(loader.abi, cpu);
    let least = least_name(loader.abi);
    let named: Vec<String> = match cpu {
        Cpu::Named(name) if Some(name.as_str()) == least => Vec::new(),
        Cpu::Named(name) => {
            let at = loader.hwcaps.iter().position(|known| known == name);
            match at {
                Some(at) => loader.hwcaps[at..].to_vec(),
                // A level that this loader is too old to know.
                None if level.is_some() => Vec::new(),
                None => return Err(UnknownCpu),
            }
        }
        Cpu::This => {
            let has = |name: &&String| level.is_some_and(|level| level_of(name) <= Some(level));
            loader.hwcaps.iter().filter(has).cloned().collect()
        }
    };
    let intel = match cpu {
        Cpu::This => X86::This.features().more & CPU_INTEL != 0,
        Cpu::Named(_) => true,
    };
    let legacy = legacy(loader, level.unwrap_or(Level::V1), intel);
    let mut subdirectories: Vec<Vec<u8>> =
        named.iter().map(|name| format!("glibc-hwcaps/{name}/").into_bytes()).collect();
    if loader.searches_legacy {
        subdirectories.extend(combinations(&legacy.names));
    } else {
        subdirectories.push(Vec::new());
    }
    let isa_level = match level {
        Some(Level::V4) => 3,
        Some(Level::V3) => 2,
        Some(Level::V2 | Level::Avx) => 1,
        _ => 0,
    };
    let capabilities = Capabilities {
        subdirectories: named,
        isa_level,
        legacy: loader.searches_legacy.then_some(legacy.bits),
        platform: legacy.platform_bit,
    };
    Ok(Choice { subdirectories, capabilities, platform: legacy.platform })
}

/// What `loader` does on this CPU, and on each one that has a name.
pub fn choices(loader: &Loader) -> Vec<Choice> {
    let named = names(loader).into_iter().map(Cpu::Named);
    named.chain([Cpu::This]).filter_map(|cpu| choose(loader, &cpu).ok()).collect()
}

/// The names that [`Cpu::Named`] may have for a loader, the best first.
pub fn names(loader: &Loader) -> Vec<String> {
    let mut names = loader.hwcaps.clone();
    if names.is_empty() && loader.abi.is_x86() {
        names.extend(["x86-64-v4", "x86-64-v3", "x86-64-v2"].map(String::from));
    }
    names.extend(least_name(loader.abi).map(String::from));
    names
}

fn least_name(abi: Abi) -> Option<&'static str> {
    abi.is_x86().then_some(Level::V1.name())
}

/// The level of an x86 CPU; `None` for other machines.
fn level(abi: Abi, cpu: &Cpu) -> Option<Level> {
    if !abi.is_x86() {
        return None;
    }
    match cpu {
        Cpu::Named(name) => level_of(name),
        Cpu::This => {
            let own = X86::This.features();
            let mut levels = Level::ALL.into_iter().rev();
            levels.find(|&level| own.contains(&X86::Of(level).features())).or(Some(Level::V1))
        }
    }
}

fn level_of(name: &str) -> Option<Level> {
    let levels = [Level::V1, Level::V2, Level::V3, Level::V4];
    levels.into_iter().find(|level| level.name() == name)
}

/// The older scheme's view of a CPU.
#[derive(Default)]
struct Legacy {
    /// Directories: capabilities by their bits, then platform, then `tls`.
    names: Vec<&'static str>,
    bits: u64,
    platform: Option<&'static str>,
    platform_bit: u64,
}

impl Legacy {
    fn add(&mut self, (bit, name): (u64, &'static str)) {
        self.bits |= bit;
        self.names.push(name);
    }
}

fn legacy(loader: &Loader, level: Level, intel: bool) -> Legacy {
    let mut legacy = Legacy::default();
    match loader.abi.name() {
        // Capabilities and Intel's platforms from 2.26 on; before, and on other CPUs, the
        // platform is what the kernel says.
        "x86-64" | "x32" if loader.names_platforms => {
            legacy.add(X86_64);
            if intel && level >= Level::V4 {
                legacy.add(AVX512_1);
            }
            let haswell = intel && level >= Level::V3;
            legacy.platform = Some(if haswell { "haswell" } else { "x86_64" });
            legacy.platform_bit = if haswell { HASWELL_BIT } else { 0 };
        }
        "x86-64" | "x32" => legacy.platform = Some("x86_64"),
        "i386" => {
            legacy.add(SSE2);
            legacy.platform = Some("i686");
            legacy.platform_bit = I686_BIT;
        }
        "aarch64" => legacy.platform = Some("aarch64"),
        // The kernel's word, which depends on the CPU: not known of another machine's.
        _ => {}
    }
    legacy.names.extend(legacy.platform);
    legacy.names.push("tls");
    legacy
}

/// Every combination, the last name first and the most significant; at last none.
fn combinations(names: &[&str]) -> Vec<Vec<u8>> {
    let all = 1usize << names.len();
    let one = |bits: usize| {
        let chosen = names.iter().enumerate().rev().filter(|(index, _)| bits >> index & 1 != 0);
        chosen.flat_map(|(_, name)| [name.as_bytes(), b"/"].concat()).collect()
    };
    (0..all).rev().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_in_the_loader_s_order() {
        let found = combinations(&["x86_64", "haswell", "tls"]);
        let expected = [
            "tls/haswell/x86_64/",
            "tls/haswell/",
            "tls/x86_64/",
            "tls/",
            "haswell/x86_64/",
            "haswell/",
            "x86_64/",
            "",
        ];
        assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()));
    }
}
