//! What a file may make its reader use.

use super::reader::Damage;

/// How much memory a file may ask for: far more than honest ones do, and no more.
#[derive(Default)]
pub struct Budget {
    used: u64,
}

impl Budget {
    const FREE: u64 = 64 << 20;
    const OF_EACH_BYTE: u64 = 256;

    /// Refuses what is too much for so many bytes read.
    pub fn take(&mut self, bytes: usize, read: u64) -> Result<(), Damage> {
        self.used += bytes as u64;
        let most = Self::FREE + read.saturating_mul(Self::OF_EACH_BYTE);
        if self.used > most { Err(Damage::TooLarge) } else { Ok(()) }
    }
}
