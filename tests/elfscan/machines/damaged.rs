//! Headers and tables that are not as they should be: values or nothing, and never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, ensure};
use statify_elf::ElfFile;
use statify_elf::machine::Meaning;
use statify_tests::case::Case;

use super::built::Target;

/// More imports are not asked for.
const IMPORTS: usize = 64;

fn look(bytes: &[u8]) {
    let Ok(elf) = ElfFile::parse_any(bytes) else { return };
    let (Some(machine), Ok(Some(facts))) = (elf.machine(), elf.dynamic()) else { return };
    let _ = (elf.cet(), elf.branch_protection(), machine.code_parts(&elf, &facts));
    let lazy = machine.lazy_targets(&elf, &facts);
    let mut imports = Vec::new();
    for (index, entry) in (0..).zip(facts.relocations().take(1 << 12)) {
        let _ = (machine.relocation_name(entry.kind), machine.file_value(entry.kind));
        if let Some(code) = lazy.get(&index).and_then(|&at| elf.from(at)) {
            let _ = machine.is_lazy_stub(code, index);
        }
        let slot =
            matches!(machine.relocation(entry.kind), Some(Meaning::GlobalData | Meaning::JumpSlot));
        if slot && imports.len() < IMPORTS {
            imports.push(vec![entry.at]);
        }
    }
    let _ = machine.uses(&elf, &imports);
    let _ = (machine.cpu_sites(&elf), machine.functions_that_refer_to(&elf, &[0, 0x2000]));
}

/// Every byte of the headers and tables changed, and every few bytes of code; cut at every length.
pub fn headers(case: &Case, target: Target) -> Result<()> {
    let all = target.build_all(case)?;
    let first = all.iter().find(|built| built.path.ends_with("libkinds-lazy.so"));
    let first = first.context("it is built")?;
    let elf = first.elf()?;
    let code = elf.loads().find(|load| load.is_executable()).context("it has code")?;
    let dynamic = elf.segments().iter().find(|segment| segment.p_type == 2).context("dynamic")?;
    let dynamic = dynamic.p_offset as usize..(dynamic.p_offset + dynamic.p_filesz) as usize;
    let code = code.p_offset as usize..(code.p_offset + code.p_filesz) as usize;
    let places = (0..code.start.min(2048)).chain(dynamic).chain(code.step_by(3));
    let mut panicked = Vec::new();
    let mut bytes = first.bytes.clone();
    for at in places {
        for value in [0, 0x7f, 0xff, first.bytes[at] ^ 0x10] {
            bytes[at] = value;
            if catch_unwind(AssertUnwindSafe(|| look(&bytes))).is_err() {
                panicked.push((at, value));
            }
        }
        bytes[at] = first.bytes[at];
    }
    for len in (0..bytes.len()).step_by(97) {
        if catch_unwind(AssertUnwindSafe(|| look(&bytes[..len]))).is_err() {
            panicked.push((len, 0));
        }
    }
    ensure!(panicked.is_empty(), "panics: {panicked:x?}");
    Ok(())
}
