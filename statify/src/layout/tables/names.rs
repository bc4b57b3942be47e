//! Texts that fix-ups name: vDSO functions, and what stands behind the output's directory in paths.

use std::collections::BTreeMap;

use crate::classify::{Fixup, Value};

/// The names of the vDSO functions used, and where each starts.
pub fn vdso_names(fixups: &[Fixup]) -> BTreeMap<&str, u16> {
    let mut names: BTreeMap<&str, u16> = BTreeMap::new();
    for fixup in fixups {
        if let Value::Vdso(name) = &fixup.value {
            names.insert(name, 0);
        }
    }
    let mut start = 0;
    for (name, offset) in &mut names {
        *offset = start;
        start += name.len() as u16 + 1;
    }
    names
}

/// What stands behind the output's directory in paths, and where each starts, behind the names.
pub fn rests(fixups: &[Fixup]) -> BTreeMap<&[u8], u32> {
    let mut rests: BTreeMap<&[u8], u32> = BTreeMap::new();
    for fixup in fixups {
        if let Value::Origin(rest) = &fixup.value {
            rests.insert(rest, 0);
        }
    }
    let mut start = vdso_names(fixups).keys().map(|name| name.len() as u32 + 1).sum();
    for (rest, offset) in &mut rests {
        *offset = start;
        start += rest.len() as u32 + 1;
    }
    rests
}

/// How many bytes all these paths take at most.
pub fn origin_room(fixups: &[Fixup]) -> u64 {
    let rests = fixups.iter().filter_map(|fixup| match &fixup.value {
        Value::Origin(rest) => Some(libc::PATH_MAX as u64 + rest.len() as u64 + 1),
        _ => None,
    });
    rests.sum()
}

/// All of them as they lie, each with its NUL.
pub fn texts(fixups: &[Fixup]) -> Vec<Vec<u8>> {
    let (names, rests) = (vdso_names(fixups), rests(fixups));
    let texts = names.keys().map(|name| name.as_bytes()).chain(rests.keys().copied());
    texts.map(|text| [text, b"\0"].concat()).collect()
}
