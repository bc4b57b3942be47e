//! The records of PAX headers (POSIX, pax, "pax Extended Header"): a length in decimal, a blank, a
//! keyword, `=`, a value, and a newline. Values are any bytes: attributes such as capabilities have
//! newlines and NULs in them, so only the length says where one ends.

/// Keywords and values, in order; of several with one keyword the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Reads them; `None` if these are no records.
    pub fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let blank = bytes.iter().take(20).position(|&byte| byte == b' ')?;
            let len: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
            let (record, rest) = bytes.split_at_checked(len)?;
            let text = record.get(blank + 1..)?.strip_suffix(b"\n")?;
            let equals = text.iter().position(|&byte| byte == b'=')?;
            records.push((text[..equals].to_vec(), text[equals + 1..].to_vec()));
            bytes = rest;
        }
        Some(Self(records))
    }

    /// Their bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in &self.0 {
            // Blank, `=` and newline; the length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let mut len = rest + 1;
            while rest + len.to_string().len() != len {
                len = rest + len.to_string().len();
            }
            bytes.extend(len.to_string().bytes());
            bytes.push(b' ');
            bytes.extend(key);
            bytes.push(b'=');
            bytes.extend(value);
            bytes.push(b'\n');
        }
        bytes
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().rev().find(|(known, _)| known == key.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    /// A record's value that is a number.
    pub fn number(&self, key: &str) -> Option<u64> {
        std::str::from_utf8(self.get(key)?).ok()?.parse().ok()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// One more.
    pub fn push(&mut self, key: &str, value: &[u8]) {
        self.0.push((key.as_bytes().to_vec(), value.to_vec()));
    }

    /// All of `other` behind these.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The records whose keyword is wanted.
    pub fn filter(&self, wanted: impl Fn(&[u8]) -> bool) -> Self {
        Self(self.0.iter().filter(|(key, _)| wanted(key)).cloned().collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_value_comes_back(
            keys in prop::collection::vec("[a-zA-Z.]{1,90}", 0..4),
            value in prop::collection::vec(any::<u8>(), 0..1200),
        ) {
            let mut records = Records::default();
            for key in &keys {
                records.push(key, &value);
            }
            let bytes = records.to_bytes();
            prop_assert_eq!(Records::parse(&bytes), Some(records));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Records::parse(&bytes);
        }
    }

    #[test]
    fn the_length_counts_itself() {
        let mut records = Records::default();
        records.push("a", &[b'x'; 94]);
        // 94 + "a", blank, `=`, newline: 98 and two digits would be 100, which has three.
        assert!(records.to_bytes().starts_with(b"101 a="));
        assert_eq!(Records::parse(b"6 a=b\n").unwrap().get("a"), Some(&b"b"[..]));
        assert_eq!(Records::parse(b"7 a=b\n"), None);
    }
}
