//! What a guest on EROFS needs before its root: Debian's kernel has EROFS and overlayfs as modules.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use statify_vm::Archive;

/// By which EROFS gets something to write to.
const MODULES: [&str; 2] = ["erofs", "overlay"];
const INIT: &str = "#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /lower /over /new
$b mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do $b insmod $module; done
while ! [ -b /dev/nvme0n1 ]; do $b sleep 0.1; done
$b mount -t erofs -o ro /dev/nvme0n1 /lower
$b mount -t tmpfs tmpfs /over
$b mkdir /over/upper /over/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/over/upper,workdir=/over/work overlay /new
$b umount /dev
exec $b switch_root /new /sbin/init
";

/// Writes it to `path`: modules of the guest's kernel and a static busybox.
pub fn write(path: &Path, root: &Path, release: &str, busybox: &Path) -> Result<()> {
    let modules = root.join("lib/modules").join(release);
    let list = fs::read_to_string(modules.join("modules.dep")).context("the kernel's modules")?;
    let mut archive = Archive::create(path)?;
    archive.contents(Path::new("/init"), 0o755, INIT.as_bytes())?;
    archive.file(Path::new("/bin/busybox"), busybox)?;
    for (index, module) in in_order(&list, &MODULES).iter().enumerate() {
        // Names in the order in which they are to be loaded.
        let name = PathBuf::from(format!("/modules/{index:02}"));
        archive.file(&name, &modules.join(module))?;
    }
    Ok(archive.finish()?)
}

/// The modules of these names and those that they need, each after what it needs, out of modules.dep
/// (`module: what it needs, the direct needs first`, depmod(8)).
fn in_order<'a>(list: &'a str, names: &[&str]) -> Vec<&'a str> {
    let mut modules = Vec::new();
    for name in names {
        let file = format!("/{name}.ko");
        let line = list.lines().filter_map(|line| line.split_once(':'));
        let Some((module, needs)) = line.into_iter().find(|(module, _)| module.ends_with(&file))
        else {
            continue;
        };
        for module in needs.split_whitespace().rev().chain([module]) {
            if !modules.contains(&module) {
                modules.push(module);
            }
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    #[test]
    fn modules_come_after_what_they_need() {
        let list = "fs/b.ko: lib/c.ko lib/d.ko\nlib/c.ko: lib/d.ko\nlib/d.ko:\nfs/a.ko: lib/d.ko\n";
        assert_eq!(
            super::in_order(list, &["b", "a"]),
            ["lib/d.ko", "lib/c.ko", "fs/b.ko", "fs/a.ko"]
        );
        assert!(super::in_order(list, &["built-in"]).is_empty());
    }
}
