//! What a loader's own file says of where it searches: nothing of it is executed, and nothing is
//! concluded from the name of a distribution.
//!
//! - *Default directories* are glibc's `system_dirs` (elf/dl-load.c), strings one after the other,
//!   each with a slash at both ends: the longest such run in the file.
//! - *`$LIB`* is the end of the first of them that is a string of its own as well.
//! - *`glibc-hwcaps`* subdirectories stand in one string, separated by colons (`_dl_hwcaps_subdirs`).
//! - *The older subdirectories* are searched by loaders that do not know the new ones, or
//!   list both in their help.
//! - *musl's* architecture is part of the name of its configuration.

use std::path::{Path, PathBuf};

use statify_elf::ElfFile;
use statify_elf::c_library::{CLibrary, musl};
use statify_elf::machine::{Abi, Machine, OWN_PLATFORM};

/// More than that of a loader is not looked at, in bytes.
const MOST: usize = 32 << 20;

/// The facts of a loader.
#[derive(Clone, Debug)]
pub struct Loader {
    /// Where programs say it is.
    pub path: PathBuf,
    /// What it loads.
    pub abi: Abi,
    /// The C library that it belongs to.
    pub c_library: CLibrary,
    /// Where libraries are looked for at last; each ends in a slash. (musl: see `search_file`.)
    pub system_directories: Vec<Vec<u8>>,
    /// `$LIB`.
    pub lib: Option<Vec<u8>>,
    /// The `glibc-hwcaps` subdirectories that it knows, the best first.
    pub hwcaps: Vec<String>,
    /// It searches the subdirectories of glibc before 2.37.
    pub searches_legacy: bool,
    /// Of these it knows platforms of Intel's CPUs (from 2.26 on).
    pub names_platforms: bool,
    /// A file whose existence makes it search no subdirectories (Debian's and Ubuntu's, up to 2.31).
    pub no_hwcaps_file: Option<&'static str>,
    /// musl's configuration.
    pub search_file: Option<PathBuf>,
}

const NO_HWCAPS_FILE: &str = "/etc/ld.so.nohwcap";

impl Loader {
    /// Reads a loader's file; `None` if it is neither glibc's nor musl's.
    pub fn parse(path: &Path, bytes: &[u8]) -> Option<Self> {
        let file = ElfFile::parse_any(bytes).ok()?;
        let c_library = c_library(&file)?;
        let strings = Strings::of(&bytes[..bytes.len().min(MOST)]);
        let abi = Abi::of(&file);
        let mut loader = Self::unread(path, abi, c_library);
        if c_library == CLibrary::Musl {
            let arch = strings.all.iter().find_map(|text| {
                let at = find(text, b"/etc/ld-musl-")? + b"/etc/ld-musl-".len();
                str::from_utf8(text[at..].strip_suffix(b".path")?).ok()
            });
            let file = musl::search_file_of(path, arch.unwrap_or(Machine::HOST.musl_name()));
            loader.search_file = Some(Path::new("/").join(file));
            return Some(loader);
        }
        loader.system_directories = strings.system_directories();
        loader.lib = loader.system_directories.first().and_then(|first| strings.lib(first));
        loader.hwcaps = strings.hwcaps(abi);
        let knows_new = strings.has(b"--glibc-hwcaps-mask");
        loader.searches_legacy = !knows_new
            || strings.all.iter().any(|text| find(text, b"Legacy HWCAP subdirectories").is_some());
        loader.names_platforms = strings.has(OWN_PLATFORM.as_bytes());
        loader.no_hwcaps_file = strings.has(NO_HWCAPS_FILE.as_bytes()).then_some(NO_HWCAPS_FILE);
        Some(loader)
    }

    /// One of which nothing is known but what it is for: upstream's defaults.
    pub fn unread(path: &Path, abi: Abi, c_library: CLibrary) -> Self {
        let directories: &[&str] =
            if abi.is_64 { &["/lib64/", "/usr/lib64/"] } else { &["/lib/", "/usr/lib/"] };
        Self {
            path: path.to_owned(),
            abi,
            c_library,
            system_directories: directories.iter().map(|text| text.as_bytes().to_vec()).collect(),
            lib: Some(if abi.is_64 { b"lib64".to_vec() } else { b"lib".to_vec() }),
            hwcaps: Vec::new(),
            searches_legacy: false,
            names_platforms: false,
            no_hwcaps_file: None,
            search_file: (c_library == CLibrary::Musl)
                .then(|| Path::new("/").join(musl::search_file(path))),
        }
    }
}

/// By what only glibc's loader defines for its own libraries, or as statify knows musl's.
fn c_library(file: &ElfFile<'_>) -> Option<CLibrary> {
    let dynamic = file.dynamic().ok()??;
    if dynamic.soname().is_some_and(|name| name.starts_with(b"ld")) {
        let versions = dynamic.versions();
        if versions.defined().iter().any(|version| version.name == b"GLIBC_PRIVATE") {
            return Some(CLibrary::Glibc);
        }
    }
    file.defines(&musl::LOADER_SYMBOLS).then_some(CLibrary::Musl)
}

/// The strings of a file: what stands between two NULs.
struct Strings<'a> {
    all: Vec<&'a [u8]>,
}

