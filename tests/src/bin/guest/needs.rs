//! What must be installed here.

use anyhow::{Result, ensure};
use statify_tests::machine;

/// Programs, and Debian's packages with them.
const NEEDS: [(&str, &str); 7] = [
    ("mmdebstrap", "mmdebstrap"),
    ("dpkg-deb", "dpkg"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mkfs.ext4", "e2fsprogs"),
    ("dumpe2fs", "e2fsprogs"),
    ("mkfs.erofs", "erofs-utils"),
    ("mkfs.btrfs", "btrfs-progs"),
];

/// Says what is missing.
pub fn check() -> Result<()> {
    let missing = missing(|program| machine::find_program(program).is_some());
    ensure!(missing.is_empty(), "not installed: {} (apt-get install it)", missing.join(" "));
    Ok(())
}

fn missing(is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<_> = NEEDS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_packages_once() {
        assert_eq!(
            super::missing(|program| program.contains("btrfs") || !program.contains('f')),
            ["e2fsprogs", "erofs-utils"]
        );
    }
}
