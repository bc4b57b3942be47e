//! Debian's kernels, and programs of 32 bits, from the mirror that this machine's apt uses, by apt in directories of its own:
//! nothing is installed, and no setting of the machine is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::deb;
use crate::images::{Image, order};

/// A suite, an architecture, and how the names of packages end that have its kernels: of amd64 the small ones, made for
/// virtual machines.
const KERNELS: &[(&str, &str, &str)] = &[
    ("bullseye", "amd64", "cloud-amd64"),
    ("bookworm", "amd64", "cloud-amd64"),
    ("trixie", "amd64", "cloud-amd64"),
    ("sid", "amd64", "cloud-amd64"),
    // Later ones have none.
    ("bullseye", "i386", "686-pae"),
    ("bookworm", "i386", "686-pae"),
];
/// Where programs of 32 bits come from: an old system, whose programs run with the C libraries of newer ones.
const PROGRAMS: (&str, &str) = ("bullseye", "i386");
/// The keys that the suites are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The newest kernel of every suite. What is in `cache` is not fetched again; without a mirror,
/// what is there is taken.
pub fn download(cache: &Path) -> Result<Vec<Image>> {
    let mut packages = BTreeMap::new();
    match mirror() {
        Ok(mirror) => {
            for (suite, architecture, flavour) in KERNELS {
                let apt = Apt::new(cache, &mirror, suite, architecture)?;
                let name = apt.newest(flavour)?;
                let file = apt.fetch(&name, cache)?;
                packages.insert(file.clone(), Image::open(&cache.join(file), cache)?);
            }
        }
        Err(error) => {
            eprintln!("no new kernels are downloaded: {error:#}");
            for entry in fs::read_dir(cache)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "deb") {
                    packages.insert(path.display().to_string(), Image::open(&path, cache)?);
                }
            }
        }
    }
    Ok(packages.into_values().collect())
}

/// The file of a package of i386 in `cache`, where it need not be fetched again, whose name ends like `pattern`.
pub fn program_of_32_bits(package: &str, pattern: &str, cache: &Path) -> Result<PathBuf> {
    let dir = cache.join(PROGRAMS.1);
    let kept = dir.join(package);
    if !kept.is_dir() {
        fs::create_dir_all(&dir)?;
        let apt = Apt::new(cache, &mirror()?, PROGRAMS.0, PROGRAMS.1)?;
        let file = dir.join(apt.fetch(package, &dir)?);
        let pending = tempfile::tempdir_in(&dir)?;
        deb::unpack(&file, pattern, pending.path())?;
        fs::rename(pending.keep(), &kept)?;
    }
    Ok(fs::read_dir(&kept)?.next().context("an empty directory")??.path())
}

/// The first mirror of Debian itself that this machine's apt knows.
fn mirror() -> Result<String> {
    let text = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(LABEL) $(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Debian Debian "))
        .map(Into::into)
        .context("apt knows no mirror of Debian (apt-get update?)")
}

/// apt with directories of its own and one suite.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(cache: &Path, mirror: &str, suite: &str, architecture: &str) -> Result<Self> {
        let dir = cache.join("apt").join(format!("{suite}-{architecture}"));
        for made in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(made))?;
        }
        let (list, status) = (dir.join("sources.list"), dir.join("status"));
        fs::write(&list, format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))?;
        fs::write(&status, "")?;
        let options = [
            ("Dir::Etc::SourceList", list.as_path()),
            ("Dir::Etc::SourceParts", Path::new("-")),
            ("Dir::State", &dir.join("state")),
            ("Dir::State::status", &status),
            ("Dir::Cache", &dir.join("cache")),
            ("APT::Architecture", Path::new(architecture)),
            ("APT::Architectures", Path::new(architecture)),
            // The cache directory need not be open to apt's own user.
            ("APT::Sandbox::User", Path::new("root")),
            ("Acquire::Languages", Path::new("none")),
        ];
        let options = options.map(|(name, value)| format!("-o{name}={}", value.display()));
        let apt = Self { options: options.into() };
        output(apt.command("apt-get").args(["-qq", "update"]))
            .with_context(|| format!("reading what {suite} has"))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options);
        command
    }

    /// The package with the newest kernel of a flavour. From Linux 7 on the image is in a package by another name.
    fn newest(&self, flavour: &str) -> Result<String> {
        let ending = format!("-{flavour}");
        let text = output(self.command("apt-cache").args(["pkgnames", "linux-"]))?;
        let versions = |kind: &str| {
            // Others have a word in between (`-rt-`).
            let is_number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
            let of_kind = |name: &&str| {
                name.strip_prefix(kind)
                    .and_then(|rest| rest.strip_suffix(&*ending))
                    .is_some_and(|version| version.split('-').all(is_number))
            };
            text.lines().filter(of_kind).max_by_key(|name| order(name)).map(str::to_owned)
        };
        versions("linux-binary-").or_else(|| versions("linux-image-")).context("it has no kernel")
    }

    /// Downloads a package into `cache` and returns its file's name.
    fn fetch(&self, package: &str, cache: &Path) -> Result<String> {
        // apt names no file that it finds in its directory already.
        let temporary = tempfile::tempdir_in(cache)?;
        let download = || {
            let mut command = self.command("apt-get");
            command.args(["-qq", "download", package]).current_dir(temporary.path());
            command
        };
        let uris = output(download().arg("--print-uris"))?;
        // 'URI' NAME SIZE HASH
        let name = uris.split(' ').nth(1).context("apt-get names no file")?.to_owned();
        if !cache.join(&name).is_file() {
            output(&mut download())?;
            fs::rename(temporary.path().join(&name), cache.join(&name))?;
        }
        Ok(name)
    }
}

fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("starting {program:?}"))?;
    if !output.status.success() {
        bail!("{program:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("apt says what is no text")?;
    ensure!(!text.is_empty() || program == "apt-get", "{program:?} says nothing");
    Ok(text)
}
