//! The Debian package: the tools as they are installed, their documentation, and what dpkg wants to know.
//!
//! Made by dpkg-deb of a tree, since the tree is there already: `cargo deb` would have to be told every man page.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::top;
use crate::tree::{self, Tree};

/// The package's name.
const NAME: &str = "statify";

/// The package's version: that of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Debian's name for the one architecture that the tools run on.
const ARCHITECTURE: &str = "amd64";

/// Where the documentation is.
const DOCUMENTATION: &str = "usr/share/doc/statify";

/// Makes the package in the directory `out`, and prints its path.
pub fn make(out: &Path, profile: &str) -> Result<()> {
    let tools = crate::tools(profile)?;
    let tree = Tree::new()?;
    tools.copy_to(&tree.path().join("usr"))?;
    as_debian_has_it(tree.path())?;
    add_documentation(&tree)?;
    let depends = depends(&tree.path().join("usr/bin"))?;
    let size = size(&tree)?;
    tree.add_text(md5sums(&tree)?, Path::new("DEBIAN/md5sums"))?;
    tree.add_text(control(&depends, size), Path::new("DEBIAN/control"))?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let package = out.join(format!("{NAME}_{VERSION}_{ARCHITECTURE}.deb"));
    let packed = Tree::new()?;
    // Once more, now that it is complete: with the modes that files of a package have.
    tree.copy_to(&packed.path().join("tree"))?;
    pack(&packed.path().join("tree"), &package)?;
    println!("{}", package.display());
    Ok(())
}

/// Debian's zsh looks elsewhere for completions than zsh's own sources say, and its man pages are compressed.
fn as_debian_has_it(root: &Path) -> Result<()> {
    let zsh = root.join("usr/share/zsh");
    fs::rename(zsh.join("site-functions"), zsh.join("vendor-completions"))?;
    let pages = root.join("usr/share/man/man1");
    for page in tree::files(&pages)? {
        let page = pages.join(page);
        let compressed = gzip(&fs::read(&page)?)?;
        fs::write(page.with_extension("1.gz"), compressed)?;
        fs::remove_file(page)?;
    }
    Ok(())
}

/// Licences, changes, README and the guide's pages, with the paths that README's links have.
fn add_documentation(tree: &Tree) -> Result<()> {
    let place = |name: &str| Path::new(DOCUMENTATION).join(name);
    let mit = fs::read_to_string(top().join("LICENSE-MIT"))?;
    tree.add_text(copyright(&mit), &place("copyright"))?;
    tree.add_text(gzip(&fs::read(top().join("CHANGELOG.md"))?)?, &place("changelog.gz"))?;
    for name in ["README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        tree.add_file(&top().join(name), &place(name))?;
    }
    let pages = Path::new("docs/src");
    for page in tree::files(&top().join(pages))? {
        let page = pages.join(page);
        tree.add_file(&top().join(&page), &Path::new(DOCUMENTATION).join(&page))?;
    }
    Ok(())
}

/// In the format of Debian's copyright files, version 1.0. The text of the Apache licence is on every Debian.
fn copyright(mit: &str) -> String {
    let (holder, terms) = mit.split_once("\n\n").unwrap_or(("", mit));
    let terms = terms.trim_end().lines().map(|line| match line {
        "" => " .\n".to_owned(),
        line => format!(" {line}\n"),
    });
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: statify\n\n\
         Files: *\n\
         Copyright: {}\n\
         License: MIT or Apache-2.0\n\n\
         License: MIT\n\
         {}\n\
         License: Apache-2.0\n \
         On Debian systems the text of this licence is in /usr/share/common-licenses/Apache-2.0.\n",
        holder.trim_start_matches("Copyright (c) "),
        terms.collect::<String>(),
    )
}

/// The packages with the libraries that the tools need, by what elfscan says of them.
fn depends(programs: &Path) -> Result<String> {
    let mut command = Command::new(programs.join("elfscan"));
    let output = command.args(["scan", "--json"]).arg(programs).output().context("elfscan")?;
    ensure!(output.status.success(), "elfscan scan: {}", output.status);
    let scanned: Value = serde_json::from_slice(&output.stdout).context("elfscan scan --json")?;
    let glibc = newest_glibc(&scanned).context("elfscan says of no tool which glibc it needs")?;
    Ok(format!("libc6 (>= {glibc}), libgcc-s1"))
}

