//! The functions of a process's vDSO (vdso(7)).

use std::collections::HashMap;
use std::ops::Range;

use statify_process::Tracee;

/// Names by address.
#[derive(Clone, Debug, Default)]
pub struct VdsoFunctions {
    range: Range<u64>,
    names: HashMap<u64, String>,
}

impl VdsoFunctions {
    /// Reads the vDSO that lies at `range`. Empty if it cannot be understood: then the converted
    /// program makes system calls instead.
    pub fn read(tracee: &Tracee, range: &Range<u64>) -> Self {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        if tracee.read(range.start, &mut bytes).is_err() {
            return Self::default();
        }
        Self::parse(&bytes, range.start)
    }

    fn parse(bytes: &[u8], base: u64) -> Self {
        let range = base..base + bytes.len() as u64;
        let mut names = HashMap::new();
        let Ok(elf) = goblin::elf::Elf::parse(bytes) else {
            return Self::default();
        };
        for symbol in
            elf.dynsyms.iter().filter(|symbol| symbol.st_shndx != 0 && symbol.is_function())
        {
            let Some(name) = elf.dynstrtab.get_at(symbol.st_name) else {
                continue;
            };
            // Of a function's names the one that all kernels have begins so.
            let better = name.starts_with("__vdso_");
            let address = base.wrapping_add(symbol.st_value);
            if better || !names.contains_key(&address) {
                names.insert(address, name.to_owned());
            }
        }
        Self { range, names }
    }

    /// The name of the function at this address.
    pub fn name(&self, address: u64) -> Option<&str> {
        // Asked for every word of memory, of which next to none is in the vDSO.
        if !self.range.contains(&address) {
            return None;
        }
        self.names.get(&address).map(String::as_str)
    }
}
