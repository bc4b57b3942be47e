//! What relocations do, whatever a machine calls them.

/// What a relocation leaves in the word that it names, once the loader has done it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The bias plus the addend.
    Relative,
    /// The symbol's address, plus the addend.
    Symbol,
    /// The symbol's address.
    GlobalData,
    /// The symbol's address; before the first call, if binding is lazy, the call's own stub.
    JumpSlot,
    /// What the function at bias plus addend answered.
    Indirect,
    /// The number of the module that defines the symbol.
    TlsModule,
    /// The symbol's offset in its module's thread-local memory.
    TlsOffset,
    /// The symbol's offset from the thread pointer.
    ThreadOffset,
    /// How far it lies below the thread pointer: the same number with the other sign.
    NegatedThreadOffset,
    /// A function of the loader's and its argument: two words.
    TlsDescriptor,
    /// A copy of another module's variable.
    Copy,
    /// Something else in so many bytes.
    Other(u64),
}

impl Meaning {
    /// How many bytes it writes, on a machine with words of so many bytes; none for what depends on the
    /// symbol.
    pub fn size(self, word: u64) -> Option<u64> {
        match self {
            Self::TlsDescriptor => Some(2 * word),
            Self::Other(size) => Some(size),
            Self::Copy => None,
            _ => Some(word),
        }
    }
}

/// What a file has in the word that a relocation writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileValue {
    /// The addend, if the linker writes it.
    Addend,
    /// Zero.
    Zero,
    /// Zero, and in the word behind it, too.
    TwoZeros,
    /// What [`super::Machine::lazy_targets`] says.
    Lazy,
    /// Not a word, or nothing that is in the file.
    Unknown,
}
