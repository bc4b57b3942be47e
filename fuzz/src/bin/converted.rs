//! Whatever the bytes: a converted file is read, checked and described, or refused.
#![no_main]

use elfscan::converted::open::Converted;
use elfscan::converted::{check, show};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(converted) = Converted::read(bytes) {
        let all = 0..bytes.len() as u64;
        let _ = check::check(&converted, std::slice::from_ref(&all));
        let _ = show::describe(&converted, 0, None);
    }
});
