//! A pool whose files fs-verity guards, in a guest whose kernel knows it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regex::bytes::Regex;
use statify_tests::case::{Case, Cases, output};
use statify_tests::machine;
use statify_vm::{Accelerator, Console, Disk, Kind, Machine, Serial};

use super::place::{Place, convert};

/// Longer than a boot takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is done to the pool's files one after the other, and whether the output maps them then.
const PHASES: [(&str, &str); 5] = [
    ("unguarded", "used"),
    ("guarded", "used"),
    // Root's word, as for libraries of dynamic programs.
    ("other bytes, unguarded", "used"),
    ("other bytes, guarded", "unused"),
    // The bytes are right, and the digest is another one.
    ("with salt", "unused"),
];

pub fn add(cases: &mut Cases) {
    let needs = ["root", "kernel", "program:qemu-system-x86_64", "program:mkfs.ext4"];
    cases.needing(&needs).check("verity/only-the-library-itself", guest);
}

fn guest(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let program = convert(case, &place.pool(), &[])?;
    let first = case.convert(&case.build("guarded", "guarded", &["-O1"])?, &[])?;
    let disk = disk(case, &place, &[(&program, "program"), (&first, "first")])?;
    let (kernel, release) = machine::kernel().context("no TEST_KERNEL")?;
    let pool = place.pool();
    let machine = Machine {
        kind: Kind::HERE,
        accelerator: Accelerator::Software,
        cpu: "max".into(),
        cpus: 1,
        memory: 256,
        mergeable: false,
        kernel: kernel.join(format!("boot/vmlinuz-{release}")),
        initial_files: None,
        parameters: format!(
            "root=/dev/nvme0n1 rootfstype=ext4 rw panic=-1 quiet init=/first -- {} /program",
            pool.display()
        ),
        serial: vec![Serial::Standard],
        disks: vec![Disk::File(disk)],
        monitor: None,
    };
    let transcript = tempfile::tempfile_in(&case.dir)?;
    let mut console = Console::of(machine.start(&case.dir)?, transcript)?;
    for (phase, expected) in PHASES {
        let pattern = Regex::new(&format!("<{phase}: ([a-z]+), ([a-z]+)>"))?;
        let said = console.wait(&pattern, PATIENCE)?;
        let words: Vec<_> = said.groups.iter().map(|word| String::from_utf8_lossy(word)).collect();
        let words = &words[words.len() - 2..];
        ensure!(words == ["works", expected], "{phase}: {words:?}");
    }
    Ok(())
}

/// A file system that has the pool where it is here, and these files; it knows fs-verity.
fn disk(case: &Case, place: &Place, files: &[(&Path, &str)]) -> Result<std::path::PathBuf> {
    let tree = case.dir.join("tree");
    let pool = tree.join(place.pool().strip_prefix("/")?);
    fs::create_dir_all(&pool)?;
    for file in super::place::files(&place.pool())? {
        fs::copy(&file, pool.join(file.file_name().context("no name")?))?;
    }
    for directory in ["proc", "dev", "sys", "tmp", "bin"] {
        fs::create_dir(tree.join(directory))?;
    }
    for (file, name) in files {
        fs::copy(file, tree.join(name))?;
    }
    // What popen(3) starts.
    let shell = case.dir.join("sh");
    case.statify.convert::<&str>(Path::new("/bin/sh"), &shell, &[])?;
    fs::copy(shell, tree.join("bin/sh"))?;
    let disk = case.dir.join("disk");
    fs::File::create(&disk)?.set_len(128 << 20)?;
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-O", "verity", "-b", "4096", "-d"]).arg(&tree).arg(&disk);
    output(&mut command)?;
    Ok(disk)
}
