//! An installed package, as a database knows it.

/// What a package is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// Debian's.
    Dpkg,
    /// Alpine's.
    Apk,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Where it stands.
    pub database: Database,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, as the distribution calls it.
    pub architecture: String,
    /// The source package, where it has another name.
    pub source: Option<String>,
    /// Its licence, where the database says it.
    pub licence: Option<String>,
}
