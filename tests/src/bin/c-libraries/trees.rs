//! The systems, and how they are made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use statify_tests::toolchain::Toolchain;

/// A system.
#[derive(Debug)]
pub struct System {
    /// Its name, and its directory's: the suite's, and the architecture's if it is not this machine's.
    pub name: &'static str,
    suite: &'static str,
    distribution: &'static Distribution,
    /// What its programs are made for.
    pub architecture: Architecture,
}

impl System {
    const fn new(
        name: &'static str,
        suite: &'static str,
        distribution: &'static Distribution,
        architecture: Architecture,
    ) -> Self {
        Self { name, suite, distribution, architecture }
    }

    /// As it is called in tables.
    pub fn title(&self) -> String {
        let more = match self.architecture {
            Architecture::Own => "",
            Architecture::I386 => ", i386",
            Architecture::Arm64 => ", AArch64 (emulated)",
        };
        format!("{} {}{more}", self.distribution.name, self.suite)
    }

    /// Whether there are fixtures that its compiler does not build, or whose originals its C library fails: the oldest, of 32 bits
    /// the one after it, and a machine that some flags of compilers are not for.
    pub fn some_are_unfit(&self) -> bool {
        let is_old_and_narrow = self.suite == BIONIC && self.architecture == Architecture::I386;
        self.suite == XENIAL || is_old_and_narrow || self.architecture == Architecture::Arm64
    }

    /// The compilers whose programs it runs.
    pub fn toolchain(&self) -> Toolchain {
        match self.architecture {
            Architecture::Own | Architecture::Arm64 => Toolchain::Machine,
            Architecture::I386 => Toolchain::Narrow,
        }
    }
}

/// What a system's programs are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// This machine.
    Own,
    /// All of it 32 bits, the compilers too.
    I386,
    /// The guest's for AArch64, with a kernel of its own.
    Arm64,
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

const XENIAL: &str = "xenial";
const BIONIC: &str = "bionic";

/// By the age of their glibc: 2.23, 2.27, 2.31, 2.35, 2.36, 2.39, 2.41 and the newest; those of other machines behind.
pub const SYSTEMS: [System; 15] = [
    System::new(XENIAL, XENIAL, UBUNTU, Architecture::Own),
    System::new(BIONIC, BIONIC, UBUNTU, Architecture::Own),
    System::new("bullseye", "bullseye", DEBIAN, Architecture::Own),
    System::new("jammy", "jammy", UBUNTU, Architecture::Own),
    System::new("bookworm", "bookworm", DEBIAN, Architecture::Own),
    System::new("noble", "noble", UBUNTU, Architecture::Own),
    System::new("trixie", "trixie", DEBIAN, Architecture::Own),
    System::new("sid", "sid", DEBIAN, Architecture::Own),
    System::new("xenial-i386", XENIAL, UBUNTU, Architecture::I386),
    System::new("bionic-i386", BIONIC, UBUNTU, Architecture::I386),
    System::new("bullseye-i386", "bullseye", DEBIAN, Architecture::I386),
    System::new("bookworm-i386", "bookworm", DEBIAN, Architecture::I386),
    System::new("trixie-i386", "trixie", DEBIAN, Architecture::I386),
    System::new("sid-i386", "sid", DEBIAN, Architecture::I386),
    System::new("bookworm-arm64", "bookworm", DEBIAN, Architecture::Arm64),
];

/// The same system for each machine.
pub const MACHINES: [&str; 3] = ["bookworm", "bookworm-i386", "bookworm-arm64"];

/// The systems of these names; all if there is no name.
pub fn select(names: &[String]) -> Result<Vec<&'static System>> {
    if names.is_empty() {
        return Ok(SYSTEMS.iter().collect());
    }
    let find = |name: &String| {
        let system = SYSTEMS.iter().find(|system| system.name == name);
        system.with_context(|| format!("no system is called {name}"))
    };
    names.iter().map(find).collect()
}

/// Its tree in `dir`, made unless it is there; or why it cannot be had here.
pub fn make(system: &System, dir: &Path) -> Result<Result<PathBuf, String>> {
    let dir = std::path::absolute(dir)?;
    let tree = dir.join(system.name);
    if tree.is_dir() {
        return Ok(Ok(tree));
    }
    let distribution = system.distribution;
    if !Path::new(distribution.keyring).exists() {
        return Ok(Err(format!("{} is not installed", distribution.keyring)));
    }
    fs::create_dir_all(&dir)?;
    // Renamed when it is complete.
    let pending = tempfile::Builder::new().prefix(system.name).tempdir_in(&dir)?;
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
    if system.suite == XENIAL {
        // A package of its makes accounts before it has PAM's files.
        command.arg(
            "--extract-hook=for kind in auth account password session; do \
             echo \"$kind required pam_permit.so\" >\"$1/etc/pam.d/common-$kind\"; done",
        );
    }
    if system.architecture == Architecture::I386 {
        command.arg("--architectures=i386");
        // The mirrors of updates are not all complete for it.
        command.arg("--setup-hook=sed -Ei '/-(security|updates)/d' \"$1/etc/apt/sources.list\"");
    }
    // Without a mirror it takes the one that it knows of the suite.
    command.arg(system.suite).arg(&root);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).output() {
        Err(error) => bail!("mmdebstrap cannot be run: {error}; install it"),
        Ok(output) => ensure!(
            output.status.success(),
            "mmdebstrap {}: {}\n{}",
            system.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
    fs::rename(&root, &tree)?;
    Ok(Ok(tree))
}
