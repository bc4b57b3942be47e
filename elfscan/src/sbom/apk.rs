//! apk's database of installed packages (apk-package(5), "installed"): paragraphs of lines with a
//! letter each. Bytes that may be anything.

use std::collections::HashSet;

use super::package::{Database, Package};

/// Where it is; the second in newer distributions.
pub const INSTALLED: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// A file that a package has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Without the slash in front.
    pub path: Vec<u8>,
    /// Its checksum as it stands there: `Q1` and the base64 of its SHA-1.
    pub checksum: Option<String>,
}

/// The packages that have one of the files `wanted` (paths without the slash in front).
pub fn parse(bytes: &[u8], wanted: &HashSet<Vec<u8>>) -> Vec<(Package, Vec<Listed>)> {
    let mut found = Vec::new();
    let mut current = Paragraph::default();
    for line in bytes.split(|&byte| byte == b'\n').chain([&b""[..]]) {
        if line.is_empty() {
            found.extend(std::mem::take(&mut current).into_package());
        } else if let [letter, b':', value @ ..] = line {
            current.line(*letter, value, wanted);
        }
    }
    found
}

#[derive(Default)]
struct Paragraph {
    fields: [Option<String>; 5],
    directory: Vec<u8>,
    files: Vec<Listed>,
    /// The last file is a wanted one.
    in_file: bool,
}

/// Name, version, architecture, source, licence.
const FIELDS: [u8; 5] = *b"PVAoL";

impl Paragraph {
    fn line(&mut self, letter: u8, value: &[u8], wanted: &HashSet<Vec<u8>>) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match letter {
            b'F' => {
                self.directory = value.to_vec();
                self.in_file = false;
            }
            b'R' => {
                let mut path = self.directory.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend(value);
                self.in_file = wanted.contains(&path);
                if self.in_file {
                    self.files.push(Listed { path, checksum: None });
                }
            }
            b'Z' if self.in_file => {
                if let Some(file) = self.files.last_mut() {
                    file.checksum = Some(text());
                }
            }
            _ => {
                if let Some(field) = FIELDS.iter().position(|&field| field == letter) {
                    self.fields[field] = Some(text());
                }
            }
        }
    }

    fn into_package(self) -> Option<(Package, Vec<Listed>)> {
        let [name, version, architecture, source, licence] = self.fields;
        let package = Package {
            database: Database::Apk,
            name: name?,
            version: version?,
            architecture: architecture?,
            source,
            licence,
        };
        (!self.files.is_empty()).then_some((package, self.files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_packages() {
        let text =
            b"C:Q1xx\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\n\
            a:0:0:755\nZ:Q1abc=\nR:other\nZ:Q1def=\n\nP:empty\nV:1\nA:x86_64\nF:lib\nR:none\n";
        let wanted = HashSet::from([b"lib/ld-musl-x86_64.so.1".to_vec()]);
        let found = parse(text, &wanted);
        assert_eq!(found.len(), 1);
        let (package, files) = &found[0];
        assert_eq!((&*package.name, package.licence.as_deref()), ("musl", Some("MIT")));
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].checksum.as_deref(), Some("Q1abc="));
    }
}
