//! What AT_SECURE changes in the loader's data: words that get another value at a start with
//! privileges that the caller lacks.

use statify_elf::c_library::CLibrary;
use statify_elf::{ElfFile, little_endian};

use crate::capture::Capture;
use crate::capture::secure::Secure;

/// What a start under AT_SECURE does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureStart {
    /// What glibc's loader does (ld.so(8), "Secure-execution mode").
    AsGlibc,
    /// Nothing: the C library itself does all of it, after the hand-off.
    ByLibrary,
    /// Ends at once: the original would not find its libraries, or what AT_SECURE changes is not
    /// known.
    Refused,
}

impl SecureStart {
    /// One of the starter's `SECURE_*`.
    pub fn code(self) -> u64 {
        match self {
            Self::AsGlibc => statify_params::SECURE_AS_GLIBC,
            Self::ByLibrary => statify_params::SECURE_BY_LIBRARY,
            Self::Refused => statify_params::SECURE_REFUSED,
        }
    }
}

/// A field that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its address in the first capture.
    pub address: u64,
    /// Its bytes, 4 or as many as a word has.
    pub width: u8,
    /// By how much it is larger under AT_SECURE.
    pub larger: i32,
}

/// Decides it, and lists the fields that differ. `is_plain` says of one and of the two values of
/// the word that it is in whether adding there is right, whatever else the starter does.
pub fn decide(
    c_library: CLibrary,
    first: &Capture,
    secure: Option<&Secure>,
    is_plain: impl Fn(&Difference, u64, u64) -> bool,
) -> (SecureStart, Vec<Difference>) {
    let refused = (SecureStart::Refused, Vec::new());
    if first.objects.iter().any(|object| expands_origin(&object.bytes)) {
        return refused;
    }
    if c_library.heeds_secure_itself() {
        return (SecureStart::ByLibrary, Vec::new());
    }
    let Some(secure) = secure else { return refused };
    let mut differences = Vec::new();
    let (without, with) = (&secure.without, &secure.with);
    let size = first.machine.word();
    let words = without.bytes.chunks_exact(size as usize);
    let words = words.zip(with.bytes.chunks_exact(size as usize));
    for (index, (a, b)) in words.enumerate().filter(|(_, (a, b))| a != b) {
        let address = without.start + size * index as u64;
        let (a, b) = (little_endian(a), little_endian(b));
        // The kernel puts the stack elsewhere at each start; other captures tell what that means.
        if without.stack.contains(&a) && with.stack.contains(&b) {
            continue;
        }
        let Some(difference) = difference(address, a, b, size) else { return refused };
        // The hand-off is later than these two; what has changed meanwhile is not understood.
        let mask = if difference.width == 8 { u64::MAX } else { 0xffff_ffff };
        let shift = 8 * (difference.address - address);
        if (first.word(address).unwrap_or(0) ^ a) >> shift & mask != 0
            || !is_plain(&difference, a, b)
        {
            return refused;
        }
        differences.push(difference);
    }
    // A loader that does not mind has a reason that is not known either.
    if differences.is_empty() { refused } else { (SecureStart::AsGlibc, differences) }
}

/// The difference of two words of so many bytes, of their lower or of their upper half if only that differs.
fn difference(address: u64, a: u64, b: u64, size: u64) -> Option<Difference> {
    if size == 4 {
        let larger = (b as u32).wrapping_sub(a as u32) as i32;
        return Some(Difference { address, width: 4, larger });
    }
    let halves = [0, 32].map(|shift| ((a >> shift) as u32, (b >> shift) as u32));
    let half = |index: usize| {
        let (a, b) = halves[index];
        let larger = b.wrapping_sub(a) as i32;
        Difference { address: address + 4 * index as u64, width: 4, larger }
    };
    match halves.map(|(a, b)| a != b) {
        [true, false] if a >> 32 == 0 => Some(half(0)),
        [false, true] => Some(half(1)),
        _ => {
            let larger = i32::try_from(b.wrapping_sub(a) as i64).ok()?;
            Some(Difference { address, width: 8, larger })
        }
    }
}

/// Whether a file's search path or the name of a library that it needs says `$ORIGIN`, which under
/// AT_SECURE has no or another effect (ld.so(8), "Dynamic string tokens").
pub fn expands_origin(bytes: &[u8]) -> bool {
    let elf = ElfFile::parse(bytes).ok();
    let dynamic = elf.as_ref().and_then(|elf| elf.dynamic().ok().flatten());
    dynamic.is_some_and(|dynamic| {
        let has_origin = |path: &[u8]| {
            [&b"$ORIGIN"[..], b"${ORIGIN}"]
                .iter()
                .any(|token| path.windows(token.len()).any(|window| window == *token))
        };
        let token = |name: &[u8]| name.contains(&b'$');
        dynamic.search_paths().iter().any(|path| has_origin(path))
            || dynamic.needed().into_iter().any(token)
    })
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn differences_keep_to_the_field_that_differs() {
        for (a, b, expected) in [
            (0, 1, Some((0x10, 4, 1))),
            (0x7f00_0000_1000, 0x7f00_0000_1009, Some((0x10, 8, 9))),
            (0x7f00_0000_1009, 0x7f00_0000_1000, Some((0x10, 8, -9))),
            (5 << 32, 6 << 32, Some((0x14, 4, 1))),
            (0x7, 0x7f00_0000_1000, None),
        ] {
            let found = difference(0x10, a, b, 8).map(|d| (d.address, d.width, d.larger));
            assert_eq!(found, expected, "{a:#x} {b:#x}");
        }
    }
}
