//! Converted files that were changed by somebody who knows how they are made: every hash in them is right again.

use anyhow::{Context, Result};
use elfscan::converted::open::Converted;
use statify_format::build_id;

/// Makes the pages' sums and the build-id anew. (What the manifest says is part of the build-id; it is not changed.)
pub fn reseal(bytes: &mut [u8]) -> Result<()> {
    let (sums, sums_at, new, new_at) = {
        let converted = Converted::read(bytes)?;
        let (elf, manifest) = (&converted.elf, &converted.manifest);
        let pages = build_id::pages(bytes, elf, manifest).context("no pages")?;
        let checksums = build_id::checksums(bytes, elf, &pages);
        let sums = build_id::sums(&checksums);
        let sums_at = build_id::sums_position(bytes, elf).context("no sums")?;
        let mut again = bytes.to_vec();
        again[sums_at..sums_at + sums.len()].copy_from_slice(&sums);
        let again = Converted::read(&again)?;
        let new = build_id::build_id(again.bytes(), &again.elf, &again.manifest);
        let new_at = build_id::position(again.bytes(), &again.elf);
        (sums, sums_at, new.context("no build-id")?, new_at.context("no build-id")?)
    };
    bytes[sums_at..sums_at + sums.len()].copy_from_slice(&sums);
    bytes[new_at..new_at + new.len()].copy_from_slice(&new);
    Ok(())
}
