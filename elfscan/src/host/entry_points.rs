//! The functions by which something comes from the host, and what glibc and the other libraries do
//! in them. What a library does by itself counts where somebody calls it: libc.so.6 can open
//! libraries in every program, and does so only for who calls one of these.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::nss;
use super::verdict::{Category, Kind};

/// Functions that do the same.
#[derive(Debug)]
pub struct EntryPoint {
    /// Their names.
    pub symbols: Vec<&'static str>,
    /// Whose they are.
    pub library: Library,
    /// How something comes.
    pub category: Category,
    /// What.
    pub kind: Kind,
    /// The argument that tells what.
    pub argument: Argument,
    /// What is asked for besides; a `*` makes it a pattern.
    pub names: &'static [&'static str],
    /// Whether musl's functions of these names do it, too.
    pub in_musl: bool,
}

/// A library whose functions are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The C library, in all its files.
    C,
    /// A library whose SONAME begins like this.
    Named(&'static str),
}

/// An argument, by its number, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing is known by an argument.
    None,
    /// The library to open; null for what is there.
    Library(usize),
    /// The program to run; null asks for nothing.
    Program(usize),
    /// A name that only the library understands.
    Name(usize),
    /// The name of a locale; the environment's if it is empty, and as it is if it is null.
    Locale(usize),
    /// As fopen's: `ccs=` names a character set.
    Mode(usize),
}

/// What a function of this name does, whosoever's it is.
pub fn named(symbol: &str) -> &'static [&'static EntryPoint] {
    static BY_NAME: LazyLock<HashMap<&str, Vec<&EntryPoint>>> = LazyLock::new(|| {
        let mut by_name: HashMap<&str, Vec<&EntryPoint>> = HashMap::new();
        for entry in ALL.iter() {
            for symbol in &entry.symbols {
                by_name.entry(symbol).or_default().push(entry);
            }
        }
        by_name
    });
    // ICU's functions have its version at their end.
    let unversioned = symbol.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix('_');
    let found = BY_NAME.get(symbol).or_else(|| BY_NAME.get(unversioned?));
    found.map_or(&[], Vec::as_slice)
}

