//! Whether two outcomes agree, and where they first differ.

use crate::normalise::normalise;
use crate::run::{Outcome, Stream};
use crate::sandbox::End;

/// Result of comparing the converted program's run with the original's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Equal in end, stdout and stderr, byte for byte.
    Agrees,
    /// The original differs from itself; equal once that is normalised, or in every further pair.
    AgreesNormalised,
    /// Different: what, in a few lines.
    Differs(String),
}

/// Equal byte for byte. Of runs that were stopped, one stream may be the start of the other.
pub fn same(a: &Outcome, b: &Outcome) -> bool {
    difference(a, b, |stream| stream.bytes.clone()).is_none()
}

/// Judges `converted` among several runs of the original. Where the original agrees with itself the
/// comparison is exact, unless it is `unordered`.
pub fn judge(originals: &[Outcome], converted: &Outcome, unordered: bool) -> Verdict {
    let exact = |stream: &Stream| stream.bytes.clone();
    let loose = |stream: &Stream| normalise(&stream.bytes);
    let Some((first, others)) = originals.split_first() else {
        return Verdict::Agrees;
    };
    let Some(found) = difference(first, converted, exact) else {
        return Verdict::Agrees;
    };
    if !unordered && others.iter().all(|other| same(first, other)) {
        return Verdict::Differs(found);
    }
    let differences: Vec<_> =
        originals.iter().map(|original| difference(original, converted, loose)).collect();
    match differences.into_iter().collect::<Option<Vec<_>>>() {
        None => Verdict::AgreesNormalised,
        Some(found) => {
            let varies = others.iter().any(|other| difference(first, other, loose).is_some());
            let note = if varies { "(the original differs from itself, too)\n" } else { "" };
            Verdict::Differs(format!("{note}{}", found.first().map_or("", String::as_str)))
        }
    }
}

fn difference(a: &Outcome, b: &Outcome, view: impl Fn(&Stream) -> Vec<u8>) -> Option<String> {
    if a.end != b.end {
        let shown = |outcome: &Outcome| {
            let text = [&outcome.stderr.bytes[..], &outcome.stdout.bytes].concat();
            format!("{}: {}", outcome.end, excerpt(text.split(|&byte| byte == b'\n').next()))
        };
        return Some(format!("- {}\n+ {}", shown(a), shown(b)));
    }
    let partial = a.end == End::Stopped;
    for (name, a, b) in [("stdout", &a.stdout, &b.stdout), ("stderr", &a.stderr, &b.stderr)] {
        let (a, b) = (view(a), view(b));
        let equal = if partial { a.starts_with(&b) || b.starts_with(&a) } else { a == b };
        if !equal {
            return Some(format!("{name} {}", first_difference(&a, &b)));
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

    fn outcome(end: End, stdout: &str) -> Outcome {
        let stdout = Stream { bytes: stdout.into(), cut: false };
        Outcome { end, stdout, stderr: Stream::default() }
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
