//! What is particular to glibc's loader: its messages. It is recognised by its DT_SONAME, which is the machine's.

use super::missing::MissingLibrary;

/// The line by which a loader tells its version (`ld.so --version`), "ld.so (Debian GLIBC 2.36-9)
/// stable release version 2.36.", if it is somewhere in these bytes of its file.
pub fn banner(loader: &[u8]) -> Option<&str> {
    const LONGEST: usize = 200;
    let found = memchr::memmem::find(loader, b" release version ")?;
    let is_end = |byte: &u8| !(b' '..=b'~').contains(byte);
    let before = &loader[found.saturating_sub(LONGEST)..found];
    let start = found - before.iter().rev().position(is_end)?;
    let behind = &loader[found..loader.len().min(found + LONGEST)];
    let end = found + behind.iter().position(is_end)?;
    std::str::from_utf8(&loader[start..end]).ok()
}

/// The name in "error while loading shared libraries: NAME: cannot open shared object file".
pub fn missing_library(messages: &str) -> Option<MissingLibrary> {
    let (_, rest) = messages.split_once("error while loading shared libraries: ")?;
    let (name, rest) = rest.split_once(": ")?;
    rest.starts_with("cannot open shared object file: No such file")
        .then(|| MissingLibrary { name: name.to_owned(), needed_by: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_s_banner() {
        let line = "ld.so (Debian GLIBC 2.36-9) stable release version 2.36.";
        let bytes = [b"\0other\0", line.as_bytes(), b"\nCopyright"].concat();
        assert_eq!(banner(&bytes), Some(line));
        for none in
            [&b""[..], b"\0x release versio", b" release version ", b"\0a release version 2"]
        {
            assert_eq!(banner(none), None);
        }
    }

    #[test]
    fn the_loader_s_words() {
        let text = "/tmp/p: error while loading shared libraries: libx.so.1: cannot open shared \
                    object file: No such file or directory";
        let missing = MissingLibrary { name: "libx.so.1".into(), needed_by: None };
        assert_eq!(missing_library(text), Some(missing));
        let text = "p: error while loading shared libraries: libx.so: file too short";
        assert_eq!(missing_library(text), None);
    }
}
