//! What commands say in one machine and in the other.

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::commands::Command;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Both outputs.
    pub text: String,
}

/// What a terminal adds, taken away.
pub fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\n", "\n").trim_matches(['\r', '\n']).to_owned()
}

/// What is wrong, in words; empty if the two did the same, and what was expected of them.
pub fn differences(
    system: &str,
    command: &Command,
    normal: &Said,
    converted: &Said,
) -> Option<String> {
    let name = command.name;
    if normal.status != command.status {
        let (status, text) = (normal.status, &normal.text);
        return Some(format!("{system}: {name}: in the normal guest: status {status}: {text}"));
    }
    if normal.status != converted.status {
        let (status, text) = (converted.status, &converted.text);
        return Some(format!("{system}: {name}: in the converted guest: status {status}: {text}"));
    }
    let (a, b) = (normalise(command, &normal.text), normalise(command, &converted.text));
    (a != b).then(|| format!("{system}: {name}: normal:\n{a}\nconverted:\n{b}"))
}

/// With what changes from one boot to the next taken away.
fn normalise(command: &Command, text: &str) -> String {
    let mut text = text.to_owned();
    for pattern in command.varies {
        let pattern = Regex::new(pattern).expect("the list's patterns are right; a test says so");
        text = pattern.replace_all(&text, "(varies)").into_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_differs() {
        let command = Command { name: "x", line: "x", status: 0, varies: &[r"pid \d+"] };
        let said = |status, text: &str| Said { status, text: text.into() };
        let differs = |a: &Said, b: &Said| differences("ext4", &command, a, b);
        assert_eq!(differs(&said(0, "pid 1"), &said(0, "pid 27")), None);
        assert!(differs(&said(0, "a"), &said(0, "b")).is_some());
        assert!(differs(&said(0, "a"), &said(139, "a")).is_some_and(|text| text.contains("139")));
        // What fails in both is a mistake in the list.
        assert!(differs(&said(1, "a"), &said(1, "a")).is_some_and(|text| text.contains("normal")));
    }

    #[test]
    fn a_terminal_adds_carriage_returns() {
        assert_eq!(plain(b"\r\na\r\nb\r\n"), "a\nb");
    }
}
