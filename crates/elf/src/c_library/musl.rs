//! What is particular to musl's loader (ldso/dynlink.c and the manual's page on dynamic linking):
//! how it is recognised, its messages, and where it looks for libraries.

use std::path::{Path, PathBuf};

use super::missing::MissingLibrary;
use crate::machine::Machine;

/// By these two it is recognised: the third stage of its loader, which the second looks up by
/// name, in the same file as the C library's start. It has no DT_SONAME that all builds agree on.
pub const LOADER_SYMBOLS: [&str; 2] = ["__dls3", "__libc_start_main"];

/// No [`search_file`] is longer, in bytes.
pub const LONGEST_SEARCH_FILE: u64 = 1 << 20;

/// Where libraries are looked for on a machine without [`search_file`].
pub const DEFAULT_SEARCH_PATH: &[u8] = b"/lib:/usr/local/lib:/usr/lib";

/// The file that says where to look for libraries: `etc/ld-musl-ARCH.path` beside the directory
/// that the loader's own path, as the program gives it, lies in, and in /etc if that is not absolute.
/// Without its first slash. For programs of the machine that this is compiled for.
pub fn search_file(interpreter: &Path) -> PathBuf {
    search_file_of(interpreter, Machine::HOST.musl_name())
}

/// [`search_file`] for programs of another machine, which musl calls `arch`.
pub fn search_file_of(interpreter: &Path, arch: &str) -> PathBuf {
    let below_root = interpreter.strip_prefix("/").unwrap_or(Path::new(""));
    let prefix = below_root.parent().and_then(Path::parent).unwrap_or(Path::new(""));
    prefix.join("etc").join(format!("ld-musl-{arch}.path"))
}

/// The name in "Error loading shared library NAME: No such file or directory (needed by FILE)".
pub fn missing_library(messages: &str) -> Option<MissingLibrary> {
    messages.lines().find_map(|line| {
        let (_, rest) = line.split_once("Error loading shared library ")?;
        let (name, rest) = rest.split_once(": No such file or directory")?;
        let needed_by = rest.strip_prefix(" (needed by ").and_then(|rest| rest.strip_suffix(')'));
        Some(MissingLibrary { name: name.to_owned(), needed_by: needed_by.map(str::to_owned) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_s_words() {
        let text = "Error loading shared library libx.so: No such file or directory (needed by \
                    /tmp/p)\nError relocating /tmp/p: x: symbol not found";
        let missing = MissingLibrary { name: "libx.so".into(), needed_by: Some("/tmp/p".into()) };
        assert_eq!(missing_library(text), Some(missing));
        assert_eq!(missing_library("Error relocating /tmp/p: x: symbol not found"), None);
        let text = "Error loading shared library libx.so: Exec format error (needed by /tmp/p)";
        assert_eq!(missing_library(text), None);
    }

    #[test]
    fn the_search_file_is_beside_the_loader_s_directory() {
        for (interpreter, file) in [
            ("/lib/ld-musl-x86_64.so.1", "etc/ld-musl-x86_64.path"),
            ("/opt/m/lib/ld-musl-x86_64.so.1", "opt/m/etc/ld-musl-x86_64.path"),
            ("/ld.so", "etc/ld-musl-x86_64.path"),
            ("a/b/ld.so", "etc/ld-musl-x86_64.path"),
        ] {
            let file = file.replace("x86_64", std::env::consts::ARCH);
            assert_eq!(search_file(Path::new(interpreter)), Path::new(&file));
        }
    }
}
