//! Which package an embedded file is of, as the package database of a root knows it now, and whether
//! that is still so: a database is of today, an output of the day of its conversion.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use rayon::prelude::*;
use serde::Serialize;
use sha1::Sha1;
use sha2::Digest;
use statify_format::manifest::{EmbeddedFile, FileKind, hex};
use statify_room::Root;

use super::os_release::OsRelease;
use super::package::Package;
use super::{apk, dpkg};
use crate::converted::open::Converted;
use crate::converted::originals::{self, Original};

/// No file of a database is longer, in bytes.
const LONGEST: usize = 256 << 20;

/// How certain it is that an embedded file is the package's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Its checksum is the database's.
    Verified,
    /// Its checksum is another: somebody has changed it.
    Modified,
    /// The file is still there; the database has no checksum of it.
    Unverified,
    /// Another file is at its path now: the package may have been of another version.
    Changed,
    /// No file is at its path now.
    Missing,
}

/// A package and how certain it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The package.
    pub package: Package,
    /// How certain.
    pub evidence: Evidence,
}

/// The package databases of a root.
#[derive(Debug)]
pub struct Packages<'a> {
    root: &'a Root,
    /// Of the distribution.
    pub release: OsRelease,
    dpkg: Vec<Package>,
    diversions: dpkg::Diversions,
    apk: Vec<u8>,
    /// There is a database that cannot be read here.
    pub has_rpm: bool,
    /// Files that are there and were not read, and why.
    pub unread: Vec<String>,
}

impl<'a> Packages<'a> {
    /// Opens what there is.
    pub fn open(root: &'a Root) -> Self {
        let unread = RefCell::new(Vec::new());
        let read = |path: &str| match read(root, path) {
            Ok(bytes) => bytes,
            Err(error) => {
                unread.borrow_mut().extend(error.map(|error| format!("{path}: {error}")));
                Vec::new()
            }
        };
        let release = ["/etc/os-release", "/usr/lib/os-release"].iter().map(|path| read(path));
        let release = release.into_iter().find(|bytes| !bytes.is_empty()).unwrap_or_default();
        let apk = apk::INSTALLED.iter().map(|path| read(path)).find(|bytes| !bytes.is_empty());
        let rpm = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"].iter();
        let dpkg = dpkg::parse_status(&read(dpkg::STATUS));
        let diversions = dpkg::Diversions::parse(&read(dpkg::DIVERSIONS));
        Self {
            root,
            release: OsRelease::parse(&release),
            dpkg,
            diversions,
            apk: apk.unwrap_or_default(),
            has_rpm: rpm.into_iter().any(|path| root.has(Path::new(path))),
            unread: unread.into_inner(),
        }
    }

    /// The package of each embedded file.
    pub fn owners(&self, converted: &Converted<'_>) -> Vec<Option<Owner>> {
        let files = &converted.manifest.files;
        let names: Vec<Vec<Vec<u8>>> = files.iter().map(|file| self.names_of(file)).collect();
        let found = self.packages_of(&names);
        let describe = |(file, candidates): (&EmbeddedFile, Vec<Candidate>)| {
            let original = Original::find(self.root, file);
            let bytes = whole(converted, file).or(original.bytes());
            let mut owners: Vec<Owner> = candidates
                .into_iter()
                .map(|Candidate { package, checksum }| {
                    let evidence = match (bytes, &original) {
                        (Some(bytes), _) => compare(bytes, checksum.as_deref()),
                        (None, Original::Missing) => Evidence::Missing,
                        (None, _) => Evidence::Changed,
                    };
                    Owner { package, evidence }
                })
                .collect();
            // Of several that have the path, the one whose file it is.
            owners.sort_by_key(|owner| owner.evidence != Evidence::Verified);
            owners.into_iter().next()
        };
        files.par_iter().zip(found.into_par_iter()).map(describe).collect()
    }

