//! KSM for a process that runs: the prctl(2) that only it can make is made in its name ([`statify_process::visit`]).

use statify_process::{ProcessDir, visit};

use super::state::State;
use crate::error::{Error, Result};
use crate::kernel::merge::SET_MEMORY_MERGE;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switched {
    /// It is as asked for now.
    Now,
    /// It was before, and the process was not touched.
    Before,
}

/// Lets KSM merge all memory of a process that it can, or nothing of it any more. Children that it starts from then on inherit
/// it, those that it has do not. Nothing else of the process changes.
pub fn switch(pid: u32, on: bool) -> Result<Switched> {
    let before = State::of(pid)?;
    if before.merge_any == Some(on) {
        return Ok(Switched::Before);
    }
    if !on {
        is_soon_off(pid)?;
    }
    let args = [u64::from(on), 0, 0, 0, 0];
    let [a, b, c, d, e] = args;
    let option = SET_MEMORY_MERGE as u64;
    let answer = visit::call(pid, libc::SYS_prctl, [option, a, b, c, d, e]);
    let answer = answer.map_err(|refused| Error::Process(pid, refused.to_string()))?;
    let why = match -answer {
        0 => None,
        errno if errno == i64::from(libc::EINVAL) => {
            Some("this kernel cannot switch KSM for a process (before Linux 6.4)".to_owned())
        }
        errno if errno == i64::from(libc::ENOMEM) => {
            Some("there is not enough memory to give it pages of its own".to_owned())
        }
        errno => {
            let error = std::io::Error::from_raw_os_error(errno as i32);
            Some(format!("the kernel refuses to switch KSM for it: {error}"))
        }
    };
    if let Some(why) = why {
        return Err(Error::Process(pid, why));
    }
    match State::of(pid)?.merge_any {
        Some(is_on) if is_on != on => {
            let why = "the kernel says that KSM was switched for it, but not that it is; it may have executed another program";
            Err(Error::Process(pid, why.into()))
        }
        _ => Ok(Switched::Now),
    }
}

/// Bytes of addresses that the kernel goes through in some seconds.
const MOST_ADDRESSES: u64 = 1 << 40;

/// Refuses to switch it off where that takes minutes, for which the process would stand still: the kernel (up to 6.18 at
/// least) looks for merged pages at every address, be there memory or not (mm/ksm.c: break_ksm()).
fn is_soon_off(pid: u32) -> Result<()> {
    let size = ProcessDir::open(pid).and_then(|dir| dir.status()).map_or(0, |status| status.size);
    refusal(size).map_or(Ok(()), |why| Err(Error::Process(pid, why)))
}

fn refusal(size: u64) -> Option<String> {
    let why = || {
        format!(
            "it has {} TiB of addresses, at each page of which the kernel would look while the process stands still, for minutes; KSM stays on for it",
            size >> 40
        )
    };
    (size > MOST_ADDRESSES).then(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terabytes_of_addresses_are_not_gone_through() {
        assert_eq!(refusal(MOST_ADDRESSES), None);
        assert!(refusal(16 << 40).is_some_and(|why| why.contains("16 TiB of addresses")));
    }
}
