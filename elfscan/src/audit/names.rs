//! What lies at an address of a process.

use std::ops::Range;

use statify_elf::Symbol;
use statify_process::procfs::Mapping;

use super::lookup::Definitions;
use super::module::Module;
use super::report::Target;
use super::sections;

/// What an address is told from.
#[derive(Clone, Copy)]
pub struct Names<'m, 'a> {
    /// The modules.
    pub modules: &'m [Module<'a>],
    /// The mappings.
    pub maps: &'m [Mapping],
}

impl Names<'_, '_> {
    /// The mapping that holds an address.
    pub fn mapping(&self, address: u64) -> Option<&Mapping> {
        mapping_at(self.maps, address)
    }

    /// Whether there is memory.
    pub fn is_mapped(&self, address: u64) -> bool {
        self.mapping(address).is_some()
    }

    /// What lies there.
    pub fn target(&self, address: u64) -> Target {
        let owner =
            self.modules.iter().find_map(|module| Some((module, module.address_of(address)?)));
        if let Some((module, offset)) = owner {
            return Target {
                address,
                module: Some(module.image.name.clone()),
                offset: Some(offset),
                symbol: symbol_at(module, offset),
            };
        }
        let name = match self.mapping(address) {
            None => (address != 0).then(|| "[not mapped]".to_owned()),
            Some(mapping) if mapping.name.is_empty() => Some("[anonymous memory]".to_owned()),
            Some(mapping) => Some(String::from_utf8_lossy(&mapping.name).into_owned()),
        };
        Target { address, module: name, offset: None, symbol: None }
    }
}

/// The symbol that an address (before the bias) is in, with the distance from its beginning.
pub fn symbol_at(module: &Module<'_>, address: u64) -> Option<String> {
    let exported = || {
        let symbols = module.definitions.as_ref()?;
        let symbol = sections::best(symbols.table().iter(), address)?;
        Some((symbol, symbols.facts().string(symbol.name.into())?))
    };
    let named = sections::static_symbol(&module.elf, address).or_else(exported);
    let (start, name): (u64, String) = match named {
        Some((symbol, name)) => (symbol.value, String::from_utf8_lossy(name).into_owned()),
        // Stripped: as gdb and perf show it, by the function's address.
        None => {
            let start = module.function_around(address)?;
            (start, format!("function at {start:#x}"))
        }
    };
    let distance = address - start;
    Some(if distance == 0 { name } else { format!("{name}+{distance:#x}") })
}

/// A symbol with its version, as in `memcpy@GLIBC_2.14`.
pub fn versioned(symbols: &Definitions<'_>, index: u32) -> Option<String> {
    let (_, wanted): (Symbol, _) = symbols.wanted(index, false)?;
    if wanted.name.is_empty() {
        return None;
    }
    let name = String::from_utf8_lossy(wanted.name);
    Some(match wanted.version {
        Some(version) => format!("{name}@{}", String::from_utf8_lossy(version)),
        None => name.into_owned(),
    })
}

/// The mapping, of ascending ones, that holds an address.
pub fn mapping_at(maps: &[Mapping], address: u64) -> Option<&Mapping> {
    let after = maps.partition_point(|mapping| mapping.range.end <= address);
    maps.get(after).filter(|mapping| mapping.range.contains(&address))
}

/// The parts of a range that are mapped.
pub fn mapped<'m>(
    maps: &'m [Mapping],
    range: &Range<u64>,
) -> impl Iterator<Item = (&'m Mapping, Range<u64>)> {
    let range = range.clone();
    let first = maps.partition_point(|mapping| mapping.range.end <= range.start);
    maps[first..].iter().take_while(move |mapping| mapping.range.start < range.end).map({
        let range = range.clone();
        move |mapping| {
            (mapping, mapping.range.start.max(range.start)..mapping.range.end.min(range.end))
        }
    })
}
