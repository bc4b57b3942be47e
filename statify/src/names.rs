//! Names out of files, for people to read: they may hold anything.

use std::path::Path;

/// Text without control characters, which a terminal would obey.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            printable.extend(letter.escape_default());
        } else {
            printable.push(letter);
        }
    }
    printable
}

/// A path likewise.
pub fn path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    #[test]
    fn terminals_are_not_told_anything() {
        assert_eq!(super::printable("a\x1b[2Jb\n'ü"), "a\\u{1b}[2Jb\\n'ü");
    }
}
