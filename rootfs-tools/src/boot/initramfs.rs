//! What a guest on EROFS needs before its root: Debian's kernels have EROFS and overlayfs as modules, and something must
//! be there that can be written to.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use statify_room::Root;
use statify_vm::Archive;

use crate::error::boot::Fault;
use crate::error::{Error, Result};

/// By which EROFS gets something to write to.
const MODULES: [&str; 2] = ["erofs", "overlay"];
/// No list of modules, module or busybox is larger, in bytes.
const MOST: u64 = 64 << 20;
const INIT: &str = "#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /lower /over /new
$b mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do [ -f $module ] && $b insmod $module; done
while ! [ -b /dev/nvme0n1 ]; do $b sleep 0.1; done
$b mount -t erofs -o ro /dev/nvme0n1 /lower
$b mount -t tmpfs tmpfs /over
$b mkdir /over/upper /over/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/over/upper,workdir=/over/work overlay /new
$b umount /dev
exec $b switch_root /new /sbin/init
";

/// Writes it to `path`: modules of the kernel `release` in the tree `root`, which is shown as `tree`, and a static busybox.
pub fn write(path: &Path, tree: &Path, root: &Root, release: &str, busybox: &Path) -> Result<()> {
    let modules = Path::new("/lib/modules").join(release);
    let text = |name: &str| -> Result<String> {
        let file = modules.join(name);
        let bytes = read(root, &file).map_err(Error::file("read", &tree.join(&file)))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (list, built_in) = (text("modules.dep")?, text("modules.builtin")?);
    let needed = in_order(&list, &built_in, &MODULES)
        .map_err(|module| Fault::NoModule(tree.to_owned(), module, release.to_owned()))?;
    let busybox = static_busybox(busybox)?;
    let mut archive = Archive::create(path).map_err(Fault::Machine)?;
    let of_archive = Error::file("written", path);
    let mut write = || -> io::Result<()> {
        archive.contents(Path::new("/init"), 0o755, INIT.as_bytes())?;
        archive.contents(Path::new("/bin/busybox"), 0o755, &busybox)?;
        for (index, module) in needed.iter().enumerate() {
            // Names in the order in which they are to be loaded.
            let name = PathBuf::from(format!("/modules/{index:02}"));
            archive.contents(&name, 0o644, &read(root, &modules.join(module))?)?;
        }
        Ok(())
    };
    write().and_then(|()| archive.finish()).map_err(of_archive)
}

/// What is in a file of the tree.
pub(super) fn read(root: &Root, path: &Path) -> io::Result<Vec<u8>> {
    let file = root.find(path)?;
    bounded(file.link())
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Opening something else might wait for it.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    match File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)? as u64 > MOST {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// A busybox that needs neither loader nor libraries.
fn static_busybox(path: &Path) -> Result<Vec<u8>, Fault> {
    let name = statify_printable::path(path);
    let bytes = bounded(path).map_err(|error| Fault::NoBusybox(format!("{name}: {error}")))?;
    match goblin::elf::Elf::parse(&bytes) {
        Ok(elf) if elf.interpreter.is_none() => Ok(bytes),
        Ok(_) => Err(Fault::NoBusybox(format!("{name} needs a loader and libraries"))),
        Err(_) => Err(Fault::NoBusybox(format!("{name} is no program"))),
    }
}

/// The modules of these names that are not built in, and those that they need, each after what it needs, out of
/// modules.dep (`module: what it needs, the direct needs first`, depmod(8)). An error is the name of one that is not there.
fn in_order<'a>(
    list: &'a str,
    built_in: &str,
    names: &[&'static str],
) -> Result<Vec<&'a str>, &'static str> {
    let mut modules = Vec::new();
    for &name in names {
        let is_it = |module: &str| {
            let file = module.rsplit('/').next().unwrap_or_default();
            file.strip_prefix(name).is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."))
        };
        if built_in.lines().any(is_it) {
            continue;
        }
        let mut lines = list.lines().filter_map(|line| line.split_once(':'));
        let (module, needs) = lines.find(|(module, _)| is_it(module)).ok_or(name)?;
        for module in needs.split_whitespace().rev().chain([module]) {
            if !modules.contains(&module) {
                modules.push(module);
            }
        }
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_what_they_need() {
        let list =
            "fs/b.ko: lib/c.ko lib/d.ko\nlib/c.ko: lib/d.ko\nlib/d.ko:\nfs/a.ko.xz: lib/d.ko\n";
        assert_eq!(
            in_order(list, "", &["b", "a"]),
            Ok(vec!["lib/d.ko", "lib/c.ko", "fs/b.ko", "fs/a.ko.xz"])
        );
        assert_eq!(in_order(list, "kernel/fs/z.ko\n", &["z"]), Ok(vec![]));
        assert_eq!(in_order(list, "", &["z"]), Err("z"));
    }

    #[test]
    fn a_busybox_is_static() {
        let refused = |path: &Path| static_busybox(path).unwrap_err().to_string();
        assert!(refused(Path::new("/no/busybox")).contains("/no/busybox: "));
        assert!(refused(Path::new("/bin/sh")).contains("needs a loader"));
        let text = tempfile::NamedTempFile::new().unwrap();
        assert!(refused(text.path()).contains("is no program"));
    }
}
