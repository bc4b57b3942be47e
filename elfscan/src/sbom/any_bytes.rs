//! Package databases of bytes that may be anything.

use proptest::prelude::*;

/// A bit of each kind, for mutations that come further than the first line.
const SAMPLE: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2)\n\
    Version: 2.36-9\n\nC:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\nF:usr/lib\nR:libc.so.6\nZ:Q1abc=\n\n\
    0123456789abcdef0123456789abcdef  usr/lib/libc.so.6\n/lib/a\n/lib/a.real\n:\nID=\"debian\"\n";

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        super::look(&bytes);
    }

    #[test]
    fn changed_databases(at in 0usize..280, change in proptest::collection::vec(any::<u8>(), 1..8), len in 0usize..400) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes.splice(at.min(bytes.len())..at.min(bytes.len()), change);
        bytes.truncate(len);
        super::look(&bytes);
    }
}
