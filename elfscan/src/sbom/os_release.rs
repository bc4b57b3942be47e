//! Which distribution it is: os-release(5).

/// What is of interest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`: `debian`. Empty where it is not known.
    pub id: String,
    /// `VERSION_ID`: `12`. Rolling distributions have none.
    pub version_id: Option<String>,
}

impl OsRelease {
    /// Reads assignments as a shell understands them, as far as os-release(5) allows them.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let value = |name: &str| {
            let mut lines = text.lines().rev().filter_map(|line| line.trim().split_once('='));
            let found = lines.find(|(key, _)| *key == name)?.1;
            let quoted = ['"', '\''].iter().find_map(|quote| {
                found.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote))
            });
            let plain = quoted.unwrap_or(found).replace('\\', "");
            Some(plain).filter(|value| !value.is_empty())
        };
        Self { id: value("ID").unwrap_or_default(), version_id: value("VERSION_ID") }
    }
}

#[cfg(test)]
mod tests {
    use super::OsRelease;

    #[test]
    fn quoted_and_not() {
        let text = b"PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n# ID=x\nVERSION_ID=\"12\"\n";
        let release = OsRelease::parse(text);
        assert_eq!((release.id.as_str(), release.version_id.as_deref()), ("debian", Some("12")));
        assert_eq!(OsRelease::parse(b"ID='arch'\n").version_id, None);
    }
}