impl<'a> Strings<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        // Empty ones are kept: they tell what is one after the other.
        Self { all: bytes.split(|&byte| byte == 0).collect() }
    }

    fn has(&self, text: &[u8]) -> bool {
        self.all.contains(&text)
    }

    fn system_directories(&self) -> Vec<Vec<u8>> {
        let mut best: Vec<&[u8]> = Vec::new();
        let mut run: Vec<&[u8]> = Vec::new();
        for text in &self.all {
            // What comes before the first need not end in a NUL.
            let candidate = if run.is_empty() { path_at_end(text) } else { text };
            if is_library_directory(candidate) {
                run.push(candidate);
                continue;
            }
            if run.len() > best.len() {
                best = std::mem::take(&mut run);
            }
            run.clear();
        }
        best.into_iter().map(<[u8]>::to_vec).collect()
    }

    fn lib(&self, directory: &[u8]) -> Option<Vec<u8>> {
        let path = directory.strip_prefix(b"/")?.strip_suffix(b"/")?;
        let starts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut ends = std::iter::once(0).chain(starts.map(|(at, _)| at + 1)).map(|at| &path[at..]);
        ends.clone().find(|end| self.has(end)).or(ends.next_back()).map(<[u8]>::to_vec)
    }

    fn hwcaps(&self, abi: Abi) -> Vec<String> {
        let Some(prefix) = abi.hwcaps_prefix() else { return Vec::new() };
        let is_name = |name: &[u8]| {
            let number = name.strip_prefix(prefix.as_bytes()).unwrap_or_default();
            !number.is_empty() && number.iter().all(u8::is_ascii_digit)
        };
        let lists = self.all.iter().filter(|text| text.len() < 256);
        let lists = lists.filter(|text| text.split(|&byte| byte == b':').all(is_name));
        // A single name may be that of a platform.
        let longest = lists.max_by_key(|text| text.len()).filter(|text| text.contains(&b':'));
        let text = String::from_utf8_lossy(longest.copied().unwrap_or_default());
        text.split(':').filter(|name| !name.is_empty()).map(String::from).collect()
    }
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte)
}

/// What could be a path at the end of something else.
fn path_at_end(text: &[u8]) -> &[u8] {
    let start = text.iter().rposition(|&byte| !is_path_byte(byte)).map_or(0, |at| at + 1);
    &text[start..]
}

fn is_library_directory(text: &[u8]) -> bool {
    let is_path = text.len() > 2 && text.len() < 1024 && text.iter().all(|&b| is_path_byte(b));
    let mut components = text.split(|&byte| byte == b'/');
    is_path
        && text.starts_with(b"/")
        && text.ends_with(b"/")
        && components.any(|component| component.starts_with(b"lib"))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strings(text: &str) -> Strings<'_> {
        Strings::of(text.as_bytes())
    }

    #[test]
    fn directories_of_distributions() {
        let debian = strings(
            "x\0/var/tmp\0\u{1}/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\0\
             /lib/\0\0lib/x86_64-linux-gnu\0x86-64-v3\0x86-64-v4:x86-64-v3:x86-64-v2\0",
        );
        let directories = debian.system_directories();
        let expected =
            ["/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib/", "/usr/lib/"];
        assert_eq!(directories, expected.map(|text| text.as_bytes().to_vec()));
        assert_eq!(debian.lib(&directories[0]).unwrap(), b"lib/x86_64-linux-gnu");
        let fedora = strings("\0/lib64/\0/usr/lib64/\0\0lib64\0");
        assert_eq!(fedora.lib(&fedora.system_directories()[0]).unwrap(), b"lib64");
        let nix = strings("\0/nix/store/abc-glibc-2.40/lib/\0\0/share/locale/\0lib\0");
        let directories = nix.system_directories();
        assert_eq!(directories, [b"/nix/store/abc-glibc-2.40/lib/"]);
        assert_eq!(nix.lib(&directories[0]).unwrap(), b"lib");
    }

    #[test]
    fn the_loader_of_this_machine() {
        let own = std::fs::read("/proc/self/exe").expect("a program can read itself");
        let own = ElfFile::parse_any(&own).expect("it is an ELF file");
        let path = own.interpreter().expect("its headers are sound").expect("it is dynamic");
        let path = Path::new(str::from_utf8(path).expect("a plain path"));
        let bytes = std::fs::read(path).expect("there is a loader");
        let loader = Loader::parse(path, &bytes).expect("it is understood");
        assert!(loader.c_library == CLibrary::Musl || !loader.system_directories.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            len in any::<prop::sample::Index>(),
        ) {
            static LOADER: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
                let own = std::fs::read("/proc/self/exe").unwrap();
                let own = ElfFile::parse_any(&own).unwrap();
                let path = own.interpreter().unwrap().unwrap();
                std::fs::read(str::from_utf8(path).unwrap()).unwrap()
            });
            let mut bytes = LOADER.clone();
            for (at, value) in changes {
                // Most of what is read lies in the headers.
                let at = at.index(bytes.len().min(4096));
                bytes[at] = value;
            }
            bytes.truncate(len.index(bytes.len() + 1));
            let _ = Loader::parse(Path::new("/lib/ld.so"), &bytes);
        }
    }
}
