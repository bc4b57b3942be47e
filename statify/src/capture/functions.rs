//! Functions of a captured process, by their names.

use statify_elf::ElfFile;

use super::{Capture, LOADER};

/// The first loaded file, from the loader on, that exports a function of this name and `is_wanted` by its own (DT_SONAME); and
/// the function's address.
pub fn exported(
    capture: &Capture,
    name: &[u8],
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Option<(usize, u64)> {
    capture.objects.iter().enumerate().skip(LOADER).find_map(|(index, object)| {
        let elf = ElfFile::parse(&object.bytes).ok()?;
        let dynamic = elf.dynamic().ok()??;
        is_wanted(dynamic.soname().unwrap_or_default()).then_some(())?;
        let table = dynamic.symbols();
        let mut functions =
            table.iter().filter(|symbol| symbol.is_exported() && symbol.is_function());
        let function = functions.find(|symbol| dynamic.string(symbol.name.into()) == Some(name))?;
        let bias = object.range.start.wrapping_sub(elf.span()?.start);
        Some((index, function.value.wrapping_add(bias)))
    })
}
