//! Debian's kernels, from the mirror that this machine's apt uses, by apt in directories of its own:
//! nothing is installed, and no setting of the machine is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::images::{Image, order};

/// The suites: oldstable's 5.10, stable's and testing's kernels, and the newest.
const SUITES: &[&str] = &["bullseye", "bookworm", "trixie", "sid"];
/// The keys that the suites are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The newest kernel of every suite. What is in `cache` is not fetched again; without a mirror,
/// what is there is taken.
pub fn download(cache: &Path) -> Result<Vec<Image>> {
    let mut packages = BTreeMap::new();
    match mirror() {
        Ok(mirror) => {
            for suite in SUITES {
                let apt = Apt::new(&cache.join("apt").join(suite), &mirror, suite)?;
                let name = apt.newest()?;
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
    fn new(dir: &Path, mirror: &str, suite: &str) -> Result<Self> {
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
            ("APT::Architecture", Path::new("amd64")),
            ("APT::Architectures", Path::new("amd64")),
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

    /// The package with the newest kernel: small ones, made for virtual machines. From Linux 7 on
    /// the image is in a package by another name.
    fn newest(&self) -> Result<String> {
        let text = output(self.command("apt-cache").args(["pkgnames", "linux-"]))?;
        let versions = |kind: &str| {
            let of_kind = move |name: &&str| {
                name.strip_prefix(kind)
                    .and_then(|rest| rest.strip_suffix("-cloud-amd64"))
                    .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
            };
            text.lines().filter(of_kind).max_by_key(|name| order(name)).map(str::to_owned)
        };
        versions("linux-binary-").or_else(|| versions("linux-image-")).context("it has no kernel")
    }

    /// Downloads a package into `cache` and returns its file's name.
    fn fetch(&self, package: &str, cache: &Path) -> Result<String> {
        // apt names no file that it finds in its directory already.
        let temporary = cache.join("apt");
        let download = || {
            let mut command = self.command("apt-get");
            command.args(["-qq", "download", package]).current_dir(&temporary);
            command
        };
        let uris = output(download().arg("--print-uris"))?;
        // 'URI' NAME SIZE HASH
        let name = uris.split(' ').nth(1).context("apt-get names no file")?.to_owned();
        if !cache.join(&name).is_file() {
            output(&mut download())?;
            fs::rename(temporary.join(&name), cache.join(&name))?;
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
