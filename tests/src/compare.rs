//! Holding what two runs did against each other, and against what was expected of them.

use std::path::Path;

use crate::directives::Fixture;
use crate::process::Outcome;

/// Replaces each path in `from` by `to`, so that outputs that name the program's own file can be compared.
pub fn normalise(output: &[u8], from: &Path, to: &str) -> Vec<u8> {
    let from = from.as_os_str().as_encoded_bytes();
    let mut result = Vec::with_capacity(output.len());
    let mut rest = output;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// What a run did that the fixture's directives do not allow. Empty if all is well.
pub fn against_directives(outcome: &Outcome, fixture: &Fixture) -> Vec<String> {
    let mut wrong = Vec::new();
    if outcome.end != fixture.end {
        wrong.push(format!("{} in place of {}", outcome.end, fixture.end));
    }
    if let Some(expected) = &fixture.stdout {
        wrong.extend(difference("stdout", expected.as_bytes(), &outcome.stdout));
    }
    for pattern in &fixture.stdout_patterns {
        if !pattern.is_match(&outcome.stdout) {
            wrong.push(format!("stdout does not match `{pattern}`"));
        }
    }
    if !wrong.is_empty() {
        wrong.push(said(outcome));
    }
    wrong
}

/// In what the second of two runs differs from the first. Empty if in nothing.
pub fn against_each_other(original: &Outcome, converted: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    if original.end != converted.end {
        wrong.push(format!("{} in place of {}", converted.end, original.end));
    }
    wrong.extend(difference("stdout", &original.stdout, &converted.stdout));
    wrong.extend(difference("stderr", &original.stderr, &converted.stderr));
    wrong
}

/// The first line in which two texts differ.
pub fn difference(what: &str, expected: &[u8], found: &[u8]) -> Option<String> {
    if expected == found {
        return None;
    }
    let mut expected_lines = expected.split_inclusive(|&byte| byte == b'\n');
    let mut found_lines = found.split_inclusive(|&byte| byte == b'\n');
    let mut number = 0;
    loop {
        number += 1;
        let pair = (expected_lines.next(), found_lines.next());
        if pair.0 != pair.1 {
            let show = |line: Option<&[u8]>| match line {
                Some(line) => format!("{:?}", String::from_utf8_lossy(line)),
                None => "its end".into(),
            };
            return Some(format!(
                "{what}, line {number}: {} in place of {}",
                show(pair.1),
                show(pair.0)
            ));
        }
    }
}

/// The last kilobyte of both outputs, for a message.
pub fn said(outcome: &Outcome) -> String {
    let tail = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(1024)..]).trim_end().to_owned()
    };
    let mut text = String::new();
    for (name, bytes) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        if !bytes.is_empty() {
            text.push_str(&format!("{name}: {}\n", tail(bytes)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_line_that_differs() {
        let cases: [(&[u8], &[u8], Option<&str>); 4] = [
            (b"a\nb\n", b"a\nb\n", None),
            (b"a\nb\n", b"a\nc\n", Some("out, line 2: \"c\\n\" in place of \"b\\n\"")),
            (b"a\n", b"a\nb", Some("out, line 2: \"b\" in place of its end")),
            (b"a\n", b"a", Some("out, line 1: \"a\" in place of \"a\\n\"")),
        ];
        for (expected, found, message) in cases {
            assert_eq!(difference("out", expected, found).as_deref(), message);
        }
    }

    #[test]
    fn normalises_every_occurrence() {
        let text = normalise(b"/d/conv/x: /d/conv/xy /d/con", Path::new("/d/conv/x"), "$EXE");
        assert_eq!(text, b"$EXE: $EXEy /d/con");
    }
}
