//! Cells of tables, each with where its number is in the JSON.

use maud::{Markup, html};
use statify_printable::amount::thousands;

use crate::report::figures::Growth;

/// A number.
pub fn number(pointer: &str, value: u64) -> Markup {
    html! { td.n data-json=(pointer) { (thousands(value)) } }
}

/// A quotient.
pub(crate) fn factor(pointer: &str, value: f64) -> Markup {
    html! { td.n data-json=(pointer) { (factor_text(value)) } }
}

/// A share.
pub fn percent(pointer: &str, value: f64) -> Markup {
    html! { td.n data-json=(pointer) { (format!("{value:.2} %")) } }
}

/// A number that may be missing.
pub(crate) fn maybe_number(pointer: &str, value: Option<u64>) -> Markup {
    value.map_or_else(unknown, |value| number(pointer, value))
}

/// A quotient that may be missing.
pub(crate) fn maybe_factor(pointer: &str, value: Option<f64>) -> Markup {
    value.map_or_else(unknown, |value| factor(pointer, value))
}

fn unknown() -> Markup {
    html! { td.n { "–" } }
}

/// A number that stands alone.
pub fn dd(pointer: &str, value: usize) -> Markup {
    html! { dd data-json=(pointer) { (thousands(value as u64)) } }
}

/// Three cells: before, after, quotient.
pub fn growth(pointer: &str, growth: &Growth) -> Markup {
    html! {
        (number(&format!("{pointer}/original"), growth.original))
        (number(&format!("{pointer}/converted"), growth.converted))
        (factor(&format!("{pointer}/times"), growth.times))
    }
}

/// A row's name, and what kind of row it is.
pub(crate) fn row_name(what: &str, name: &str) -> Markup {
    html! {
        th scope="row" {
            @if !what.is_empty() { span.what { (what) } }
            @if !what.is_empty() && !name.is_empty() { " " }
            @if !name.is_empty() { bdi { (statify_printable::printable(name)) } }
        }
    }
}

/// A quotient in words.
pub(crate) fn factor_text(value: f64) -> String {
    format!("{value:.2}×")
}

/// A name in a JSON pointer.
pub fn key(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A number of bytes, briefly, for charts.
pub(crate) fn brief_bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(value < 100.0 && value.fract() >= 0.05);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_brief() {
        let texts = [0.0, 999.0, 1536.0, 1e7, 234_567.0, 3e15].map(brief_bytes);
        assert_eq!(texts, ["0 B", "999 B", "1.5 kB", "10 MB", "235 kB", "3000 TB"]);
    }

    #[test]
    fn keys_of_pointers() {
        let value = serde_json::json!({ "a/b~c": 1 });
        assert_eq!(value.pointer(&format!("/{}", key("a/b~c"))), Some(&1.into()));
    }
}
