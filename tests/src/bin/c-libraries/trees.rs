//! The systems, and how they are made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A system.
#[derive(Debug)]
pub struct System {
    /// Its name, and its directory's.
    pub suite: &'static str,
    /// Where it comes from.
    pub distribution: &'static Distribution,
}

/// Who makes systems.
#[derive(Debug)]
pub struct Distribution {
    /// As it calls itself.
    pub name: &'static str,
    components: &'static str,
    /// With which its packages are signed.
    keyring: &'static str,
}

const DEBIAN: &Distribution = &Distribution {
    name: "Debian",
    components: "main",
    keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
};
const UBUNTU: &Distribution = &Distribution {
    name: "Ubuntu",
    components: "main,universe",
    keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
};

/// By the age of their glibc: 2.27, 2.31, 2.35, 2.36, 2.39, 2.41 and the newest.
pub const SYSTEMS: [System; 7] = [
    System { suite: "bionic", distribution: UBUNTU },
    System { suite: "bullseye", distribution: DEBIAN },
    System { suite: "jammy", distribution: UBUNTU },
    System { suite: "bookworm", distribution: DEBIAN },
    System { suite: "noble", distribution: UBUNTU },
    System { suite: "trixie", distribution: DEBIAN },
    System { suite: "sid", distribution: DEBIAN },
];

/// The systems of these names; all if there is no name.
pub fn select(names: &[String]) -> Result<Vec<&'static System>> {
    if names.is_empty() {
        return Ok(SYSTEMS.iter().collect());
    }
    let find = |name: &String| {
        let system = SYSTEMS.iter().find(|system| system.suite == name);
        system.with_context(|| format!("no system is called {name}"))
    };
    names.iter().map(find).collect()
}

/// Its tree in `dir`, made unless it is there; or why it cannot be had here.
pub fn make(system: &System, dir: &Path) -> Result<Result<PathBuf, String>> {
    let dir = std::path::absolute(dir)?;
    let tree = dir.join(system.suite);
    if tree.is_dir() {
        return Ok(Ok(tree));
    }
    let distribution = system.distribution;
    if !Path::new(distribution.keyring).exists() {
        return Ok(Err(format!("{} is not installed", distribution.keyring)));
    }
    fs::create_dir_all(&dir)?;
    // Renamed when it is complete.
    let pending = tempfile::Builder::new().prefix(system.suite).tempdir_in(&dir)?;
    let root = pending.path().join("root");
    eprintln!("making {}", tree.display());
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--include=gcc,g++,libc6-dev"]);
    command.arg(format!("--components={}", distribution.components));
    command.arg(format!("--keyring={}", distribution.keyring));
    // minbase has none.
    command.arg("--customize-hook=echo 127.0.0.1 localhost > \"$1/etc/hosts\"");
    // An old snapshot of a mirror, or an old machine's clock, does.
    command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    // Without a mirror it takes the one that it knows of the suite.
    command.arg(system.suite).arg(&root);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).output() {
        Err(error) => bail!("mmdebstrap cannot be run: {error}; install it"),
        Ok(output) => ensure!(
            output.status.success(),
            "mmdebstrap {}: {}\n{}",
            system.suite,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
    fs::rename(&root, &tree)?;
    Ok(Ok(tree))
}
