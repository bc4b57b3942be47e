//! The starter: what runs first in a converted program.
//!
//! It is built as a flat image (see `build.rs`), which `statify` puts into every output behind the
//! parameter block that [`statify_params`] describes. The image's source is in `image/`: one file per thing
//! it does, in the order `image/main.rs` shows.
//!
//! The agent is a second such image; it is in outputs with plugins only (see [`statify_params::agent`]).

/// The code: position-independent, entered at its first byte, directly preceded by
/// [`statify_params::Params`] in memory.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/starter.bin"));

/// The agent's code: position-independent, entered at its first byte, directly preceded by
/// [`statify_params::agent::AgentParams`] in memory.
pub const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent.bin"));

const EM_386: u16 = 3;

/// The e_machine (gABI, "ELF Header") of [`IMAGE`] and [`AGENT`], this build's own; 0 where there is no starter for it.
const HOST: u16 = match u16::from_str_radix(env!("STARTER_MACHINE"), 10) {
    Ok(machine) => machine,
    Err(_) => 0,
};

/// The same code as [`IMAGE`] for i386; empty if it could not be made.
const I386: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/starter-i386.bin"));

/// The same code as [`AGENT`] for i386; empty if it could not be made.
const AGENT_I386: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent-i386.bin"));

/// The code that programs for the machine with this e_machine start with. `None` if there is none: a build has that of its
/// own machine, and on x86-64 that of i386, which takes a compiler for it, or the one in the repository if its source has not
/// changed since.
pub fn image(e_machine: u16) -> Option<&'static [u8]> {
    match e_machine {
        EM_386 => Some(I386).filter(|image| !image.is_empty()),
        HOST => Some(IMAGE).filter(|image| !image.is_empty()),
        _ => None,
    }
}

/// The code that serves plugins in programs for the machine with this e_machine; `None` as for [`image`].
pub fn agent(e_machine: u16) -> Option<&'static [u8]> {
    match e_machine {
        EM_386 => Some(AGENT_I386).filter(|image| !image.is_empty()),
        HOST => Some(AGENT).filter(|image| !image.is_empty()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "../agent/path.rs"]
#[allow(dead_code)]
mod path;

#[cfg(test)]
mod tests {
    use statify_params::*;

    use super::path::Path;

    #[test]
    fn the_image_is_small() {
        assert!(super::IMAGE.len() < 14 << 10, "{}", super::IMAGE.len());
        assert!(super::AGENT.len() < 8192, "{}", super::AGENT.len());
    }

    #[test]
    fn the_images_for_i386_are_those_of_their_source() {
        const ANEW: &str = "starter/blob has images of another source: `cargo xtask starter --rustc PROGRAM` makes them anew";
        let image = super::image(3).expect(ANEW);
        assert!(image.len() < 24 << 10, "{}", image.len());
        let agent = super::agent(3).expect(ANEW);
        assert!(agent.len() < 12 << 10, "{}", agent.len());
        assert!(super::agent(62).is_some_and(|host| host != agent));
        assert!(super::image(62).is_some_and(|host| host != image));
    }

    #[test]
    fn paths_are_compared_by_their_components() {
        let same = |a: &str, b: &str| Path(a.as_bytes()).is(b.as_bytes());
        for (a, b) in [("/a/b", "/a/b"), ("//a/./b", "/a//b"), ("./a", "a"), ("/", "//")] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in
            [("/a/b", "a/b"), ("/a/b", "/a"), ("/a", "/a/b"), ("/a/../b", "/b"), ("", "/")]
        {
            assert!(!same(a, b), "{a} {b}");
        }
        let split = |path: &'static str| {
            let (directory, last) = Path(path.as_bytes()).split();
            (directory.0, last)
        };
        assert_eq!(split("/a/b.so"), (&b"/a"[..], &b"b.so"[..]));
        assert_eq!(split("b.so"), (&b""[..], &b"b.so"[..]));
        assert_eq!(split("/"), (&b""[..], &b""[..]));
    }

    #[test]
    fn records_have_no_padding() {
        assert_eq!(size_of::<Params>(), 48 * 8);
        assert_eq!(size_of::<Group>(), 24);
        assert_eq!(size_of::<Map>(), 32);
        assert_eq!(size_of::<PoolFile>(), 72);
        assert_eq!(size_of::<CpuFeatures>(), 32);
        assert_eq!(size_of::<Variant>(), 64);
        assert_eq!(size_of::<Resolver>(), 24);
        assert_eq!(size_of::<Fixup>(), 16);
        assert_eq!(size_of::<Slide>(), 24);
        assert_eq!(size_of::<ConstantRun>(), 16);
        assert_eq!(size_of::<Call>(), 56);
        assert_eq!(size_of::<statify_params::agent::AgentParams>(), 48);
        assert_eq!(size_of::<statify_params::agent::File>(), 72);
    }
}
