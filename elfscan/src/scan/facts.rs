//! What an ELF file says of itself.

use goblin::elf::dynamic::DT_NEEDED;
use serde::Serialize;
use statify_elf::{ElfFile, Excerpt};

use super::{GlibcVersion, Hardening, Kind, Machine};

/// What an ELF file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// 32 or 64 bits.
    pub class: Option<u8>,
    /// The machine.
    pub machine: Option<Machine>,
    /// What it is for.
    pub kind: Option<Kind>,
    /// The largest pages, in bytes, of kernels on which it can be loaded: the least alignment of what is loaded of it
    /// (gABI, p_align; glibc's loader refuses less). None of files that nothing is loaded of.
    pub largest_page: Option<u64>,
    /// PT_INTERP; what is no UTF-8 in it is replaced.
    pub interpreter: Option<String>,
    /// DT_NEEDED entries; none without a dynamic section.
    pub libraries: Option<usize>,
    /// Its protection.
    pub hardening: Hardening,
    /// The oldest glibc that has the symbol versions that it needs.
    pub glibc: Option<GlibcVersion>,
}

impl Facts {
    /// Reads them from a file's bytes, those of its [`statify_elf::Excerpt`] at least. What is
    /// damaged has no facts but that.
    pub fn read(bytes: &[u8]) -> Self {
        let Ok(elf) = ElfFile::parse_any(bytes) else {
            return Self { kind: Some(Kind::Damaged), ..Self::default() };
        };
        let dynamic = elf.dynamic().ok().flatten();
        // Empty in files that hold debugging information only.
        let dynamic = dynamic.as_ref().filter(|facts| !facts.entries().is_empty());
        let kind = Kind::of(&elf, dynamic);
        let class = if elf.is_64() { 64 } else { 32 };
        let path = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let needed = |tag: u64| {
            let entries = dynamic.map(|facts| facts.entries());
            entries.map(|entries| entries.iter().filter(|entry| entry.0 == tag).count())
        };
        Self {
            class: Some(class),
            machine: Some(Machine { number: elf.header().e_machine, class }),
            kind: Some(kind),
            largest_page: elf.loads().map(|load| load.p_align).min().filter(|&align| align > 0),
            interpreter: elf.interpreter().ok().flatten().map(path),
            libraries: needed(DT_NEEDED),
            hardening: Hardening::of(&elf, kind, dynamic),
            glibc: dynamic.and_then(|facts| GlibcVersion::floor(&facts.versions())),
        }
    }
}

/// For tests with random bytes: a file's excerpt tells the same as the whole file, unless that has more
/// in a list than an excerpt holds.
pub fn assert_excerpt_suffices(bytes: &[u8]) {
    let file = tempfile::tempfile().and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        Ok(file)
    });
    // No place for a file, no test.
    let Ok(file) = file else { return };
    let mut excerpt = Excerpt::new();
    // Twice: nothing of the first reading may be left.
    for _ in 0..2 {
        let part = excerpt.read(&file, bytes.len() as u64).expect("it is a plain file");
        assert_eq!(Facts::read(part), Facts::read(bytes));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own() -> &'static [u8] {
        static BYTES: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| std::fs::read("/proc/self/exe").expect("a program"));
        &BYTES
    }

    #[test]
    fn of_this_test_program() {
        let facts = Facts::read(own());
        assert_eq!(facts.kind, Some(Kind::DynamicPie));
        assert!(facts.libraries > Some(0) && facts.glibc.is_some());
        assert_eq!(facts.hardening.pie, Some(true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_change(
            at in 0usize..8192,
            bytes in proptest::collection::vec(any::<u8>(), 1..16),
            len in 0usize..60_000,
        ) {
            let mut changed = own()[..64_000].to_vec();
            changed[at..at + bytes.len()].copy_from_slice(&bytes);
            changed.truncate(len);
            assert_excerpt_suffices(&changed);
        }
    }
}