static ALL: LazyLock<Vec<EntryPoint>> = LazyLock::new(|| {
    use Argument as A;
    use Category as C;
    use Library::Named;
    let entry = |library, category, kind, argument, symbols: &[&'static str], names| EntryPoint {
        symbols: symbols.to_vec(),
        library,
        category,
        kind,
        argument,
        names,
        in_musl: false,
    };
    let c = |category, kind, argument, symbols, names| {
        entry(Library::C, category, kind, argument, symbols, names)
    };
    let everywhere = |entry: EntryPoint| EntryPoint { in_musl: true, ..entry };
    let code = |library, category, argument, symbols| {
        entry(Named(library), category, Kind::Code, argument, symbols, &[])
    };
    vec![
        everywhere(c(C::Dlopen, Kind::Code, A::Library(0), &["dlopen"], &[])),
        c(C::Dlopen, Kind::Code, A::Library(1), &["dlmopen"], &[]),
        // Exported for glibc's own libraries up to 2.33, and used by others.
        c(C::Dlopen, Kind::Code, A::Library(0), &["__libc_dlopen_mode", "__libc_dlopen"], &[]),
        c(C::Nss, Kind::Code, A::None, &nss::functions(), &["libnss_*.so.2"]),
        // __gconv_open (iconv/gconv_open.c): what is neither built in nor in gconv-modules of the
        // library's own directory or GCONV_PATH is not found; each step is a module.
        c(C::Gconv, Kind::Code, A::None, &["iconv_open", "__gconv_open"], &["*/gconv/*.so"]),
        c(C::Gconv, Kind::Code, A::Mode(1), &FOPEN, &["*/gconv/*.so"]),
        // A locale's character set is converted by the same modules, unless it is ASCII or UTF-8:
        // the first multibyte function opens them (__wcsmbs_load_conv, wcsmbs/wcsmbsload.c), and
        // the first translated message (_nl_find_msg, intl/dcigettext.c).
        c(C::Gconv, Kind::Code, A::Locale(1), &LOCALE, &["*/gconv/*.so"]),
        c(C::Locale, Kind::Data, A::Locale(1), &LOCALE, &["*/locale/*"]),
        c(C::Locale, Kind::Data, A::None, &["catopen"], &["*/LC_MESSAGES/*.cat"]),
        // __idna_to_dns_encoding (inet/idna.c): names that are not ASCII, under AI_IDN and NI_IDN.
        c(
            C::Idn,
            Kind::Code,
            A::None,
            &["getaddrinfo", "getaddrinfo_a", "getnameinfo"],
            &["libidn2.so.0"],
        ),
        // __libc_unwind_link_get (misc/unwind-link.c; before 2.34 pthread_cancel_init and
        // backtrace's init): frames are unwound by GCC's library, which is opened for it.
        c(
            C::Unwinder,
            Kind::Code,
            A::None,
            &["pthread_cancel", "pthread_exit", "thrd_exit", "backtrace"],
            &["libgcc_s.so.1"],
        ),
        everywhere(c(C::Resolver, Kind::Data, A::None, &RESOLVER, &RESOLVER_FILES)),
        everywhere(c(C::Timezone, Kind::Data, A::None, &TIME, &["/etc/localtime", "*/zoneinfo/*"])),
        everywhere(c(C::Programs, Kind::Programs, A::Program(0), &EXEC, &[])),
        everywhere(c(C::Programs, Kind::Programs, A::Program(1), &SPAWN, &[])),
        everywhere(c(C::Programs, Kind::Programs, A::None, &["fexecve", "execveat"], &[])),
        everywhere(c(
            C::Programs,
            Kind::Programs,
            A::Program(0),
            &["system", "popen", "wordexp"],
            &["/bin/sh"],
        )),
        // Wrappers of dlopen.
        code("libltdl.so", C::Dlopen, A::Library(0), &LTDL),
        code(
            "libgmodule-2.0.so",
            C::Dlopen,
            A::Library(0),
            &["g_module_open", "g_module_open_full"],
        ),
        code("libuv.so", C::Dlopen, A::Library(0), &["uv_dlopen"]),
        code("libnspr4.so", C::Dlopen, A::Library(0), &["PR_LoadLibrary"]),
        code("libnspr4.so", C::Dlopen, A::None, &["PR_LoadLibraryWithFlags"]),
        code("libapr-1.so", C::Dlopen, A::Library(1), &["apr_dso_load"]),
        code("libSDL2-2.0.so", C::Dlopen, A::Library(0), &["SDL_LoadObject"]),
        // std::locale by name (libstdc++, locale_init.cc, localename.cc) ends in newlocale.
        entry(Named("libstdc++.so"), C::Gconv, Kind::Code, A::None, &CXX_LOCALE, &["*/gconv/*.so"]),
        entry(Named("libstdc++.so"), C::Locale, Kind::Data, A::None, &CXX_LOCALE, &["*/locale/*"]),
        // What loads plugins by configuration. Their libraries' own calls of dlopen are findings,
        // too; these tell who makes them do it.
        entry(
            Named("libpam.so"),
            C::Pam,
            Kind::Code,
            A::Name(0),
            &["pam_start", "pam_start_confdir"],
            &["*/security/pam_*.so"],
        ),
        entry(Named("libsasl2.so"), C::Sasl, Kind::Code, A::None, &SASL, &["*/sasl2/*.so*"]),
        code("libcrypto.so", C::Openssl, A::Name(0), &["ENGINE_by_id"]),
        code(
            "libcrypto.so",
            C::Openssl,
            A::Name(1),
            &["OSSL_PROVIDER_load", "OSSL_PROVIDER_try_load"],
        ),
        // openssl.cnf, which is read by the first of them, may name providers and engines.
        code("libcrypto.so", C::Openssl, A::None, &OPENSSL),
        code(
            "libssl.so",
            C::Openssl,
            A::None,
            &["OPENSSL_init_ssl", "SSL_CTX_new", "SSL_library_init"],
        ),
        code("libp11-kit.so", C::Pkcs11, A::None, &PKCS11),
        code("libnss3.so", C::Pkcs11, A::None, &["NSS_Initialize", "NSS_InitContext", "NSS_Init"]),
        code(
            "libkrb5.so",
            C::Kerberos,
            A::None,
            &["krb5_init_context", "krb5_init_secure_context"],
        ),
        code("libgssapi_krb5.so", C::Kerberos, A::None, &GSS),
        code("libgio-2.0.so", C::Gio, A::None, &GIO),
        code("libgdk_pixbuf-2.0.so", C::Gtk, A::None, &PIXBUF),
        code("libgtk-", C::Gtk, A::None, &["gtk_init", "gtk_init_check", "gtk_application_new"]),
        entry(Named("libtinfo"), C::Terminfo, Kind::Data, A::None, &TERMINFO, &["*/terminfo/*"]),
        entry(Named("libncurses"), C::Terminfo, Kind::Data, A::None, &TERMINFO, &["*/terminfo/*"]),
        entry(Named("libicuuc.so"), C::Icu, Kind::Data, A::None, &ICU, &["*/icudt*"]),
        entry(Named("libicui18n.so"), C::Icu, Kind::Data, A::None, &ICU, &["*/icudt*"]),
    ]
});

