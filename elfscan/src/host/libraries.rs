//! Libraries that are known by their names: whose own calls are whose business.

use statify_elf::c_library::musl;
use statify_elf::{DynamicFacts, ElfFile};

use super::verdict::Category;

/// Files of glibc (shlib-versions; the modules of the name service switch besides).
const GLIBC: [&str; 14] = [
    "ld-linux",
    "ld64.so",
    "ld.so",
    "libc.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "libm.so.6",
    "libmvec.so.1",
    "librt.so.1",
    "libutil.so.1",
    "libanl.so.1",
    "libresolv.so.2",
    "libnss_",
    "libnsl.so.1",
];

/// Libraries that open others only for who calls functions that are known
/// ([`super::entry_points`]): what they import counts for their callers.
const CONDUITS: [&str; 4] = ["libgmodule-2.0.so", "libltdl.so", "libuv.so", "libstdc++.so"];

/// Whose plugins a library opens, by the beginning of its SONAME.
const OPENERS: [(&str, Category); 36] = [
    ("libpam.so", Category::Pam),
    ("libpam_misc.so", Category::Pam),
    ("libsasl2.so", Category::Sasl),
    ("libcrypto.so", Category::Openssl),
    ("libssl.so", Category::Openssl),
    ("libp11-kit.so", Category::Pkcs11),
    ("libp11.so", Category::Pkcs11),
    ("libnss3.so", Category::Pkcs11),
    ("libnspr4.so", Category::Pkcs11),
    ("libsoftokn3.so", Category::Pkcs11),
    ("libnssutil3.so", Category::Pkcs11),
    ("libkrb5.so", Category::Kerberos),
    ("libkrb5support.so", Category::Kerberos),
    ("libgssapi", Category::Kerberos),
    ("libgssrpc.so", Category::Kerberos),
    ("libkadm5", Category::Kerberos),
    ("libgio-2.0.so", Category::Gio),
    ("libgdk_pixbuf-2.0.so", Category::Gtk),
    ("libgdk-", Category::Gtk),
    ("libgtk-", Category::Gtk),
    ("libpango", Category::Gtk),
    ("libGL.so", Category::Graphics),
    ("libGLX", Category::Graphics),
    ("libGLdispatch.so", Category::Graphics),
    ("libEGL", Category::Graphics),
    ("libgbm.so", Category::Graphics),
    ("libvulkan.so", Category::Graphics),
    ("libepoxy.so", Category::Graphics),
    ("libva.so", Category::Graphics),
    ("libvdpau.so", Category::Graphics),
    ("libX11", Category::Graphics),
    ("libXcursor", Category::Graphics),
    ("libasound.so", Category::Sound),
    ("libpulse", Category::Sound),
    ("libpython", Category::Python),
    ("libperl.so", Category::Perl),
];

/// What a program exports that contains an interpreter.
const INTERPRETERS: [(&str, Category); 2] =
    [("Py_BytesMain", Category::Python), ("boot_DynaLoader", Category::Perl)];

/// Whose functions are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CFamily {
    /// glibc.
    Glibc,
    /// musl.
    Musl,
}

/// The C library that a file is part of. What its files call among themselves is on behalf of those
/// who call them. A name alone does not make a file glibc's: its files share symbols of a version
/// that is only for them.
pub fn c_family(elf: &ElfFile<'_>, dynamic: &DynamicFacts<'_>) -> Option<CFamily> {
    if elf.defines(&musl::LOADER_SYMBOLS) {
        return Some(CFamily::Musl);
    }
    let is_private = |name: &[u8]| name == b"GLIBC_PRIVATE";
    let soname = String::from_utf8_lossy(dynamic.soname()?);
    let versions = dynamic.versions();
    let shares = versions.needed().iter().any(|version| is_private(version.name))
        || versions.defined().iter().any(|version| is_private(version.name));
    let is_named = GLIBC.iter().any(|name| soname.starts_with(name));
    (is_named && shares).then_some(CFamily::Glibc)
}

/// Whether a library opens others for those who call it, and never by itself.
pub fn is_conduit(soname: &str) -> bool {
    CONDUITS.iter().any(|name| soname.starts_with(name))
}

/// Whose plugins a module opens when it calls dlopen or a wrapper of it.
pub fn opener(soname: &str, dynamic: &DynamicFacts<'_>) -> Category {
    let by_name = OPENERS.iter().find(|(name, _)| soname.starts_with(name));
    let interpreter = || {
        let symbols = dynamic.symbols();
        let exported = symbols.iter().filter(|symbol| symbol.is_exported());
        let mut names = exported.filter_map(|symbol| dynamic.string(symbol.name.into()));
        names.find_map(|name| INTERPRETERS.iter().find(|(known, _)| known.as_bytes() == name))
    };
    by_name.or_else(interpreter).map_or(Category::Dlopen, |(_, category)| *category)
}
