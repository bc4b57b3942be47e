//! The commands that make gdb see a converted program as it sees the original: each embedded file at the
//! addresses where it is, with what gdb finds of it by its build-id. gdb knows where the output lies
//! from AT_ENTRY, and tells the debug file's symbols from that.

use std::path::Path;
use std::path::PathBuf;

use super::debug_file::BASE;

/// A file for gdb.
#[derive(Clone, Debug)]
pub struct Module {
    /// The file.
    pub path: PathBuf,
    /// What is added to addresses in it to get addresses in the output.
    pub bias: u64,
    /// Those are absolute addresses, in a position-independent output too.
    pub fixed: bool,
}

/// The commands, for files extracted to `tree`. `base` is the output's first address.
pub fn commands(tree: &Path, symbols: &Path, base: u64, modules: &[Module]) -> String {
    // Libraries of the host with the names of embedded ones are other files: the loader's list
    // of libraries, which gdb finds by the symbol `_r_debug`, is for the extracted files.
    let mut commands = format!(
        "# gdb OUT [CORE|PID] -x THIS FILE\n\
         set confirm off\n\
         set auto-load libthread-db off\n\
         set sysroot {}\n\
         symbol-file {}\n",
        // The rest of the line, as it is.
        tree.display(),
        quoted(symbols),
    );
    for Module { path, bias, fixed } in modules {
        let offset = match fixed {
            true => format!("{bias:#x}"),
            false => format!("(unsigned\\ long)&{BASE}+{:#x}", bias.wrapping_sub(base)),
        };
        commands += &format!("add-symbol-file {} -o {offset}\n", quoted(path));
    }
    commands + "set confirm on\n"
}

/// A word for gdb (GDB manual, "Symbol files": arguments are split as by a shell).
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut quoted = String::with_capacity(text.len());
    for letter in text.chars() {
        if !(letter.is_ascii_alphanumeric() || "/._-+".contains(letter)) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word() {
        assert_eq!(quoted(Path::new("/a b/$(x)'\"")), "/a\\ b/\\$\\(x\\)\\'\\\"");
    }
}
