//! A small guest.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;
use statify_tests::case::Case;
use statify_tests::machine;
use statify_tests::small_root::SmallRoot;

/// What a machine with coreutils has.
const PROGRAMS: &[&str] = &[
    "ls", "cat", "cp", "mv", "mkdir", "date", "wc", "sort", "head", "tail", "cut", "tr", "uname",
    "id", "env", "gzip", "sed", "grep", "tar", "perl", "bash", "find", "xargs", "stat", "sleep",
    "expr", "true",
];

/// A tree with a merged /usr.
fn merged(dir: PathBuf) -> Result<SmallRoot> {
    let root = SmallRoot::new(dir)?;
    for name in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.path(&format!("usr/{name}")))?;
        symlink(format!("usr/{name}"), root.path(name))?;
    }
    fs::create_dir(root.path("etc"))?;
    fs::create_dir(root.path("dev"))?;
    Ok(root)
}

/// Three programs under four names.
pub fn tiny(dir: PathBuf) -> Result<SmallRoot> {
    let root = merged(dir)?;
    root.add_program(Path::new("/bin/true"), "/usr/bin/one")?;
    root.add(Path::new("/bin/true"), "/usr/bin/two")?;
    root.add_program(Path::new("/bin/cat"), "/usr/bin/three")?;
    fs::hard_link(root.path("/usr/bin/three"), root.path("/usr/sbin/four"))?;
    Ok(root)
}

/// Whatever a guest has: names, links, owners, modes, attributes, devices, holes.
pub fn small(case: &Case) -> Result<SmallRoot> {
    let root = merged(case.dir.join("guest"))?;
    for name in PROGRAMS {
        let Some(path) = ["/usr/bin", "/bin"].iter().find_map(|dir| {
            let path = Path::new(dir).join(name).canonicalize().ok()?;
            path.is_file().then_some(path)
        }) else {
            continue;
        };
        root.add_program(&path, &format!("/usr/bin/{name}"))?;
    }
    fs::hard_link(root.path("/usr/bin/expr"), root.path("/usr/bin/expr-too"))?;
    fs::hard_link(root.path("/usr/bin/gzip"), root.path("/usr/sbin/gunzip"))?;
    fs::hard_link(root.path("/usr/bin/gzip"), root.path("/usr/lib/gzip-too"))?;
    fs::copy(root.path("/usr/bin/cat"), root.path("/usr/sbin/cat-again"))?;
    symlink("ls", root.path("/usr/bin/dir"))?;
    symlink("/etc/alternatives/nothing", root.path("/usr/bin/dangling"))?;
    symlink("loop", root.path("/usr/bin/loop"))?;
    executable(&root.path("/usr/bin/script"), b"#!/bin/sh\n:\n")?;
    if machine::lacking(&["static-libc"])?.is_none() {
        let still = case.build("answer", "still", &["-static"])?;
        root.add(&still, "/usr/bin/still")?;
    }
    let mut foreign = fs::read(root.path("/usr/bin/true"))?;
    foreign[18] = 183;
    executable(&root.path("/usr/bin/foreign"), &foreign)?;
    fs::write(root.path("/usr/bin/notes"), "no program\n")?;
    nix::unistd::mkfifo(&root.path("/usr/bin/pipe"), nix::sys::stat::Mode::S_IRWXU)?;
    let sparse = fs::File::create(root.path("/etc/sparse"))?;
    sparse.set_len(64 << 20)?;
    fs::set_permissions(root.path("/usr/bin/date"), Permissions::from_mode(0o711))?;
    shell(
        &root.dir,
        "touch -d '2001-02-03 04:05:06.789' usr/bin/ls etc/sparse; touch -d 2002-01-01 usr/bin usr",
    )?;
    attribute(&root.path("/usr/bin/wc"), "user.note", b"kept")?;
    if geteuid().is_root() {
        std::os::unix::fs::chown(root.path("/usr/bin/tail"), Some(1234), Some(4321))?;
        // An access control list: the owner, user 1000, the group, the mask, others.
        let acl = [
            &2u32.to_le_bytes()[..],
            &entry(1, 7, u32::MAX),
            &entry(2, 5, 1000),
            &entry(4, 5, u32::MAX),
            &entry(16, 5, u32::MAX),
            &entry(32, 0, u32::MAX),
        ];
        attribute(&root.path("/usr/bin/head"), "system.posix_acl_access", &acl.concat())?;
        shell(&root.dir, "mknod dev/null c 1 3; mknod dev/loop b 7 99")?;
    }
    Ok(root)
}

/// Two privileged programs, as root only.
pub fn add_privileged(root: &SmallRoot) -> Result<()> {
    fs::copy(root.path("/usr/bin/id"), root.path("/usr/bin/set-id"))?;
    fs::set_permissions(root.path("/usr/bin/set-id"), Permissions::from_mode(0o4755))?;
    fs::copy(root.path("/usr/bin/id"), root.path("/usr/bin/capable"))?;
    // VFS_CAP_REVISION_2 and effective; CAP_NET_RAW permitted (linux/capability.h).
    let capability: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let bytes: Vec<u8> = capability.iter().flat_map(|word| word.to_le_bytes()).collect();
    attribute(&root.path("/usr/bin/capable"), "security.capability", &bytes)
}

/// An entry of an access control list (linux/posix_acl_xattr.h).
fn entry(tag: u16, permissions: u16, id: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&tag.to_le_bytes());
    bytes[2..4].copy_from_slice(&permissions.to_le_bytes());
    bytes[4..].copy_from_slice(&id.to_le_bytes());
    bytes
}

/// Sets an extended attribute.
pub fn attribute(path: &Path, name: &str, value: &[u8]) -> Result<()> {
    let set = rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty());
    set.with_context(|| format!("{name} of {}", path.display()))
}

/// A file that may be executed.
pub fn executable(path: &Path, contents: &[u8]) -> Result<()> {
    fs::write(path, contents)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
}

/// The working place that a run has made in a directory, if there is one now.
pub fn work_in(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.filter_map(std::result::Result::ok);
    let is_work =
        |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".rootfs-tools-work-");
    Some(entries.find(|entry| is_work(&entry.file_name()))?.path())
}

/// Runs a shell's script in `dir`.
pub fn shell(dir: &Path, script: &str) -> Result<()> {
    let status = Command::new("sh").args(["-ec", script]).current_dir(dir).status()?;
    ensure!(status.success(), "{script}: {status}");
    Ok(())
}

/// A copy of a tree with all that belongs to it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    let status = command.args(["-a", "--sparse=always", "--"]).arg(from).arg(to).status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}

/// A library whose loading never comes to an end.
pub const ENDLESS: &str = "
    static int loop(void) { for (;;) __asm__ volatile(\"\"); }
    static int (*choose(void))(void) { loop(); return loop; }
    int endless(void) __attribute__((ifunc(\"choose\")));
    int (*pointer)(void) = endless;
";
