//! What takes bytes when libraries are looked for: as a cache of either byte order, a loader, a library, and the
//! list of what to preload.

#![no_main]

use elfscan::deps::{Cache, Capabilities, Library, Loader, Tokens, expand, parse_preload};
use statify_elf::machine::CacheFlags;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for little in [true, false] {
        let cache = Cache::parse(bytes, little);
        let flags = CacheFlags { accepted: [0x303, 3], exact: 0x303 };
        let _ = cache.find(b"libc.so.6", flags, &Capabilities::default());
        let _ = cache.lines(b"libc.so.6").count();
    }
    let _ = (Loader::parse("/lib/ld.so".as_ref(), bytes), Library::parse(bytes, (0, 0)));
    let _ = (parse_preload(bytes), expand(bytes, &Tokens::default()));
});
