//! The auxiliary vector (psABI, 3.4.1; linux/auxvec.h) and the initial stack around it.

#![allow(missing_docs, reason = "the names are the kernel's")]

pub const AT_NULL: u64 = 0;
pub const AT_IGNORE: u64 = 1;
pub const AT_PHDR: u64 = 3;
pub const AT_PHNUM: u64 = 5;
pub const AT_PAGESZ: u64 = 6;
pub const AT_BASE: u64 = 7;
pub const AT_ENTRY: u64 = 9;
pub const AT_CLKTCK: u64 = 17;
pub const AT_SECURE: u64 = 23;
pub const AT_RANDOM: u64 = 25;
pub const AT_HWCAP2: u64 = 26;
pub const AT_EXECFN: u64 = 31;
pub const AT_SYSINFO: u64 = 32;
pub const AT_SYSINFO_EHDR: u64 = 33;
pub const AT_MINSIGSTKSZ: u64 = 51;

/// Where the kernel put what, and the vector's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitialStack {
    /// The stack pointer at process entry: the address of argc.
    pub sp: u64,
    /// The number of arguments.
    pub argc: u64,
    /// The address of the environment's array.
    pub envp: u64,
    /// The address of the vector.
    pub auxv: u64,
    /// Its entries without AT_NULL.
    pub entries: Vec<(u64, u64)>,
    /// The size of a word of the stack, in bytes.
    pub word: u64,
}

impl InitialStack {
    /// Parses the words from `sp` upwards, of which each has `word` bytes. `None` if they are not an initial stack.
    pub fn parse(sp: u64, words: &[u64], word: u64) -> Option<Self> {
        let argc = *words.first()?;
        let envp = usize::try_from(argc).ok()?.checked_add(2)?;
        let auxv = envp + words.get(envp..)?.iter().position(|&word| word == 0)? + 1;
        let pairs = words.get(auxv..)?.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let entries: Vec<_> = pairs.take_while(|&(kind, _)| kind != AT_NULL).collect();
        let at = |index: usize| sp + word * index as u64;
        let end = *words.get(auxv + 2 * entries.len())?;
        if end != AT_NULL {
            return None;
        }
        Some(Self { sp, argc, envp: at(envp), auxv: at(auxv), entries, word })
    }

    /// The value of the first entry of this type.
    pub fn value(&self, kind: u64) -> Option<u64> {
        self.entries.iter().find(|entry| entry.0 == kind).map(|entry| entry.1)
    }

    /// The address of the first entry of this type.
    pub fn address_of(&self, kind: u64) -> Option<u64> {
        let index = self.entries.iter().position(|entry| entry.0 == kind)?;
        Some(self.auxv + 2 * self.word * index as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_initial_stack() {
        let words = [2, 11, 12, 0, 13, 0, AT_PHDR, 7, AT_BASE, 8, AT_NULL, 0, 99];
        let stack = InitialStack::parse(0x1000, &words, 8).unwrap();
        assert_eq!((stack.argc, stack.envp, stack.auxv), (2, 0x1020, 0x1030));
        assert_eq!(stack.entries, [(AT_PHDR, 7), (AT_BASE, 8)]);
        assert_eq!((stack.value(AT_BASE), stack.address_of(AT_BASE)), (Some(8), Some(0x1040)));
        let narrow = InitialStack::parse(0x1000, &words, 4).unwrap();
        assert_eq!((narrow.envp, narrow.address_of(AT_BASE)), (0x1010, Some(0x1020)));
        for len in 0..11 {
            assert_eq!(InitialStack::parse(0, &words[..len], 8), None, "{len}");
        }
        assert_eq!(InitialStack::parse(0, &[u64::MAX, 0, 0], 8), None);
    }

    proptest! {
        #[test]
        fn stacks_of_any_words(words in proptest::collection::vec(0u64..6, 0..40)) {
            if let Some(stack) = InitialStack::parse(0x1000, &words, 8) {
                prop_assert!(stack.envp < stack.auxv && stack.entries.iter().all(|entry| entry.0 != 0));
            }
        }
    }
}
