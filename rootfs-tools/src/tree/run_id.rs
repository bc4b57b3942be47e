//! What a run is called: a random number, so that nobody knows it beforehand.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of it.
const LEN: usize = 16;

/// 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RunId(String);

impl RunId {
    /// A new one.
    pub fn new() -> std::io::Result<Self> {
        let mut bytes = [0; LEN];
        // SAFETY: the kernel writes at most so many bytes.
        let len = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), LEN, 0) };
        if len == LEN as isize {
            return Ok(Self(statify_format::manifest::hex(&bytes)));
        }
        Err(std::io::Error::last_os_error())
    }
}

impl TryFrom<String> for RunId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_one = text.len() == 2 * LEN && text.bytes().all(is_digit);
        if is_one { Ok(Self(text)) } else { Err("32 hexadecimal digits are wanted") }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another() {
        let (one, other) = (RunId::new().unwrap(), RunId::new().unwrap());
        assert_ne!(one, other);
        assert_eq!(RunId::try_from(one.to_string()), Ok(one));
        assert!(RunId::try_from("../".to_owned() + &"0".repeat(29)).is_err());
    }
}
