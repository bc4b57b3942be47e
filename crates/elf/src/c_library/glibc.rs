//! What is particular to glibc's loader: its messages. It is recognised by its DT_SONAME, which is the machine's.

use super::MissingLibrary;

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
    fn the_loader_s_words() {
        let text = "/tmp/p: error while loading shared libraries: libx.so.1: cannot open shared \
                    object file: No such file or directory";
        let missing = MissingLibrary { name: "libx.so.1".into(), needed_by: None };
        assert_eq!(missing_library(text), Some(missing));
        let text = "p: error while loading shared libraries: libx.so: file too short";
        assert_eq!(missing_library(text), None);
    }
}
