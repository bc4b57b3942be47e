//! What fs-verity says of a file: the hash of a tree of hashes of its blocks (Linux's
//! Documentation/filesystems/fsverity.rst, "Merkle tree", "fs-verity descriptor").

use sha2::{Digest, Sha256};

/// The block size that `fsverity enable` and the kernel's users take, in bytes.
const BLOCK: usize = 4096;
const LOG2_OF_BLOCK: u8 = 12;
/// FS_VERITY_HASH_ALG_SHA256.
const SHA256: u8 = 1;
/// Bytes of `struct fsverity_descriptor`, and where its data_size and root_hash are.
const DESCRIPTOR: usize = 256;
const DATA_SIZE: usize = 8;
const ROOT_HASH: usize = 16;

/// The digest of a file with these contents: by SHA-256, with blocks of 4096 bytes, no salt and no signature. The ioctl
/// FS_IOC_MEASURE_VERITY answers it where the file is guarded so.
pub fn digest(contents: &[u8]) -> [u8; 32] {
    let mut descriptor = [0; DESCRIPTOR];
    descriptor[..3].copy_from_slice(&[1, SHA256, LOG2_OF_BLOCK]);
    descriptor[DATA_SIZE..][..8].copy_from_slice(&(contents.len() as u64).to_le_bytes());
    if !contents.is_empty() {
        let mut hashes = of_blocks(contents);
        while hashes.len() > 32 {
            hashes = of_blocks(&hashes);
        }
        descriptor[ROOT_HASH..][..32].copy_from_slice(&hashes);
    }
    Sha256::digest(descriptor).into()
}

/// The hashes of all blocks; the last is filled with zeros.
fn of_blocks(bytes: &[u8]) -> Vec<u8> {
    let hash = |block: &[u8]| {
        let zeros = &[0; BLOCK][block.len()..];
        Sha256::new().chain_update(block).chain_update(zeros).finalize()
    };
    bytes.chunks(BLOCK).flat_map(hash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::hex;

    /// What `fsverity digest` (fsverity-utils) prints.
    #[test]
    fn digests_are_those_of_the_tool() {
        for (len, expected) in [
            (0, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"),
            (1, "b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551"),
            (4096, "13e9b8848ae484a36acb3f3cac0ceb2f7601e96633d15c92f9bd3dd44e492157"),
            (4097, "b0d074abef4d544404facfab6ba242f6a8ccbde90f1325cd286f3c8aa8d0f8aa"),
            (524_288, "d82861203d50ae9b60948504a704f35f5118bd229aeb1a22d6dae47b1767c4c4"),
            (524_289, "4dc6905041c9c4ee73e13b53f63f5d289c46da359b664a965ead7f8cc4d799d4"),
        ] {
            let contents: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
            assert_eq!(hex(&digest(&contents)), expected, "{len}");
        }
    }
}
