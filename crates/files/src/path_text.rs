//! Paths as text, for JSON: any bytes, reversibly. UTF-8 stands as it is; a backslash is doubled, any
//! other byte, control characters and whatever else is not seen ([`is_shown`]) are `\xHH`.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serializer};
use statify_printable::is_shown;

/// The text that stands for a path.
pub fn to_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                c if !is_shown(c) => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        let _ = write!(text, "\\x{byte:02x}");
                    }
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The path that a text stands for; `None` if no path has this text.
pub fn from_text(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        match behind {
            [b'\\', rest_of @ ..] => {
                bytes.push(b'\\');
                rest = rest_of;
            }
            [b'x', high, low, rest_of @ ..] => {
                let digit = |digit: &u8| char::from(*digit).to_digit(16);
                bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = rest_of;
            }
            _ => return None,
        }
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

/// For serde's `with`.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(path))
}

/// For serde's `with`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    from_text(&text).ok_or_else(|| serde::de::Error::custom("no path"))
}

/// For serde's `with`, of several.
pub mod list {
    use super::*;
    use serde::Serialize;

    /// For serde's `with`.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        paths.iter().map(|path| to_text(path)).collect::<Vec<_>>().serialize(serializer)
    }

    /// For serde's `with`.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<PathBuf>, D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        let paths: Option<Vec<_>> = texts.iter().map(|text| from_text(text)).collect();
        paths.ok_or_else(|| serde::de::Error::custom("no path"))
    }
}

/// For serde's `with`, of one that may be missing.
pub mod option {
    use super::*;

    /// For serde's `with`.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, s: S) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => s.serialize_some(&to_text(path)),
            None => s.serialize_none(),
        }
    }

    /// For serde's `with`.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<PathBuf>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        let path = text.map(|text| from_text(&text).ok_or("no path")).transpose();
        path.map_err(serde::de::Error::custom)
    }
}

/// The last component's text, or the whole where there is none.
pub fn name(path: &Path) -> String {
    to_text(Path::new(path.file_name().unwrap_or(OsStr::new(path))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
            let text = to_text(&path);
            prop_assert!(text.chars().all(is_shown));
            prop_assert_eq!(from_text(&text), Some(path));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,64}") {
            if let Some(path) = from_text(&text) {
                prop_assert_eq!(from_text(&to_text(&path)), Some(path));
            }
        }
    }

    #[test]
    fn plain_names_stand_as_they_are() {
        assert_eq!(to_text(Path::new("/usr/bin/ä b")), "/usr/bin/ä b");
        assert_eq!(to_text(Path::new("a\\\n")), "a\\\\\\x0a");
        assert_eq!(to_text(Path::new("a\u{202e}b")), "a\\xe2\\x80\\xaeb");
    }
}
