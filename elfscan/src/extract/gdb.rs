//! The commands that make gdb see a converted program as it sees the original: each embedded file at the
//! addresses where it is, with what gdb finds of it by its build-id. gdb knows where the output lies
//! from AT_ENTRY, and tells the debug file's symbols from that.

use std::path::Path;
use std::path::PathBuf;

use super::anchor::{Anchor, Anchors};
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
    /// Its first address in the output: it slides with the group of libraries that this is in, or with
    /// the program.
    pub address: u64,
}

/// The commands, for files extracted to `tree`. `base` is the output's first address; where libraries
/// slide by themselves, `anchors` tell from where their distances are to be taken.
pub fn commands(
    tree: &Path,
    symbols: &Path,
    base: u64,
    anchors: &Anchors,
    modules: &[Module],
) -> String {
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
    let program =
        |address: u64| format!("(unsigned\\ long)&{BASE}+{:#x}", address.wrapping_sub(base));
    let group = |module: &Module| anchors.group(module.address).filter(|_| !module.fixed);
    let (libraries, others): (Vec<&Module>, Vec<&Module>) =
        modules.iter().partition(|module| group(module).is_some());
    for Module { path, bias, fixed, .. } in others {
        let offset = if *fixed { format!("{bias:#x}") } else { program(*bias) };
        commands += &format!("add-symbol-file {} -o {offset}\n", quoted(path));
    }
    if !libraries.is_empty() {
        commands += "if $_thread\n";
        for &Anchor { group, inside, at, absolute, value } in &anchors.words {
            let at = match inside {
                Some(group) => format!("($group{group}+{at:#x})"),
                None if absolute => format!("{at:#x}"),
                None => format!("({})", program(at).replace('\\', "")),
            };
            commands += &format!("set $group{group} = *(unsigned long*){at}-{value:#x}\n");
        }
        for module in libraries {
            let Some(group) = group(module) else { continue };
            let path = quoted(&module.path);
            match anchors.words.iter().any(|word| word.group == group) {
                true => {
                    let bias = module.bias;
                    commands += &format!("add-symbol-file {path} -o $group{group}+{bias:#x}\n");
                }
                false => commands += &format!("echo It is not known where {path} lies.\\n\n"),
            }
        }
        commands += "else\n\
            echo The libraries' addresses are known once the program runs: source this file then.\\n\n\
            end\n";
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
