//! Package URLs (purl-spec): `pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::os_release::OsRelease;
use super::package::{Database, Package};

/// That of a package of a distribution.
pub fn of(package: &Package, release: &OsRelease) -> String {
    let (kind, vendor) = match package.database {
        Database::Dpkg => ("deb", "debian"),
        Database::Apk => ("apk", "alpine"),
    };
    let namespace = if release.id.is_empty() { vendor } else { &release.id };
    let mut url = format!(
        "pkg:{kind}/{}/{}@{}?arch={}",
        encoded(&namespace.to_lowercase()),
        encoded(&package.name.to_lowercase()),
        encoded(&package.version),
        encoded(&package.architecture)
    );
    if !release.id.is_empty() {
        url += &format!("&distro={}", encoded(&release.id));
        if let Some(version) = &release.version_id {
            url += &format!("-{}", encoded(version));
        }
    }
    url
}

/// What the specification has encoded: everything but letters, digits, these and the colon.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_specification_writes_them() {
        let package = Package {
            database: Database::Dpkg,
            name: "libstdc++6".into(),
            version: "1:2.36-9+deb12u10".into(),
            architecture: "amd64".into(),
            source: None,
            licence: None,
        };
        let debian = OsRelease { id: "debian".into(), version_id: Some("12".into()) };
        let expected =
            "pkg:deb/debian/libstdc%2B%2B6@1:2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12";
        assert_eq!(of(&package, &debian), expected);
        let nowhere = OsRelease::default();
        assert!(of(&package, &nowhere).ends_with("deb12u10?arch=amd64"));
    }
}
