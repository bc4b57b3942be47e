//! By what an embedded file is known.

use sha2::{Digest, Sha256};
use statify_format::parallel::in_parallel;
use statify_format::verity;

use crate::classify::Image;

/// The hashes of an embedded file.
#[derive(Clone, Debug, Default)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: [u8; 32],
    /// What fs-verity says of it; zeros where nobody will ask.
    pub verity: [u8; 32],
}

/// Those of all objects of an image, in their order; those of fs-verity only if the output has a pool.
pub fn of(image: &Image, has_pool: bool) -> Vec<Hashes> {
    in_parallel(image.objects.len(), |index| {
        let bytes = &image.objects[index].bytes[..];
        let verity = if has_pool { verity::digest(bytes) } else { Default::default() };
        Hashes { sha256: Sha256::digest(bytes).into(), verity }
    })
}
