//! A row of the table of ABIs.

/// What is particular to an architecture.
pub(super) struct Row {
    pub name: &'static str,
    /// Flags of the cache besides FLAG_ELF_LIBC6.
    pub flags: u32,
    /// glibc's loader.
    pub glibc: &'static str,
    /// musl's name for it.
    pub musl: &'static str,
    /// The names of glibc-hwcaps subdirectories begin so, up to a number.
    pub hwcaps: &'static str,
}
