//! Whether two outcomes agree, and where they first differ.

use std::borrow::Cow;

use super::normalise::normalise;
use super::outcome::{End, Outcome};

/// Result of comparing the converted program's run with the original's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Equal in end, stdout and stderr, byte for byte.
    Agrees,
    /// The original differs from itself; equal once that is normalised, or in every further pair.
    AgreesNormalised,
    /// The original differs from itself even when normalised, and from this: where, in a few lines.
    Varies(String),
    /// Different: what, in a few lines.
    Differs(String),
}

impl Verdict {
    /// Where both differ, if they do.
    pub fn difference(&self) -> Option<&str> {
        match self {
            Self::Agrees | Self::AgreesNormalised => None,
            Self::Varies(what) | Self::Differs(what) => Some(what),
        }
    }
}

/// Equal byte for byte. Of runs that were stopped, one stream may be the start of the other.
pub fn same(a: &Outcome, b: &Outcome) -> bool {
    difference(a, b, View::Exact).is_none()
}

/// Equal but for the order of the lines.
pub fn same_lines(a: &Outcome, b: &Outcome) -> bool {
    difference(a, b, View::Lines).is_none()
}

/// How two outcomes differ, byte for byte.
pub(crate) fn exact_difference(a: &Outcome, b: &Outcome) -> Option<String> {
    difference(a, b, View::Exact)
}

/// Judges `converted` among several runs of the original. Where the original agrees with itself the
/// comparison is exact, unless it is `unordered`.
pub fn judge(originals: &[Outcome], converted: &Outcome, unordered: bool) -> Verdict {
    let Some((first, others)) = originals.split_first() else {
        return Verdict::Agrees;
    };
    let Some(found) = difference(first, converted, View::Exact) else {
        return Verdict::Agrees;
    };
    if !unordered && others.iter().all(|other| same(first, other)) {
        return Verdict::Differs(found);
    }
    let differences: Option<Vec<_>> = originals
        .iter()
        .map(|original| difference(original, converted, View::Normalised))
        .collect();
    let Some(found) =
        differences.and_then(|mut found| (!found.is_empty()).then(|| found.remove(0)))
    else {
        return Verdict::AgreesNormalised;
    };
    if others.iter().any(|other| difference(first, other, View::Normalised).is_some()) {
        return Verdict::Varies(format!("(the original differs from itself, too)\n{found}"));
    }
    Verdict::Differs(found)
}

/// What of the streams is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Exact,
    Lines,
    Normalised,
}

impl View {
    fn of(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Exact => Cow::Borrowed(bytes),
            Self::Lines => {
                let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
                lines.sort_unstable();
                Cow::Owned(lines.join(&b'\n'))
            }
            Self::Normalised => Cow::Owned(normalise(bytes)),
        }
    }
}

fn difference(a: &Outcome, b: &Outcome, view: View) -> Option<String> {
    if a.end != b.end {
        let shown = |outcome: &Outcome| {
            let text = [&outcome.stderr.bytes[..], &outcome.stdout.bytes].concat();
            format!("{}: {}", outcome.end, excerpt(text.split(|&byte| byte == b'\n').next()))
        };
        return Some(format!("- {}\n+ {}", shown(a), shown(b)));
    }
    let partial = a.end == End::Stopped;
    for (name, a, b) in [("stdout", &a.stdout, &b.stdout), ("stderr", &a.stderr, &b.stderr)] {
        let (seen_a, seen_b) = (view.of(&a.bytes), view.of(&b.bytes));
        let equal = if partial {
            seen_a.starts_with(&seen_b) || seen_b.starts_with(&seen_a)
        } else {
            seen_a == seen_b
        };
        if !equal {
            return Some(format!("{name} {}", first_difference(&seen_a, &seen_b)));
        }
        if !partial && view == View::Exact && !a.has_same_rest(b) {
            return Some(format!("{name}, behind its first {} bytes", a.bytes.len()));
        }
    }
    None
}

/// The first line that differs, as a diff shows it.
fn first_difference(a: &[u8], b: &[u8]) -> String {
    let mut a = a.split(|&byte| byte == b'\n');
    let mut b = b.split(|&byte| byte == b'\n');
    let mut number = 0;
    loop {
        number += 1;
        let (left, right) = (a.next(), b.next());
        if left != right || left.is_none() {
            return format!("line {number}\n- {}\n+ {}", excerpt(left), excerpt(right));
        }
    }
}

fn excerpt(line: Option<&[u8]>) -> String {
    const WIDTH: usize = 160;
    let Some(line) = line else {
        return "(end)".into();
    };
    let text = String::from_utf8_lossy(line).escape_debug().to_string();
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::outcome::Stream;

    fn outcome(end: End, stdout: &str) -> Outcome {
        let mut stream = Stream::default();
        stream.add(stdout.as_bytes());
        Outcome { end, stdout: stream, stderr: Stream::default() }
    }

    #[test]
    fn a_stable_original_is_compared_exactly() {
        let original = outcome(End::Exit(0), "pid 1\n");
        let other = outcome(End::Exit(0), "pid 2\n");
        let twice = [original.clone(), original.clone()];
        assert_eq!(judge(&twice, &original, false), Verdict::Agrees);
        assert!(matches!(judge(&twice, &other, false), Verdict::Differs(_)));
        assert_eq!(judge(&twice, &other, true), Verdict::AgreesNormalised);
    }

    #[test]
    fn an_unstable_original_is_normalised() {
        let runs =
            ["pid 1\n", "pid 2\n", "pid 3\n", "pid x\n"].map(|text| outcome(End::Exit(0), text));
        assert_eq!(judge(&runs[..2], &runs[2], false), Verdict::AgreesNormalised);
        assert!(matches!(judge(&runs[..2], &runs[3], false), Verdict::Differs(_)));
        let runs = ["red\n", "green\n", "blue\n"].map(|text| outcome(End::Exit(0), text));
        assert!(matches!(judge(&runs[..2], &runs[2], false), Verdict::Varies(_)));
    }

    #[test]
    fn lines_in_another_order() {
        let original = outcome(End::Exit(0), "troff\ngrops\n");
        assert!(same_lines(&original, &outcome(End::Exit(0), "grops\ntroff\n")));
        assert!(!same(&original, &outcome(End::Exit(0), "grops\ntroff\n")));
        assert!(!same_lines(&original, &outcome(End::Exit(0), "troff\ngrops\nmore\n")));
        assert!(!same_lines(&original, &outcome(End::Exit(1), "troff\ngrops\n")));
    }

    #[test]
    fn ends_count_before_output() {
        let original = outcome(End::Exit(0), "");
        let crashed = outcome(End::Signal("SIGSEGV".into()), "");
        let Verdict::Differs(text) = judge(&[original], &crashed, false) else {
            panic!("must differ")
        };
        assert!(text.contains("SIGSEGV"));
    }

    #[test]
    fn stopped_runs_may_have_come_differently_far() {
        assert!(same(&outcome(End::Stopped, "y\ny\n"), &outcome(End::Stopped, "y\n")));
        assert!(!same(&outcome(End::Stopped, "y\n"), &outcome(End::Stopped, "n\n")));
    }
}
