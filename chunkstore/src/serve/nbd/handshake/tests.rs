//! What clients say, and what they are answered.

use proptest::prelude::*;

use super::*;

/// What a client sends, and what it is answered.
struct Wire<'a>(&'a [u8], Vec<u8>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const EXPORT: Export<'static> = Export { name: "image", len: 1 << 20 };

fn option(option: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = OPTION_MAGIC.to_be_bytes().to_vec();
    bytes.extend(option.to_be_bytes());
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn named(name: &str, rest: &[u8]) -> Vec<u8> {
    [&(name.len() as u32).to_be_bytes()[..], name.as_bytes(), rest].concat()
}

fn spoken(options: &[Vec<u8>]) -> (io::Result<Option<Agreed>>, Vec<u8>) {
    let sent = [&3u32.to_be_bytes()[..], &options.concat()].concat();
    let mut wire = Wire(&sent, Vec::new());
    let agreed = handshake(&mut wire, EXPORT);
    (agreed, wire.1)
}

#[test]
fn a_client_agrees() {
    let query = named(ALLOCATION, b"");
    let contexts = named("image", &[&1u32.to_be_bytes()[..], &query].concat());
    let (agreed, _) = spoken(&[
        option(OPT_STRUCTURED_REPLY, b""),
        option(OPT_SET_META_CONTEXT, &contexts),
        option(OPT_GO, &named("", &[0, 0])),
    ]);
    let all = Agreed { structured: true, block_status: true };
    assert_eq!(agreed.unwrap(), Some(all));
    let (agreed, said) = spoken(&[option(99, b"x"), option(OPT_ABORT, b"")]);
    assert_eq!(agreed.unwrap(), None);
    assert!(said.windows(4).any(|word| word == REP_ERR_UNSUP.to_be_bytes()));
    let (agreed, said) = spoken(&[option(OPT_EXPORT_NAME, b"image")]);
    assert_eq!(agreed.unwrap(), Some(Agreed::default()));
    assert_eq!(said.len(), 18 + 10);
    let (agreed, _) = spoken(&[option(OPT_EXPORT_NAME, b"other")]);
    assert!(agreed.is_err());
    let (agreed, said) = spoken(&[option(OPT_GO, &named("other", &[0, 0]))]);
    assert!(agreed.is_err());
    assert!(said.windows(4).any(|word| word == REP_ERR_UNKNOWN.to_be_bytes()));
}

#[test]
fn nothing_is_told_in_the_clear() {
    let said = |options: &[Vec<u8>]| {
        let sent = [&3u32.to_be_bytes()[..], &options.concat()].concat();
        let mut wire = Wire(&sent, Vec::new());
        let greeted = until_encrypted(&mut wire);
        (greeted, wire.1)
    };
    let questions = [
        option(OPT_LIST, b""),
        option(OPT_INFO, &named("image", &[0, 0])),
        option(OPT_GO, &named("image", &[0, 0])),
        option(OPT_STRUCTURED_REPLY, b""),
    ];
    let (greeted, answers) = said(&questions);
    assert!(greeted.is_err());
    let refusals = answers.windows(4).filter(|word| *word == REP_ERR_TLS_REQD.to_be_bytes());
    assert_eq!(refusals.count(), questions.len());
    assert!(!answers.windows(5).any(|word| word == b"image"));
    assert!(said(&[option(OPT_EXPORT_NAME, b"image")]).0.is_err());
    let (greeted, _) = said(&[option(OPT_LIST, b""), option(OPT_STARTTLS, b"")]);
    let greeted = greeted.unwrap().unwrap();
    assert!(greeted.is_encrypted && greeted.no_zeroes);
    assert_eq!(said(&[option(OPT_ABORT, b"")]).0.unwrap(), None);
}

proptest! {
    #[test]
    fn whatever_is_said(bytes in proptest::collection::vec(any::<u8>(), 0..200), number in 0u32..12) {
        let _ = handshake(&mut Wire(&bytes, Vec::new()), EXPORT);
        let _ = until_encrypted(&mut Wire(&bytes, Vec::new()));
        let _ = spoken(&[option(number, &bytes), option(OPT_GO, &named("image", &[0, 0]))]);
    }
}
