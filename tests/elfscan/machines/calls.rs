//! What code asks for, as its source says.

use std::collections::{BTreeSet, HashSet};

use anyhow::{Context, Result, ensure};
use statify_elf::machine::{Meaning, Uses};
use statify_elf::{DynamicFacts, ElfFile};
use statify_tests::case::Case;

use super::built::Target;

/// The calls of `name` in a file.
fn uses_of(elf: &ElfFile<'_>, name: &str) -> Result<Uses> {
    let machine = elf.machine().context("its machine is known")?;
    let facts = elf.dynamic()?.context("it is dynamic")?;
    let index = index_of(&facts, name).with_context(|| format!("{name} is no import"))?;
    let is_slot =
        |kind| matches!(machine.relocation(kind), Some(Meaning::GlobalData | Meaning::JumpSlot));
    let words = facts.relocations().filter(|entry| entry.symbol == index && is_slot(entry.kind));
    let words = words.map(|entry| entry.at).collect();
    machine.uses(elf, &[words]).pop().context("an answer for each import")
}

fn index_of(facts: &DynamicFacts<'_>, name: &str) -> Option<u32> {
    let symbols = facts.symbols();
    (0..).zip(symbols.iter()).find_map(|(index, symbol)| {
        (facts.string(symbol.name.into()) == Some(name.as_bytes())).then_some(index)
    })
}

/// The texts that an argument of calls points to.
fn texts(elf: &ElfFile<'_>, uses: &Uses) -> BTreeSet<String> {
    let text = |at: u64| {
        let bytes = elf.from(at)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    };
    let texts = uses.calls.iter().map(|call| call.arguments[0].and_then(text));
    texts.map(|text| text.unwrap_or("?".into())).collect()
}

pub fn calls(case: &Case, target: Target) -> Result<()> {
    for built in target.build_all(case)? {
        let path = built.path.display().to_string();
        let elf = built.elf()?;
        let uses = uses_of(&elf, "dlopen")?;
        let expected: &[&str] = match path.contains("libkinds") {
            true => &["last.so", "library.so"],
            false => &["first.so", "second.so"],
        };
        let found = texts(&elf, &uses);
        let expected: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        // A register that calls keep may be called where that is not seen: then it is said that there may be more.
        let may_be_more = path.contains("no-plt") && uses.taken;
        let is_right = found == expected && !uses.taken;
        ensure!(
            is_right || may_be_more && found.is_subset(&expected),
            "{path}: {found:?}, {uses:?}"
        );
        if may_be_more {
            continue;
        }
        let modes: HashSet<_> = uses.calls.iter().map(|call| call.arguments[1]).collect();
        ensure!(
            modes == HashSet::from([Some(1), Some(2)]),
            "{path}: RTLD_LAZY, RTLD_NOW: {uses:?}"
        );
        if !path.contains("libkinds") {
            let found = texts(&elf, &uses_of(&elf, "puts")?);
            ensure!(found == BTreeSet::from(["some text".into()]), "{path}: {found:?}");
        }
    }
    Ok(())
}

/// The functions that refer to a text are those of the source.
pub fn references(case: &Case, target: Target) -> Result<()> {
    for built in target.build_all(case)? {
        let path = built.path.display().to_string();
        let elf = built.elf()?;
        let machine = elf.machine().context("its machine is known")?;
        let facts = elf.dynamic()?.context("it is dynamic")?;
        if !path.contains("libkinds") {
            continue;
        }
        for (text, function) in [("library.so", "asks"), ("last.so", "asks_last")] {
            let text = [text.as_bytes(), b"\0"].concat();
            let load = elf.loads().find(|load| {
                let bytes = elf.contents(load).unwrap_or_default();
                bytes.windows(text.len()).any(|window| window == text)
            });
            let load = load.context("the text is in the file")?;
            let bytes = elf.contents(load).unwrap_or_default();
            let at = bytes.windows(text.len()).position(|window| window == text);
            let at = load.p_vaddr + at.context("the text is there")? as u64;
            let index = index_of(&facts, function).context("it is exported")?;
            let symbol = facts.symbols().get(index).context("it is there")?;
            let found = machine.functions_that_refer_to(&elf, &[at]);
            ensure!(found == [symbol.value], "{path}: {function}: {found:x?}, {symbol:x?}");
        }
    }
    Ok(())
}
