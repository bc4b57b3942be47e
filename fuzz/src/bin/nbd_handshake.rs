//! Whatever a client says: it is answered, or sent away.

#![no_main]

use std::io::{Cursor, Read, Result, Write};

use chunkstore::serve::nbd::handshake::{Export, handshake, options, until_encrypted};

/// What a client says; what it is answered counts for nothing.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let export = Export { name: "image", len: 1 << 30 };
    let _ = handshake(&mut Wire(Cursor::new(bytes)), export);
    let mut wire = Wire(Cursor::new(bytes));
    if let Ok(Some(greeted)) = until_encrypted(&mut wire) {
        let _ = options(&mut wire, greeted, export);
    }
});
