#![no_main]
//! A recipe out of a cache, packed and unpacked, that may be anything: it is an error, or whole.

use rootfs_tools::cache::recipe::Recipe;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((size, data)) = data.split_first_chunk() else {
        return;
    };
    // Memory for twice the size is what it may take.
    let size = u64::from_le_bytes(*size) % (64 << 20);
    let _ = Recipe::unpack(data, size);
    if let Ok(recipe) = Recipe::read(data, size) {
        let packed = recipe.pack().expect("memory can be written to");
        assert_eq!(Recipe::unpack(&packed, size).expect("what was packed"), recipe);
    }
});
