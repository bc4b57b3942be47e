//! Relocations and parts of code, as readelf says.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use statify_elf::ElfFile;
use statify_elf::machine::FileValue;
use statify_tests::case::{Case, output};

use super::built::{Built, Target};

fn readelf(case: &Case, flags: &str, built: &Built) -> Result<String> {
    output(case.command("readelf").arg(flags).arg(&built.path).env("LC_ALL", "C"))
}

/// Every relocation has readelf's name, place and addend.
pub fn relocations(case: &Case, target: Target) -> Result<()> {
    for built in target.build_all(case)? {
        let elf = built.elf()?;
        let machine = elf.machine().context("its machine is known")?;
        let facts = elf.dynamic()?.context("it is dynamic")?;
        let found = facts.relocations().map(|entry| {
            (entry.at, machine.relocation_name(entry.kind), entry.addend.unwrap_or(0))
        });
        let mut found: Vec<_> = found.collect();
        let mut expected: Vec<_> =
            readelf(case, "-rW", &built)?.lines().filter_map(entry).collect();
        found.sort();
        expected.sort();
        ensure!(found.len() > 6, "{}: too few: {found:?}", built.path.display());
        ensure!(found == expected, "{}: {found:?}\n{expected:?}", built.path.display());
    }
    Ok(())
}

/// A line of `readelf -r`: offset, info, type, then the symbol's value and name, and `+ addend`, or the addend alone.
fn entry(line: &str) -> Option<(u64, String, i64)> {
    let mut words = line.split_whitespace();
    let at = u64::from_str_radix(words.next()?, 16).ok()?;
    words.next()?;
    let name = words.next().filter(|name| name.starts_with("R_"))?.to_owned();
    let rest: Vec<&str> = words.collect();
    let number = |text: &str| u64::from_str_radix(text, 16).ok().map(u64::cast_signed);
    let addend = match rest[..] {
        [alone] => number(alone),
        [.., "+", addend] => number(addend),
        [.., "-", addend] => number(addend).map(i64::wrapping_neg),
        _ => None,
    };
    Some((at, name, addend.unwrap_or(0)))
}

/// Parts of code are the sections that linkers have made, and slots hold in the file what lazy binding needs.
pub fn code_parts(case: &Case, target: Target) -> Result<()> {
    let mut kinds = BTreeMap::new();
    for built in target.build_all(case)? {
        let path = built.path.display();
        let elf = built.elf()?;
        let machine = elf.machine().context("its machine is known")?;
        let facts = elf.dynamic()?.context("it is dynamic")?;
        let parts = machine.code_parts(&elf, &facts);
        let sections = sections(&elf)?;
        for name in [".init", ".fini", ".plt", ".plt.sec", ".plt.got"] {
            let part = parts.iter().find(|part| part.name == name).map(|part| part.range.clone());
            let section = sections.get(name).cloned();
            ensure!(part == section, "{path}: {name}: {part:x?}, and readelf {section:x?}");
            *kinds.entry(name).or_insert(0) += usize::from(part.is_some());
        }
        let lazy = machine.lazy_targets(&elf, &facts);
        for (index, slot) in (0..).zip(facts.plt_relocations()) {
            if machine.file_value(slot.kind) != FileValue::Lazy {
                continue;
            }
            let target = *lazy.get(&index).with_context(|| format!("{path}: entry {index}"))?;
            let word = elf.at(slot.at, machine.word()).map(|bytes| elf.address(bytes));
            ensure!(word == Some(target), "{path}: {slot:x?}: {word:x?}, not {target:x}");
            let stub = elf.from(target).context("code is there")?;
            ensure!(machine.is_lazy_stub(stub, index), "{path}: {index}: no stub");
        }
    }
    for name in [".init", ".fini", ".plt"] {
        ensure!(kinds[name] > 0, "none has {name}: {kinds:?}");
    }
    Ok(())
}

fn sections(elf: &ElfFile<'_>) -> Result<BTreeMap<String, Range<u64>>> {
    let all = elf.sections();
    let mut named = BTreeMap::new();
    for section in &all {
        let Some(name) = elf.section_name(&all, section) else { bail!("a section has no name") };
        let range = section.sh_addr..section.sh_addr + section.sh_size;
        named.insert(String::from_utf8_lossy(name).into_owned(), range);
    }
    Ok(named)
}
