//! What programs take up if they are linked statically: Debian's, for the paper's Table 2.

use std::fs;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::room::Room;
use crate::root;

/// Each has a program that the guest has as a dynamic one, too.
const PACKAGES: [&str; 7] =
    ["bash-static", "busybox-static", "e2fsck-static", "mksh", "sash", "tini", "zsh-static"];

/// What there is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Statics {
    packages: Vec<String>,
}

/// Unpacks them, each with what it needs; nothing is installed.
pub fn fetch(room: &Room) -> Result<Statics> {
    let pending = room.pending("static")?;
    root::mmdebstrap(&["--variant=extract"], &PACKAGES, &[], &pending)?;
    room.remove(&room.statics())?;
    fs::rename(&pending, room.statics())?;
    Ok(Statics { packages: PACKAGES.map(Into::into).into() })
}
