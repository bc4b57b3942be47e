//! Stores that somebody has made by hand, to see what becomes of who reads them.

use std::fs;
use std::path::Path;

use anyhow::Result;
use sha2::{Digest, Sha256};

/// A chunk, as an index has it.
#[derive(Clone)]
pub struct Record {
    pub name: [u8; 32],
    pub pack: u32,
    pub offset: u32,
    pub stored: u32,
    pub len: u32,
}

/// An index: what it says, be it true or not.
#[derive(Clone)]
pub struct Index {
    pub chunk_size: u32,
    pub image_len: u64,
    /// How many positions it says that there are, whatever there is.
    pub count: Option<u64>,
    pub positions: Vec<u32>,
    pub packs: Vec<[u8; 32]>,
    pub chunks: Vec<Record>,
    pub bounds: [u32; 3],
    pub holes: Vec<u64>,
}

impl Index {
    /// Of one chunk of 64 KiB, in one pack.
    pub fn of_one(chunk: Record, pack: [u8; 32]) -> Self {
        Self {
            chunk_size: 65536,
            image_len: chunk.len.into(),
            count: None,
            positions: vec![0],
            packs: vec![pack],
            chunks: vec![chunk],
            bounds: [0; 3],
            holes: Vec::new(),
        }
    }

    /// As bytes, with the hash that they have.
    pub fn to_bytes(&self, label: &str) -> Vec<u8> {
        let mut bytes = b"csindex\n".to_vec();
        let count = self.count.unwrap_or(self.positions.len() as u64);
        bytes.extend([2u32, self.chunk_size].map(u32::to_le_bytes).concat());
        bytes.extend([self.image_len, count].map(u64::to_le_bytes).concat());
        let [least, average, most] = self.bounds;
        let (packs, chunks) = (self.packs.len() as u32, self.chunks.len() as u32);
        let words = [packs, chunks, label.len() as u32, least, average, most];
        bytes.extend(words.map(u32::to_le_bytes).concat());
        bytes.extend(label.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(self.packs.concat());
        for Record { name, pack, offset, stored, len } in &self.chunks {
            bytes.extend(name);
            bytes.extend([*pack, *offset, *stored, *len].map(u32::to_le_bytes).concat());
        }
        bytes.extend(self.positions.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(self.holes.iter().flat_map(|len| len.to_le_bytes()));
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        bytes
    }

    /// Puts it into a store, in the place of what is called so.
    pub fn put(&self, label: &str, store: &Path) -> Result<()> {
        Ok(fs::write(
            store.join("indexes").join(hex(&hash(label.as_bytes()))),
            self.to_bytes(label),
        )?)
    }
}

/// A pack of one chunk that has this name and says that it has so many bytes, and its frame.
pub fn pack(name: [u8; 32], len: u32, frame: &[u8]) -> Vec<u8> {
    let mut bytes = b"cspack1\n".to_vec();
    bytes.extend([1u32, 0].map(u32::to_le_bytes).concat());
    bytes.extend(name);
    bytes.extend([64, frame.len() as u32, len, 0].map(u32::to_le_bytes).concat());
    bytes.extend(frame);
    bytes
}

/// Puts a pack into a store, under the name that it has.
pub fn put_pack(bytes: &[u8], store: &Path) -> Result<[u8; 32]> {
    let name = hash(bytes);
    fs::write(store.join("packs").join(hex(&name)), bytes)?;
    Ok(name)
}

pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn hex(name: &[u8; 32]) -> String {
    name.iter().map(|byte| format!("{byte:02x}")).collect()
}
