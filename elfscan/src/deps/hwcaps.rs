//! Subdirectories of a search directory that a loader looks into first, by what the CPU has:
//! `glibc-hwcaps/x86-64-v3` and the like (from glibc 2.33 on), and before 2.37 every combination of
//! `tls`, platform and capabilities (elf/dl-hwcaps.c, sysdeps/x86/cpu-features.c).

use statify_elf::machine::{self, Abi, Level};

use super::cache::Capabilities;
use super::loader::Loader;

/// The CPU that a program is to run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cpu {
    /// This machine's. For programs of another architecture: one that has nothing special.
    #[default]
    This,
    /// One that is called like the subdirectory for it, as `x86-64-v3` or `atomics`, or `x86-64` and the like for
    /// the least; of Intel's make where that matters.
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

/// What `loader` searches on `cpu`.
pub fn choose(loader: &Loader, cpu: &Cpu) -> Result<Choice, UnknownCpu> {
    let level = level(loader.abi, cpu);
    let least = least_name(loader.abi);
    let abilities = match cpu {
        Cpu::Named(name) => ability(loader, name),
        Cpu::This => None,
    };
    let named: Vec<String> = match cpu {
        Cpu::Named(name) if Some(name.as_str()) == least => Vec::new(),
        Cpu::Named(name) => {
            let at = loader.hwcaps.iter().position(|known| known == name);
            match at {
                Some(at) => loader.hwcaps[at..].to_vec(),
                // A level that this loader is too old to know, or what is no level.
                None if level.is_some() || abilities.is_some() => Vec::new(),
                None => return Err(UnknownCpu),
            }
        }
        Cpu::This => {
            let has = |name: &&String| level.is_some_and(|level| Level::named(name) <= Some(level));
            loader.hwcaps.iter().filter(has).cloned().collect()
        }
    };
    let intel = match cpu {
        Cpu::This => machine::is_intel_here(),
        Cpu::Named(_) => true,
    };
    let level = level.unwrap_or(Level::V1);
    let legacy =
        loader.abi.older_scheme(loader.names_platforms, level, intel, abilities.as_slice());
    let mut subdirectories: Vec<Vec<u8>> =
        named.iter().map(|name| format!("glibc-hwcaps/{name}/").into_bytes()).collect();
    if loader.searches_legacy {
        subdirectories.extend(combinations(&legacy.names));
    } else {
        subdirectories.push(Vec::new());
    }
    let capabilities = Capabilities {
        subdirectories: named,
        isa_level: level.number(),
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
    if names.is_empty() && loader.abi.has_levels() {
        names.extend([Level::V4, Level::V3, Level::V2].map(|level| level.name().to_owned()));
    }
    let known = loader.abi.abilities().filter(|_| loader.searches_legacy);
    names
        .extend(known.into_iter().flat_map(|(known, _)| known).map(|(_, name)| (*name).to_owned()));
    names.extend(least_name(loader.abi).map(String::from));
    names
}

/// An ability of CPUs that a loader heeds.
fn ability(loader: &Loader, name: &str) -> Option<&'static str> {
    let (known, _) = loader.abi.abilities().filter(|_| loader.searches_legacy)?;
    known.iter().map(|(_, known)| *known).find(|known| *known == name)
}

fn least_name(abi: Abi) -> Option<&'static str> {
    let without_levels = || abi.abilities().map(|(_, least)| least);
    abi.has_levels().then_some(Level::V1.name()).or_else(without_levels)
}

/// The level of a CPU; `None` for machines without levels.
fn level(abi: Abi, cpu: &Cpu) -> Option<Level> {
    if !abi.has_levels() {
        return None;
    }
    match cpu {
        Cpu::Named(name) => Level::named(name),
        Cpu::This => Level::named(machine::level_here()),
    }
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
