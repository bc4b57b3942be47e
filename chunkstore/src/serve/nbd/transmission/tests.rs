//! Requests of every kind, and of none.

use std::io::IoSlice;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use statify_store::Place;
use zerocopy::IntoBytes;
use zerocopy::byteorder::big_endian::{U16, U32, U64};

use super::*;
use crate::index::Index;
use crate::serve::chunks::{Chunks, Options};
use crate::{ChunkSize, Chunking, Store};

/// What a client sends, and how much it is answered.
struct Wire(Mutex<(Vec<u8>, u64)>);

impl Connection for Wire {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let sent = &mut self.0.lock().unwrap().0;
        let len = buffer.len().min(sent.len()).min(40);
        buffer[..len].copy_from_slice(&sent[..len]);
        sent.drain(..len);
        Ok(len)
    }

    fn send(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        self.0.lock().unwrap().1 += len as u64;
        Ok(())
    }

    fn close(&self) {}
}

/// Of zeros.
static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Place::Directory(dir.path().into()), |_| None).unwrap();
    let index = Index::new("image", Chunking::Fixed(ChunkSize::default()), (1 << 22) + 5).unwrap();
    let patience = Duration::from_secs(1);
    let options = Options { memory: 0, cache: None, patience };
    Device { chunks: Chunks::new(store, index, options), trace: None }
});

fn request(kind: u16, flags: u16, offset: u64, len: u32) -> Vec<u8> {
    let magic = U32::new(REQUEST_MAGIC);
    let (flags, kind, cookie) = (U16::new(flags), U16::new(kind), U64::new(7));
    let (offset, len) = (U64::new(offset), U32::new(len));
    Request { magic, flags, kind, cookie, offset, len }.as_bytes().to_vec()
}

fn answered(sent: Vec<u8>, structured: bool) -> (io::Result<()>, u64) {
    let wire = Wire(Mutex::new((sent, 0)));
    let agreed = Agreed { structured, block_status: structured };
    let served = serve(&wire, &DEVICE, agreed);
    let sent = wire.0.lock().unwrap().1;
    (served, sent)
}

#[test]
fn every_read_is_answered_by_its_length() {
    for len in [1, 4096, PIECE as u32, PIECE as u32 + 1, 3 << 20] {
        let reads = request(CMD_READ, 0, PIECE - 1, len).repeat(3);
        let sent = [reads, request(CMD_DISC, 0, 0, 0)].concat();
        let (served, bytes) = answered(sent, false);
        served.unwrap();
        assert_eq!(bytes, 3 * (16 + u64::from(len)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_asked(
        requests in proptest::collection::vec(
            (0u16..9, any::<u16>(), 0u64..5 << 20, 0u32..3 << 20), 0..20),
        rest in proptest::collection::vec(any::<u8>(), 0..60),
        structured in any::<bool>(),
    ) {
        let asked = requests.iter().flat_map(|(kind, flags, offset, len)| {
            let is_write = *kind == CMD_WRITE;
            let len = if is_write { *len % 1000 } else { *len };
            let mut bytes = request(*kind, *flags, *offset, len);
            bytes.resize(bytes.len() + if is_write { len as usize } else { 0 }, 0);
            bytes
        });
        let _ = answered(asked.chain(rest).collect(), structured);
    }
}
