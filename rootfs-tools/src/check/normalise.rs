//! What may differ between two runs of one file, and what it is replaced by before comparison.
//!
//! Used only where two runs of the original already differ, or for programs whose order is chance.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::Regex;

/// Pattern, replacement. Applied in this order.
const RULES: &[(&str, &str)] = &[
    // Random identifiers.
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "UUID"),
    (r"\b[0-9a-fA-F]{32,}\b", "RANDOM"),
    // Lock files of GnuPG: address, host, process id.
    (r"\.#lk0x[0-9a-f]+\.\w+\.\d+", ".#LOCK"),
    // Addresses.
    (r"\b0x[0-9a-fA-F]+\b", "ADDRESS"),
    (r"\b[0-9a-f]{8,16}-[0-9a-f]{8,16}\b", "ADDRESS-ADDRESS"),
    (r"\b(?:[0-9a-f]{12}|[0-9a-f]{16})\b", "ADDRESS"),
    // Names that mkstemp and its relatives make.
    (r"(/tmp|/dev/shm)/[-+.\w]+", "$1/NAME"),
    // Points of time and durations.
    (r"\b\d{4}-\d\d-\d\d\b", "DATE"),
    (r"\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b", "TIME"),
    (r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b", "DAY"),
    (r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b", "MONTH"),
    // The lines of a tree: which entry is the last depends on the order.
    ("[│├└─]+", ""),
    // Counters, sizes, process ids, and the blanks that align them.
    (r"[ \t]*\d+(?:[.,]\d+)*(?:e[-+]?\d+)?", " NUMBER"),
];

static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    RULES
        .iter()
        .filter_map(|(pattern, replacement)| Some((Regex::new(pattern).ok()?, *replacement)))
        .collect()
});

/// Replaces what may differ by the kind of thing it is, and sorts the lines: several processes of
/// one program write in any order.
pub fn normalise(text: &[u8]) -> Vec<u8> {
    let mut text = Cow::Borrowed(text);
    for (pattern, replacement) in COMPILED.iter() {
        text = Cow::Owned(pattern.replace_all(&text, replacement.as_bytes()).into_owned());
    }
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    lines.join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles() {
        assert_eq!(COMPILED.len(), RULES.len());
    }

    #[test]
    fn rules() {
        for (text, expected) in [
            ("pid 4711: gone", "pid NUMBER: gone"),
            ("up 3:07,  load 0.52", "up TIME,  load NUMBER"),
            ("Sat Nov  1 12:00:59 UTC 2025", "DAY MONTH NUMBER TIME UTC NUMBER"),
            ("at 0x7f0012345678", "at ADDRESS"),
            ("opened /tmp/abc.X1y2Z3", "opened /tmp/NAME"),
            ("8cd27cb8b7ed4ee3b2ab61d7f8d5cd3d", "RANDOM"),
            ("x\na\n", "\na\nx"),
            ("├─/sys\n│ └─/dev/vda", " /dev/vda\n/sys"),
            ("3.5e-05 s", " NUMBER s"),
            ("cannot open file", "cannot open file"),
        ] {
            assert_eq!(String::from_utf8_lossy(&normalise(text.as_bytes())), expected);
        }
    }
}
