//! The pure parts with bytes that may be anything. For tests and for fuzzing: no part of the library.

use std::sync::Arc;

use statify_elf::ElfFile;
use statify_format::manifest::Manifest;
use statify_params::ABSOLUTE;

use super::bases::Bases;
use super::image::{Backing, Bytes, Image};
use super::links::Links;
use super::module::Module;
use super::pool::Pool;
use super::process::FileId;
use super::scope::Scopes;
use super::{converted, names, sections};

/// How many symbols and relocations of a file are tried.
const MOST: usize = 500;

/// Does with the bytes of a file all that an audit does: none of it may panic or hang, whatever they are.
pub fn read_file(bytes: &[u8]) {
    let file = FileId { device: (0, 0), inode: 1 };
    if let Some(manifest) = ElfFile::parse_any(bytes).ok().and_then(|elf| Manifest::read(&elf)) {
        let _ = converted::plugin_at(&manifest, 4096);
        for base in [0, 0x7fff_0000_0000, ABSOLUTE] {
            let bases = Bases(vec![base; manifest.files.len()]);
            let _ = converted::modules(bytes, &manifest, file, &bases, &Pool::default());
        }
    }
    let image = Image {
        name: "file".into(),
        window: 0..bytes.len(),
        bytes: Bytes::Assembled(Arc::new(bytes.to_vec())),
        bias: 0x7fff_0000_0000,
        backing: Backing::Segments(file, 0),
        known: None,
        headers: None,
        written: None,
        stored_bias: None,
    };
    let Ok(module) = Module::read(&image) else { return };
    let _ = (module.span(), module.code().count(), sections::sections(&module.elf).count());
    let modules = [module];
    let [module] = &modules;
    let scopes = [false, true].map(|by_name| Scopes::new(&modules, &Links::default(), by_name));
    let Some(symbols) = &module.definitions else { return };
    for relocation in symbols.facts().relocations().take(MOST) {
        for needs_definition in [false, true] {
            let wanted = symbols.wanted(relocation.symbol, needs_definition);
            let Some((symbol, wanted)) = wanted else { continue };
            for scope in &scopes {
                let _ = scope.candidates(0, &symbol, &wanted);
            }
        }
        let _ = (names::versioned(symbols, relocation.symbol), module.is_constant(relocation.at));
        let _ = image.page_of(&module.elf, relocation.at);
    }
    for at in [module.elf.header().e_entry, 0, u64::MAX] {
        let _ = (names::symbol_at(module, at), module.may_be_function(at), module.address_of(at));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn program() -> Vec<u8> {
        std::fs::read("/bin/true").unwrap()
    }

    #[test]
    fn files_as_they_are() {
        read_file(&program());
        read_file(&std::fs::read("/proc/self/exe").unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_mutation_is_read_without_a_panic(
            changes in proptest::collection::vec((0..8192usize, any::<u8>()), 1..64),
            len in 0..65536usize,
        ) {
            let mut bytes = program();
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(if len % 4 == 0 { len } else { usize::MAX });
            read_file(&bytes);
        }
    }
}