    /// The paths under which databases may have a file.
    fn names_of(&self, file: &EmbeddedFile) -> Vec<Vec<u8>> {
        let mut names = dpkg::names_of(&file.path);
        let real = self.root.find(&file.path).and_then(|found| found.path());
        if let Ok(real) = real {
            names.extend(dpkg::names_of(&real));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The packages that have a file of one of these names; by file.
    fn packages_of(&self, names: &[Vec<Vec<u8>>]) -> Vec<Vec<Candidate>> {
        let mut found: Vec<Vec<Candidate>> = names.iter().map(|_| Vec::new()).collect();
        let undone = names.iter().map(|names| self.diversions.undone(names)).collect::<Vec<_>>();
        let all = names.iter().chain(&undone).flatten().cloned();
        let wanted: HashSet<Vec<u8>> = all.collect();
        let of_package = |package: &Package| {
            let [with, without] = dpkg::info_files(package, "list");
            let list = read(self.root, &with).or_else(|_| read(self.root, &without));
            let listed = list
                .ok()
                .map(|list| dpkg::listed(&list, &wanted).into_iter().cloned().collect::<Vec<_>>());
            listed.unwrap_or_default()
        };
        let listing: Vec<_> = self.dpkg.par_iter().map(of_package).collect();
        let listing = self.dpkg.iter().zip(listing);
        for (package, listed) in listing.filter(|(_, listed)| !listed.is_empty()) {
            let [with, without] = dpkg::info_files(package, "md5sums");
            let sums = read(self.root, &with).or_else(|_| read(self.root, &without)).ok();
            for (index, own) in names.iter().enumerate() {
                let keeps = |name: &Vec<u8>| self.diversions.keeps(&package.name, name, own);
                let Some(name) = listed.iter().find(|name| keeps(name)) else { continue };
                let mut names = own.clone();
                names.push(name.clone());
                let checksum = sums.as_ref().and_then(|sums| dpkg::md5_of(sums, &names));
                found[index].push(Candidate { package: package.clone(), checksum });
            }
        }
        let relative = |name: &Vec<u8>| name.strip_prefix(b"/").unwrap_or(name).to_vec();
        for (package, files) in apk::parse(&self.apk, &wanted.iter().map(relative).collect()) {
            for (index, own) in names.iter().enumerate() {
                let own: Vec<Vec<u8>> = own.iter().map(relative).collect();
                if let Some(file) = files.iter().find(|file| own.contains(&file.path)) {
                    let checksum = file.checksum.clone();
                    found[index].push(Candidate { package: package.clone(), checksum });
                }
            }
        }
        found
    }
}

/// A package that has a file's path.
#[derive(Debug)]
struct Candidate {
    package: Package,
    /// MD5 in hexadecimal, or apk's `Q1...`.
    checksum: Option<String>,
}

/// The bytes of a file that is embedded as a whole.
fn whole<'a>(converted: &Converted<'a>, file: &EmbeddedFile) -> Option<&'a [u8]> {
    let [memory] = &file.memory[..] else { return None };
    let start = memory.stored_at.filter(|_| file.kind == FileKind::Plugin)?;
    let bytes = converted.part(start..start.checked_add(file.size)?)?;
    (memory.file_offset == Some(0) && hex(&sha2::Sha256::digest(bytes)) == file.sha256)
        .then_some(bytes)
}

fn compare(bytes: &[u8], checksum: Option<&str>) -> Evidence {
    let own = match checksum {
        Some(sum) if sum.starts_with("Q1") => {
            format!("Q1{}", STANDARD.encode(Sha1::digest(bytes)))
        }
        Some(sum) if sum.len() == 32 => hex(&Md5::digest(bytes)),
        _ => return Evidence::Unverified,
    };
    if checksum == Some(&own) { Evidence::Verified } else { Evidence::Modified }
}

/// Reads a file of a database. The error is a sentence for people if it is there.
fn read(root: &Root, path: &str) -> Result<Vec<u8>, Option<String>> {
    let file = originals::open(root, Path::new(path)).map_err(|_| None)?;
    file.check_holes().map_err(|error| Some(error.to_string()))?;
    let len = file.bytes().len();
    if len > LONGEST {
        return Err(Some(format!(
            "it has {len} bytes, more than any package database; it is not read"
        )));
    }
    Ok(file.bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_either_database() {
        let md5 = "5d41402abc4b2a76b9719d911017c592";
        assert_eq!(compare(b"hello", Some(md5)), Evidence::Verified);
        assert_eq!(compare(b"hellO", Some(md5)), Evidence::Modified);
        let sha1 = "Q1qvTGHdzF6KLavt4PO0gs2a6pQ00=";
        assert_eq!(compare(b"hello", Some(sha1)), Evidence::Verified);
        assert_eq!(compare(b"hello", Some("Q2xx")), Evidence::Unverified);
        assert_eq!(compare(b"hello", None), Evidence::Unverified);
    }
}
