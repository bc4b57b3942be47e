//! The loader's own list of what it has loaded, for debuggers: `struct r_debug` and `struct link_map`
//! (SVR4 ABI; glibc's and musl's <link.h>, for 64 bits), read from a process.

use super::process::Process;

/// More modules than this has no program; the list is then damaged.
pub const MOST: usize = 16 << 10;
/// glibc has 16 namespaces (DL_NNS).
const MOST_NAMESPACES: usize = 64;
/// r_state: nothing is being loaded.
const RT_CONSISTENT: u32 = 0;

/// What the loader says of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where this record lies.
    pub at: u64,
    /// l_addr: what is added to the file's addresses.
    pub bias: u64,
    /// l_name: empty for the program.
    pub name: Vec<u8>,
    /// l_ld: where the dynamic section lies.
    pub dynamic: u64,
}

/// The lists of all namespaces that the loader tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The first is the program's; in the loader's order.
    pub namespaces: Vec<Vec<Link>>,
    /// False while something is being loaded or unloaded.
    pub is_consistent: bool,
}

impl Default for Links {
    /// Of a program without loader.
    fn default() -> Self {
        Self { namespaces: Vec::new(), is_consistent: true }
    }
}

impl Links {
    /// Reads them, beginning with the `r_debug` at this address. `None` if there is none, or if they hold
    /// more than `left` modules, from which what was read is taken.
    pub fn read(process: &Process, first: u64, left: &mut usize) -> Option<Self> {
        let mut links = Self::default();
        let mut debug = first;
        while debug != 0 && links.namespaces.len() < MOST_NAMESPACES {
            // r_version, r_map, r_brk, r_state, r_ldbase; from version 2 on r_next.
            let size = process.word_size as usize;
            let mut bytes = [0; 48];
            let bytes = &mut bytes[..6 * size];
            let len = process.read_some(debug, bytes);
            if len < 5 * size {
                break;
            }
            let word = |number: usize| process.number(&bytes[number * size..]);
            let version = word(0) as u32;
            if version == 0 || version > 16 {
                break;
            }
            links.is_consistent &= word(3) as u32 == RT_CONSISTENT;
            links.namespaces.push(list(process, word(1), left)?);
            debug = if version >= 2 { word(5) } else { 0 };
        }
        let is_there = links.namespaces.first().is_some_and(|first| !first.is_empty());
        is_there.then_some(links)
    }
}

/// `None` if the list leads nowhere or does not end.
fn list(process: &Process, first: u64, left: &mut usize) -> Option<Vec<Link>> {
    let mut links = Vec::new();
    let mut at = first;
    while at != 0 {
        *left = left.checked_sub(1)?;
        // l_addr, l_name, l_ld, l_next.
        let size = process.word_size as usize;
        let mut bytes = [0; 32];
        let bytes = &mut bytes[..4 * size];
        if process.read_some(at, bytes) < bytes.len() {
            return None;
        }
        let [bias, name, dynamic, next] =
            [0, 1, 2, 3].map(|index: usize| process.number(&bytes[index * size..]));
        let name = process.string(name).unwrap_or_default();
        links.push(Link { at, bias, name, dynamic });
        at = next;
    }
    Some(links)
}