const FOPEN: [&str; 5] = ["fopen", "fopen64", "freopen", "freopen64", "_IO_fopen"];
const LOCALE: [&str; 3] = ["setlocale", "newlocale", "__newlocale"];
const EXEC: [&str; 7] = ["execve", "execv", "execvp", "execvpe", "execl", "execlp", "execle"];
const SPAWN: [&str; 2] = ["posix_spawn", "posix_spawnp"];
const LTDL: [&str; 4] = ["lt_dlopen", "lt_dlopenext", "lt_dlopenadvise", "lt_dlopenlocal"];
const SASL: [&str; 4] =
    ["sasl_client_init", "sasl_server_init", "sasl_client_new", "sasl_server_new"];
const RESOLVER: [&str; 18] = [
    "getaddrinfo",
    "getaddrinfo_a",
    "getnameinfo",
    "gethostbyname",
    "gethostbyname_r",
    "gethostbyname2",
    "gethostbyname2_r",
    "gethostbyaddr",
    "gethostbyaddr_r",
    "res_init",
    "__res_init",
    "res_ninit",
    "__res_ninit",
    "res_query",
    "__res_query",
    "res_search",
    "__res_search",
    "__res_nsearch",
];
const RESOLVER_FILES: [&str; 4] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf"];
const TIME: [&str; 6] = ["tzset", "localtime", "localtime_r", "mktime", "ctime", "ctime_r"];
const OPENSSL: [&str; 9] = [
    "OPENSSL_init_crypto",
    "OPENSSL_config",
    "OPENSSL_load_builtin_modules",
    "CONF_modules_load",
    "CONF_modules_load_file",
    "CONF_modules_load_file_ex",
    "ENGINE_load_builtin_engines",
    "ENGINE_load_dynamic",
    "OSSL_LIB_CTX_load_config",
];
const PKCS11: [&str; 5] = [
    "p11_kit_modules_load",
    "p11_kit_modules_load_and_initialize",
    "p11_kit_module_load",
    "p11_kit_initialize_registered",
    "p11_kit_load_initialize_module",
];
const GSS: [&str; 5] = [
    "gss_init_sec_context",
    "gss_accept_sec_context",
    "gss_acquire_cred",
    "gss_indicate_mechs",
    "gss_import_name",
];
const GIO: [&str; 18] = [
    "g_io_modules_load_all_in_directory",
    "g_io_modules_load_all_in_directory_with_scope",
    "g_io_modules_scan_all_in_directory",
    "g_io_modules_scan_all_in_directory_with_scope",
    "g_io_extension_point_get_extension_by_name",
    "g_vfs_get_default",
    "g_file_new_for_path",
    "g_file_new_for_uri",
    "g_file_new_for_commandline_arg",
    "g_settings_new",
    "g_settings_backend_get_default",
    "g_volume_monitor_get",
    "g_network_monitor_get_default",
    "g_proxy_resolver_get_default",
    "g_tls_backend_get_default",
    "g_application_new",
    "g_resolver_get_default",
    "g_socket_client_new",
];
const PIXBUF: [&str; 8] = [
    "gdk_pixbuf_new_from_file",
    "gdk_pixbuf_new_from_file_at_size",
    "gdk_pixbuf_new_from_file_at_scale",
    "gdk_pixbuf_new_from_stream",
    "gdk_pixbuf_new_from_resource",
    "gdk_pixbuf_loader_new",
    "gdk_pixbuf_get_formats",
    "gdk_pixbuf_animation_new_from_file",
];
const TERMINFO: [&str; 6] =
    ["setupterm", "tgetent", "initscr", "newterm", "restartterm", "setterm"];
const ICU: [&str; 9] = [
    "u_init",
    "u_setDataDirectory",
    "ures_open",
    "ucnv_open",
    "ucol_open",
    "ubrk_open",
    "udat_open",
    "unum_open",
    "uloc_getDisplayName",
];
const CXX_LOCALE: [&str; 4] = [
    "_ZNSt6localeC1EPKc",
    "_ZNSt6localeC2EPKc",
    "_ZNSt6localeC1ERKS_PKci",
    "_ZNSt6localeC2ERKS_PKci",
];
