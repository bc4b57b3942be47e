//! Disks for guests: programs that wait, with all that they need, below a shell that starts them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use statify_bench::{convert, loadable};

use crate::programs;

/// What a guest starts, and how often.
const PROGRAMS: [(&str, usize, &str); 9] = [
    ("bash", 4, "--norc -c 'read x; echo'"),
    ("python3", 3, "-S -E -c 'import time; time.sleep(1e6)'"),
    ("perl", 3, "-e 'sleep 1000000'"),
    ("openssl", 2, "enc -base64"),
    ("sqlite3", 3, ""),
    ("mawk", 2, "'{print}'"),
    ("sleep", 2, "1000000"),
    ("cat", 2, ""),
    ("sort", 1, ""),
];
/// What its shell is, which has the rest as well.
const SHELL: &str = "busybox";
/// Of Python's modules so much is needed.
const PYTHON: &str = "/usr/lib/python3.11";
const NOT_PYTHON: [&str; 7] =
    ["test", "idlelib", "ensurepip", "dist-packages", "pydoc_data", "tkinter", "lib2to3"];

/// Mounts what there must be, starts the programs, and does what it is told.
const INIT: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t tmpfs tmp /tmp
export PATH=/usr/bin:/bin HOME=/tmp LANG=C.UTF-8
$b mkfifo /tmp/nothing
exec 3<>/tmp/nothing
START
$b sleep 5
echo the guest is "at rest"
part() { for file in "$@"; do $b cat /data/$file >/dev/null; done; echo "read: $*."; }
work() { while :; do "$@" </data/0 >/dev/null 2>&1 3<&-; done & }
while read line; do eval "$line"; done
$b sleep 1000000
"#;

/// A disk.
pub struct Wanted<'a> {
    /// With converted programs.
    pub converted: bool,
    /// Files below /data, of the same contents wherever they are asked for.
    pub data: &'a [Vec<u8>],
    /// More programs, by their names or paths.
    pub more: &'a [&'a str],
    /// Whether programs are started.
    pub start: bool,
}

/// Makes one below `scratch`. Returns it, and how many processes it starts.
pub fn make(name: &str, wanted: &Wanted<'_>, scratch: &Path) -> Result<(PathBuf, usize)> {
    let tree = scratch.join(format!("{name}.tree"));
    for dir in ["bin", "dev", "proc", "sys", "tmp", "sbin", "data", "out", "usr/bin"] {
        fs::create_dir_all(tree.join(dir))?;
    }
    let statify = wanted.converted.then(convert::statify_binary).transpose()?;
    let (mut start, mut processes) = (String::new(), 0);
    let here = |name: &str| programs::find(name);
    for (program, times, arguments) in PROGRAMS {
        let Some(path) = here(program).filter(|_| wanted.start) else { continue };
        add(&tree, &path, &Path::new("/usr/bin").join(program), statify.as_deref())?;
        for _ in 0..times {
            start.push_str(&format!("/usr/bin/{program} {arguments} <&3 >/dev/null 2>&1 &\n"));
            processes += 1;
        }
    }
    for program in wanted.more {
        let path = here(program).with_context(|| format!("{program} is not installed"))?;
        let name = Path::new(program).file_name().context("no name")?;
        add(&tree, &path, &Path::new("/usr/bin").join(name), statify.as_deref())?;
    }
    let shell = here(SHELL).with_context(|| format!("{SHELL} is not installed"))?;
    add(&tree, &shell, &Path::new("/bin").join(SHELL), statify.as_deref())?;
    if wanted.start && Path::new(PYTHON).is_dir() {
        copy(Path::new(PYTHON), &tree.join(&PYTHON[1..]))?;
    }
    for (index, bytes) in wanted.data.iter().enumerate() {
        fs::write(tree.join(format!("data/{index}")), bytes)?;
    }
    let init = tree.join("sbin/init");
    fs::write(&init, INIT.replace("START\n", &start))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;

    let image = scratch.join(format!("{name}.img"));
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d"]);
    command.arg(&tree).arg(&image).arg(format!("{}K", size(&tree)? / 1024 * 5 / 4 + (24 << 10)));
    command.stdout(Stdio::null());
    ensure!(command.status().context("mke2fs")?.success(), "mke2fs fails");
    fs::remove_dir_all(&tree)?;
    Ok((image, processes))
}

/// A program: converted, or with its libraries.
fn add(tree: &Path, program: &Path, name: &Path, statify: Option<&Path>) -> Result<()> {
    let to = |path: &Path| tree.join(path.strip_prefix("/").unwrap_or(path));
    match statify {
        Some(statify) => convert::convert(statify, program, &to(name), &[]).map(|_| ())?,
        None => {
            for library in loadable::modules(program)?.iter().skip(1) {
                let to = to(library);
                fs::create_dir_all(to.parent().context("no directory")?)?;
                fs::copy(library, &to).with_context(|| library.display().to_string())?;
            }
            fs::copy(program, to(name)).with_context(|| program.display().to_string())?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().context("no name")?;
        if path.is_dir() {
            if !NOT_PYTHON.iter().any(|not| name == *not) {
                copy(&path, &to.join(name))?;
            }
        } else if path.is_file() {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Bytes that a directory's files take, in whole blocks.
fn size(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let stat = entry.metadata()?;
        sum += if stat.is_dir() { size(&entry.path())? } else { stat.len().next_multiple_of(4096) };
    }
    Ok(sum + 4096)
}
