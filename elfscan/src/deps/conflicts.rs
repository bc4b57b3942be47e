//! Libraries of which a program gets more than one: the same DT_SONAME from two files, or two
//! versions of one library.

use std::collections::BTreeMap;

use super::library::Name;
use super::loaded::Closure;

/// Modules that are likely to get in each other's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What they have in common: a DT_SONAME, or a library's name without version.
    pub name: Name,
    /// How they differ.
    pub kind: ConflictKind,
    /// Their indices; at least two.
    pub modules: Vec<usize>,
}

/// How they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    /// Two files with the same DT_SONAME.
    Duplicate,
    /// Two versions of a library.
    Versions,
}

/// All conflicts of a closure.
pub fn conflicts(closure: &Closure) -> Vec<Conflict> {
    let mut by_name: BTreeMap<&[u8], BTreeMap<&[u8], Vec<usize>>> = BTreeMap::new();
    for (index, module) in closure.modules.iter().enumerate() {
        let last = module.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let name = module.library.soname.as_deref().unwrap_or(last);
        let Some((library, _)) = split(name) else { continue };
        by_name.entry(library).or_default().entry(name).or_default().push(index);
    }
    let mut conflicts = Vec::new();
    for (library, names) in by_name {
        for (name, modules) in &names {
            if modules.len() > 1 {
                let (name, modules) = ((*name).into(), modules.clone());
                conflicts.push(Conflict { name, kind: ConflictKind::Duplicate, modules });
            }
        }
        if names.len() > 1 {
            let mut modules: Vec<usize> = names.into_values().flatten().collect();
            modules.sort_unstable();
            let name = library.into();
            conflicts.push(Conflict { name, kind: ConflictKind::Versions, modules });
        }
    }
    conflicts
}

/// `libfoo.so.1` is version `1` of `libfoo`; `libfoo.so` is one without.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = name.windows(3).position(|window| window == b".so")?;
    let version = &name[at + 3..];
    (version.is_empty() || version.starts_with(b".")).then_some((&name[..at], version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        assert_eq!(split(b"libfoo.so.1.2"), Some((&b"libfoo"[..], &b".1.2"[..])));
        assert_eq!(split(b"libfoo.so"), Some((&b"libfoo"[..], &b""[..])));
        assert_eq!(split(b"libfoo.sol"), None);
        assert_eq!(split(b"prog"), None);
    }
}
