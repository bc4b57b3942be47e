//! dpkg's database (dpkg(1), deb-conffiles and the like): which installed package a path belongs to,
//! and the checksum that it has for it. All of it from bytes that may be anything.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::package::{Database, Package};

/// Where it is.
pub const STATUS: &str = "/var/lib/dpkg/status";
/// What is diverted.
pub const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
/// Where the packages' lists are.
pub const INFO: &str = "/var/lib/dpkg/info";

/// Directories that are links into /usr on a system with merged /usr, whose packages may list files
/// in either.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// The packages whose files are there: of those installed, or about to be.
pub fn parse_status(bytes: &[u8]) -> Vec<Package> {
    let mut packages = Vec::new();
    let mut fields: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for line in bytes.split(|&byte| byte == b'\n').chain([&b""[..]]) {
        if line.is_empty() {
            packages.extend(package(&fields));
            fields.clear();
        } else if !line.starts_with(b" ")
            && !line.starts_with(b"\t")
            && let Some(colon) = line.iter().position(|&byte| byte == b':')
        {
            fields.insert(&line[..colon], line[colon + 1..].trim_ascii());
        }
    }
    packages
}

fn package(fields: &BTreeMap<&[u8], &[u8]>) -> Option<Package> {
    let field = |name: &str| {
        fields.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let status = field("Status")?;
    let state = status.split_ascii_whitespace().nth(2)?;
    if matches!(state, "not-installed" | "config-files") {
        return None;
    }
    let name = field("Package").filter(|name| is_name(name))?;
    Some(Package {
        database: Database::Dpkg,
        name,
        version: field("Version")?,
        architecture: field("Architecture").filter(|name| is_name(name))?,
        // A version may stand behind it.
        source: field("Source").and_then(|text| Some(text.split_whitespace().next()?.to_owned())),
        licence: None,
    })
}

/// A name becomes part of a path.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain)
}

/// The names that a package's file of this kind may have: `libc6:amd64.list`, `bash.list`.
pub fn info_files(package: &Package, kind: &str) -> [String; 2] {
    let Package { name, architecture, .. } = package;
    [format!("{INFO}/{name}:{architecture}.{kind}"), format!("{INFO}/{name}.{kind}")]
}

/// The paths that packages may have listed a file under.
pub fn names_of(path: &Path) -> Vec<Vec<u8>> {
    let path = path.as_os_str().as_bytes();
    let merged = |rest: &[u8]| {
        MERGED
            .iter()
            .any(|dir| rest.strip_prefix(dir.as_bytes()).is_some_and(|rest| rest.starts_with(b"/")))
    };
    let mut names = vec![path.to_vec()];
    if let Some(rest) = path.strip_prefix(b"/usr/").filter(|rest| merged(rest)) {
        names.push([b"/", rest].concat());
    } else if let Some(rest) = path.strip_prefix(b"/").filter(|rest| merged(rest)) {
        names.push([b"/usr/", rest].concat());
    }
    names
}

/// The paths of `wanted` that a package's list names.
pub fn listed<'a>(list: &[u8], wanted: &'a HashSet<Vec<u8>>) -> Vec<&'a Vec<u8>> {
    list.split(|&byte| byte == b'\n').filter_map(|line| wanted.get(line)).collect()
}

/// What a package's md5sums say of a file that has one of these names: 32 hexadecimal digits.
pub fn md5_of(sums: &[u8], names: &[Vec<u8>]) -> Option<String> {
    sums.split(|&byte| byte == b'\n').find_map(|line| {
        let (sum, rest) = line.split_at_checked(32)?;
        let path = rest.trim_ascii_start();
        let is_it = names.iter().any(|name| name.strip_prefix(b"/") == Some(path));
        let sum = std::str::from_utf8(sum).ok()?;
        (is_it && sum.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| sum.to_lowercase())
    })
}

