//! Restartable sequences (rseq(2)): instructions that the kernel begins anew when it takes the CPU from a thread within them.
//!
//! It does so when the thread returns to its code, by where its registers are then. A thread whose registers have been
//! elsewhere meanwhile would go on in the midst of a sequence, on another CPU perhaps. So what the kernel would have done is
//! done to the registers that it goes on with: they are at the sequence's abort handler.

/// Offset of the pointer to the sequence that a thread is in, in what it shares with the kernel (struct rseq).
pub const POINTER: u64 = 8;
/// The size of a sequence's description (struct rseq_cs): version and flags, start, length, abort handler.
pub const LEN: usize = 32;

/// Where a thread goes on that was stopped at `at`, within or outside of the sequence of this description.
pub fn goes_on_at(description: &[u8; LEN], at: u64) -> u64 {
    let mut words = description.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let (Some(_), Some(start), Some(len), Some(abort)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return at;
    };
    if at.wrapping_sub(start) < len { abort } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_a_sequence_it_begins_anew() {
        let mut description = [0; LEN];
        for (word, value) in [0, 0x1000u64, 0x20, 0x5000].into_iter().enumerate() {
            description[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
        }
        for (at, on) in [(0xfff, 0xfff), (0x1000, 0x5000), (0x101f, 0x5000), (0x1020, 0x1020)] {
            assert_eq!(goes_on_at(&description, at), on);
        }
        assert_eq!(goes_on_at(&[0xff; LEN], 7), u64::MAX, "nonsense of the process's own");
    }
}
