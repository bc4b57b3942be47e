//! What the calls of a function ask for.

use std::collections::BTreeSet;

use statify_elf::machine::Uses;
use statify_elf::{DynamicFacts, ElfFile};

use super::entry_points::Argument;
use super::names;
use super::verdict::{Certainty, Name};

/// The longest name that is believed, in bytes.
const LONGEST: usize = 4096;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Constants.
    pub names: BTreeSet<Name>,
    /// There are names that are computed.
    pub unknown: bool,
}

/// What the calls ask for; `None` if nothing comes from the host by any of them. `uses` is none
/// where code cannot be decoded. A weak reference that is never used is no more than a question
/// whether the function is there; one that is not weak, and whose use is not seen, is feared.
pub fn asked(
    dynamic: &DynamicFacts<'_>,
    argument: Argument,
    uses: Option<&Uses>,
    weak: bool,
) -> Option<Asked> {
    if let Some(uses) = uses
        && weak
        && uses.calls.is_empty()
        && !uses.taken
    {
        return None;
    }
    let number = match argument {
        Argument::None => return Some(Asked::default()),
        Argument::Library(number)
        | Argument::Program(number)
        | Argument::Name(number)
        | Argument::Locale(number)
        | Argument::Mode(number) => number,
    };
    let mut asked = Asked::default();
    let (mut values, mut unknown) = (BTreeSet::new(), true);
    if let Some(uses) = uses {
        unknown = uses.taken || uses.calls.is_empty();
        for call in &uses.calls {
            match call.arguments.get(number).copied().flatten().map(|at| text(dynamic.file(), at)) {
                Some(Some(value)) => {
                    values.insert(value);
                }
                _ => unknown = true,
            }
        }
    }
    let texts = values.iter().flatten();
    match argument {
        Argument::Locale(_) => {
            // The environment's, or one that is loaded.
            let mut others = texts.filter(|name| !matches!(name.as_str(), "C" | "POSIX"));
            unknown |= others.clone().any(String::is_empty);
            asked
                .names
                .extend(others.clone().filter(|name| !name.is_empty()).map(|name| certain(name)));
            if !unknown && others.next().is_none() {
                return None;
            }
        }
        Argument::Mode(_) => {
            let has = |text: &String| text.contains("ccs=");
            unknown &= names::mentions(dynamic.file(), b",ccs=");
            if !unknown && !texts.clone().any(has) {
                return None;
            }
        }
        _ => {
            asked.names.extend(texts.clone().map(|name| certain(name)));
            if !unknown && asked.names.is_empty() {
                return None;
            }
        }
    }
    asked.unknown = unknown;
    Some(asked)
}

fn certain(name: &str) -> Name {
    Name { certainty: Certainty::Certain, name: name.to_owned() }
}

/// The text that a constant argument points to: `None` within if it is null, without if it is none.
fn text(file: &ElfFile<'_>, at: u64) -> Option<Option<String>> {
    if at == 0 {
        return Some(None);
    }
    let bytes = file.from(at)?;
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some(Some(String::from_utf8_lossy(&bytes[..end]).into_owned()))
}

/// Whether all that a locale's multibyte functions need is built into glibc: the names of its
/// character set that stand behind the point (iconv/gconv_builtin.h).
pub fn is_utf8(locale: &str) -> bool {
    let charset = locale.split('.').nth(1).unwrap_or_default();
    let charset = charset.split('@').next().unwrap_or_default();
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}