/// Files that packages have, but under other names (dpkg-divert(1)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diversions(Vec<Diversion>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Diversion {
    from: Vec<u8>,
    to: Vec<u8>,
    /// Whose own file keeps the name; none where the administrator made it.
    by: Option<String>,
}

impl Diversions {
    /// Three lines each.
    pub fn parse(bytes: &[u8]) -> Self {
        let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        let diversions = lines.chunks_exact(3).map(|lines| {
            let by = String::from_utf8_lossy(lines[2]).into_owned();
            let by = Some(by).filter(|by| by != ":");
            Diversion { from: lines[0].to_vec(), to: lines[1].to_vec(), by }
        });
        Self(diversions.collect())
    }

    /// The names that packages list a file under which lies at one of these.
    pub fn undone(&self, names: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let diverted = self.0.iter().filter(|diversion| names.contains(&diversion.to));
        diverted.map(|diversion| diversion.from.clone()).collect()
    }

    /// Whether a file of `package`, which lists `listed`, lies at one of `names`.
    pub fn keeps(&self, package: &str, listed: &[u8], names: &[Vec<u8>]) -> bool {
        let diversion = self.0.iter().find(|diversion| diversion.from == listed);
        match diversion {
            Some(diversion) if diversion.by.as_deref() != Some(package) => {
                names.contains(&diversion.to)
            }
            _ => names.iter().any(|name| name == listed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn packages_that_are_there() {
        let status = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\n\
            Source: glibc (2.35)\nVersion: 2.36-9\nConffiles:\n /etc/x 1\nDescription: a\n Version: 9\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n\
            Package: ../up\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n\
            Package: half\nStatus: install reinstreq half-installed\nArchitecture: all\nVersion: 2";
        let packages = parse_status(status);
        let names: Vec<_> = packages.iter().map(|it| (&*it.name, &*it.version)).collect();
        assert_eq!(names, [("libc6", "2.36-9"), ("half", "2")]);
        assert_eq!(packages[0].source.as_deref(), Some("glibc"));
        assert_eq!(info_files(&packages[0], "list")[0], "/var/lib/dpkg/info/libc6:amd64.list");
    }

    #[test]
    fn either_name_on_a_merged_usr() {
        let of = |path: &str| names_of(Path::new(path));
        assert_eq!(of("/usr/lib/a.so"), names(&["/usr/lib/a.so", "/lib/a.so"]));
        assert_eq!(of("/lib64/ld.so"), names(&["/lib64/ld.so", "/usr/lib64/ld.so"]));
        assert_eq!(of("/usr/libexec/x"), names(&["/usr/libexec/x"]));
        assert_eq!(of("/opt/lib/x"), names(&["/opt/lib/x"]));
    }

    #[test]
    fn checksums() {
        let sums = b"0123456789abcdef0123456789abcdef  lib/a.so\nxyz\nffffffffffffffffffffffffffffffff  b c\n";
        let of = |path: &str| md5_of(sums, &names_of(Path::new(path)));
        assert_eq!(of("/usr/lib/a.so").as_deref(), Some("0123456789abcdef0123456789abcdef"));
        assert_eq!(of("/b c").as_deref(), Some("ffffffffffffffffffffffffffffffff"));
        assert_eq!(of("/c"), None);
    }

    #[test]
    fn a_diverted_file_is_another_package_s() {
        let diversions = Diversions::parse(b"/bin/sh\n/bin/sh.distrib\ndash\n/a\n/a.local\n:\n");
        assert_eq!(diversions.undone(&names(&["/bin/sh.distrib"])), names(&["/bin/sh"]));
        let at_sh = names(&["/bin/sh"]);
        assert!(diversions.keeps("dash", b"/bin/sh", &at_sh));
        assert!(!diversions.keeps("bash", b"/bin/sh", &at_sh));
        assert!(diversions.keeps("bash", b"/bin/sh", &names(&["/bin/sh.distrib"])));
        assert!(!diversions.keeps("any", b"/a", &names(&["/a"])));
        assert!(diversions.keeps("any", b"/b", &names(&["/b"])));
    }
}
