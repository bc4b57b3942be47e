//! Names out of files, for people to read: they may hold anything. What is printed goes through here,
//! so that no name gives orders to a terminal, changes the order of letters, hides some, ends a line
//! or is a formula of a spreadsheet.

pub mod amount;

use std::borrow::Cow;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// With these a formula begins, in full width too.
const FORMULA: &str = "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}";

/// Whether a letter is seen where it stands, and does nothing else: no control character (C0, DEL,
/// C1), nothing that changes directions or has no width, no end of a line or paragraph, no white space
/// but the space.
pub fn is_shown(letter: char) -> bool {
    if letter.is_ascii() {
        return !letter.is_ascii_control();
    }
    // What Rust shows of a text as it is, is as wanted here. An accent at a text's beginning is not,
    // so it stands behind a letter.
    let mut text = String::from("x");
    text.push(letter);
    text.escape_debug().count() == 2
}

/// A text in one line in which every letter is seen.
pub fn printable(text: &str) -> String {
    escaped(text, |_| false).into_owned()
}

/// A text in lines, such as an answer as a whole, in which every letter is seen.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| letter == '\n')
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_good = |letter: char| is_shown(letter) || stays(letter);
    if text.chars().all(is_good) {
        return text.into();
    }
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_good(letter) {
            printable.push(letter);
        } else {
            printable.extend(letter.escape_default());
        }
    }
    printable.into()
}

/// A path in one line in which every letter is seen; what is no UTF-8 as `\xHH`.
pub fn path(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&escaped(chunk.valid(), |_| false));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A word of a command line that a shell reads as this file's name, and the command that gets it not
/// as an option. Where a letter would not be seen, in the way of `$'...'`, which bash, zsh, ksh and
/// POSIX.1-2024 have.
pub fn shell_word(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let dashed = [b"./", bytes].concat();
    let bytes = if bytes.starts_with(b"-") { &dashed[..] } else { bytes };
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_shown) => shell_words::quote(text).into_owned(),
        _ => {
            let mut word = String::from("$'");
            for &byte in bytes {
                match byte {
                    b'\'' | b'\\' => word.extend(['\\', char::from(byte)]),
                    b' '..=b'~' => word.push(char::from(byte)),
                    // Three digits always: the next letter may be a digit.
                    _ => word.extend(format!("\\{byte:03o}").chars()),
                }
            }
            word + "'"
        }
    }
}

/// A cell of a table that spreadsheets open: what they would take for a formula has an apostrophe in
/// front, as a user would write it.
pub fn cell(text: &str) -> String {
    let cell = printable(text);
    if cell.starts_with(|letter| FORMULA.contains(letter)) { format!("'{cell}") } else { cell }
}

/// JSON that means the same and has no letter in it that is not seen: those are written by number
/// (RFC 8259, section 7). JSON has them in strings only.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let is_good = |letter: char| is_shown(letter) || letter == '\n';
    if json.chars().all(is_good) {
        return json.into();
    }
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_good(letter) {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terminals_are_not_told_anything() {
        assert_eq!(printable("a\x1b[2Jb\n'ü"), "a\\u{1b}[2Jb\\n'ü");
        assert_eq!(printable_lines("a\r\nb\x07\n"), "a\\r\nb\\u{7}\n");
    }

    #[test]
    fn only_what_is_seen_is_shown() {
        let hidden = "\0\t\x7f\u{80}\u{9b}\u{a0}\u{ad}\u{61c}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\
                      \u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}\
                      \u{fff9}\u{e0001}\u{e0041}";
        for letter in hidden.chars() {
            assert!(!is_shown(letter), "{letter:?}");
        }
        for letter in "az09\"'\\ äß€漢字한🙂\u{308}\u{94d}א".chars() {
            assert!(is_shown(letter), "{letter:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_letters_are_numbers() {
        let name = PathBuf::from(std::ffi::OsString::from_vec(b"a\xff\x1bb".to_vec()));
        assert_eq!(path(&name), "a\\xff\\u{1b}b");
        assert_eq!(shell_word(&name), "$'a\\377\\033b'");
    }

    #[test]
    fn formulas_are_texts() {
        let cells = ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "\r=1", "＝1", "/bin/x", "a=b", ""];
        let shown =
            ["'=1+1", "'+1", "'-x", "'@SUM(A1)", "\\t=1", "\\r=1", "'＝1", "/bin/x", "a=b", ""];
        assert_eq!(cells.map(cell), shown);
    }

    #[test]
    fn words_are_the_shell_s() {
        let words = ["/bin/x", "/a b/$(x)'", "-x", "", "a\nb", "'\x1b0\\"];
        let quoted = words.map(|word| shell_word(Path::new(word)));
        for (word, quoted) in words.into_iter().zip(&quoted) {
            let script = format!("printf %s {quoted}");
            let run = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            let word = if word.starts_with('-') { format!("./{word}") } else { word.into() };
            assert_eq!(String::from_utf8(run.stdout).unwrap(), word, "{quoted}");
        }
        assert_eq!(quoted[0], "/bin/x");
    }

    proptest! {
        #[test]
        fn whatever_it_is(text in any::<String>()) {
            prop_assert!(printable(&text).chars().all(is_shown));
            prop_assert!(cell(&text).chars().all(is_shown));
            let json = serde_json::to_string(&text).unwrap();
            let safe = printable_json(&json);
            prop_assert!(safe.chars().all(is_shown));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }
}
