//! What stands behind a directive's colon.

use regex::bytes::{Regex, RegexBuilder};

use crate::process::End;

/// What may be said once.
pub(super) fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("given twice, or together with a directive it excludes".into()),
    }
}

/// Words, as a shell parts them.
pub(super) fn words(value: &str) -> Result<Vec<String>, String> {
    shell_words::split(value).map_err(|error| error.to_string())
}

/// A sentence for people.
pub(super) fn sentence(value: &str) -> Result<String, String> {
    match value.trim() {
        "" => Err("expected a sentence".into()),
        text => Ok(text.into()),
    }
}

/// A pattern; `^` and `$` are a line's ends.
pub(super) fn pattern(value: &str) -> Result<Regex, String> {
    RegexBuilder::new(value).multi_line(true).build().map_err(|error| error.to_string())
}

/// Adds a line.
pub(super) fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// `Exit`.
pub(super) fn end_by_status(value: &str) -> Result<End, String> {
    let status: u8 = value.trim().parse().map_err(|_| "expected a status of 0 to 255")?;
    Ok(End::Exit(status.into()))
}

/// `Signal`.
pub(super) fn end_by_signal(value: &str) -> Result<End, String> {
    let name = value.trim();
    let full = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    full.parse().map(End::Signal).map_err(|_| format!("`{name}` is no signal"))
}