/// The newest of the versions of glibc that programs need at least.
fn newest_glibc(scanned: &Value) -> Option<String> {
    let numbers = |version: &str| -> Option<Vec<u32>> {
        version.split('.').map(|number| number.parse().ok()).collect()
    };
    let files = scanned["files"].as_array()?.iter();
    let versions = files.filter_map(|file| file["glibc"].as_str());
    let newest = versions.max_by_key(|version| numbers(version))?;
    Some(newest.to_owned())
}

/// What dpkg wants to know.
fn control(depends: &str, kib: u64) -> String {
    format!(
        "Package: {NAME}\n\
         Version: {VERSION}\n\
         Architecture: {ARCHITECTURE}\n\
         Maintainer: the statify authors\n\
         Section: utils\n\
         Priority: optional\n\
         Installed-Size: {kib}\n\
         Depends: {depends}\n\
         Suggests: e2fsprogs\n\
         Description: self-contained files from dynamic executables\n \
         statify takes a dynamic program as it is, without its sources, and makes one\n \
         file of it that runs where its libraries and its loader are not installed.\n \
         .\n \
         elfscan tells what is in ELF files, what they would load, and whether they can\n \
         be converted, and checks converted files and running processes. rootfs-tools\n \
         converts all programs of a directory, tar archive or OCI image, and back.\n \
         chunkstore keeps disk images as chunks and serves them to machines.\n \
         pagescan tells which memory is shared, which could be, and what KSM would win.\n"
    )
}

/// What the files take, in KiB.
fn size(tree: &Tree) -> Result<u64> {
    let mut kib = 0;
    for file in tree.files()? {
        kib += tree.path().join(file).metadata()?.len().div_ceil(1024);
    }
    Ok(kib)
}

/// A line for each file, by which `dpkg --verify` sees whether it is as it was.
fn md5sums(tree: &Tree) -> Result<Vec<u8>> {
    let files: Vec<PathBuf> = tree.files()?;
    let output = Command::new("md5sum").current_dir(tree.path()).arg("--").args(files).output();
    let output = output.context("md5sum cannot be run")?;
    ensure!(output.status.success(), "md5sum: {}", output.status);
    Ok(output.stdout)
}

/// Compressed, with neither name nor time.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut command = Command::new("gzip");
    command.args(["-9", "--no-name", "--stdout"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("gzip cannot be run")?;
    let mut input = child.stdin.take().context("gzip has no input")?;
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(move || input.write_all(bytes));
        let output = child.wait_with_output();
        writer.join().expect("writing does not panic")?;
        output
    })?;
    ensure!(output.status.success(), "gzip: {}", output.status);
    Ok(output.stdout)
}

fn pack(tree: &Path, package: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    // zstd is not what every dpkg of Debian's understands.
    command.args(["--root-owner-group", "-Zxz", "--build"]).arg(tree).arg(package);
    if let Some(time) = last_change() {
        // The same files are then the same package, whenever it is made.
        command.env("SOURCE_DATE_EPOCH", time);
    }
    let output = command.output().context("dpkg-deb cannot be run; install dpkg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "dpkg-deb: {}\n{said}", output.status);
    Ok(())
}

/// When the sources were changed last, unless the environment says another time; `None` if git does not know.
fn last_change() -> Option<String> {
    if let Ok(time) = std::env::var("SOURCE_DATE_EPOCH") {
        return Some(time);
    }
    let mut git = Command::new("git");
    let output = git.args(["log", "-1", "--format=%ct"]).current_dir(top()).output().ok()?;
    let time = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !time.is_empty()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_counts_by_its_numbers() {
        let scanned = |versions: &[&str]| {
            let files = versions.iter().map(|version| serde_json::json!({"glibc": version}));
            serde_json::json!({"files": files.collect::<Vec<_>>()})
        };
        assert_eq!(newest_glibc(&scanned(&["2.9", "2.34", "2.4"])), Some("2.34".into()));
        assert_eq!(newest_glibc(&scanned(&[])), None);
        assert_eq!(newest_glibc(&Value::Null), None);
    }

    #[test]
    fn fields_of_the_package_are_lines() {
        let control = control("libc6 (>= 2.34)", 12);
        for line in control.lines() {
            assert!(line.starts_with(' ') || line.split_once(": ").is_some(), "{line:?}");
        }
        let mit = "Copyright (c) somebody\n\nYou may.\n\nOr not.\n";
        let copyright = copyright(mit);
        assert!(copyright.contains("Copyright: somebody\n"), "{copyright}");
        assert!(copyright.contains("License: MIT\n You may.\n .\n Or not.\n\n"), "{copyright}");
    }
}
