//! Guests that boot: a small one of this machine's own programs, converted, cut into a store, served and emulated.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use statify_tests::case::{Case, Cases, output};
use statify_tests::machine;
use statify_tests::process::{self, End, Limits};
use statify_tests::small_root::SmallRoot;

use crate::rootfs::{guest, tool};

/// Time given to all boots of a test: on a busy machine one takes ten seconds and more.
const LIMIT: Limits = Limits::seconds(1800);
const QEMU: &str = "program:qemu-system-x86_64";
/// What the guest's first process runs before it asks for a login.
const INIT: &[u8] =
    b"#!/bin/sh\n/bin/ls -l /bin /etc >/dev/null\n/bin/cat /etc/data | /bin/sort | /bin/wc\n\
    echo 'guest login: '\nexec /bin/sleep 1000\n";

pub fn add(cases: &mut Cases) {
    let needs = [QEMU, "program:mkfs.ext4", "kernel"];
    cases.needing(&needs).check("boot/from-a-file", from_a_file);
    cases.needing(&needs).check("boot/no-login", no_login);
    cases.needing(&needs).check("boot/interrupted", interrupted);
    let all = ["program:mkfs.erofs", "program:depmod", "program:busybox", "root"];
    cases.needing(&[&needs[..], &all].concat()).check("boot/every-way", every_way);
    cases.check("boot/refused", refused);
}

/// A small guest and its conversion, with a kernel.
fn trees(case: &Case) -> Result<[PathBuf; 2]> {
    let root = SmallRoot::new(case.dir.join("normal"))?;
    for name in ["sh", "ls", "cat", "sort", "wc", "sleep"] {
        let program = machine::find_program(name).context(name)?.canonicalize()?;
        root.add_program(&program, &format!("/bin/{name}"))?;
    }
    for dir in ["dev", "proc", "sys", "etc", "sbin", "boot"] {
        fs::create_dir_all(root.path(dir))?;
    }
    fs::write(root.path("etc/data"), "one\ntwo\n".repeat(10_000))?;
    guest::executable(&root.path("sbin/init"), INIT)?;
    let (kernel, release) = machine::kernel().context("no TEST_KERNEL")?;
    root.add(&kernel.join(format!("boot/vmlinuz-{release}")), &format!("/boot/vmlinuz-{release}"))?;
    let converted = case.dir.join("converted");
    let words = [Path::new("convert"), &root.dir, "--quiet".as_ref(), "--out".as_ref(), &converted];
    tool::good(words)?;
    Ok([root.dir, converted])
}

/// `rootfs-tools boot` of both, with images and the like below the test's directory.
fn boot(case: &Case, trees: &[PathBuf; 2], more: &[&str]) -> Result<Command> {
    let scratch = case.dir.join("scratch");
    fs::create_dir_all(&scratch)?;
    let report = case.dir.join("report");
    let words = [Path::new("boot"), &trees[0], &trees[1], "--report".as_ref(), &report];
    let fixed = ["--accelerator=software", "--memory=256", "--cpus=1", "--runs=1", "--quiet"];
    let more = fixed.iter().chain(more).map(Path::new);
    let mut command = tool::command(words.into_iter().chain(more))?;
    command.env("TMPDIR", scratch);
    Ok(command)
}

/// Runs it to a good end. Returns what it says as JSON.
fn booted(case: &Case, trees: &[PathBuf; 2], more: &[&str]) -> Result<Value> {
    let outcome = process::run(boot(case, trees, more)?.arg("--json"), b"", LIMIT)?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
    ensure!(is_empty(&case.dir.join("scratch"))?, "something is left of it");
    Ok(serde_json::from_slice(&outcome.stdout)?)
}

fn is_empty(dir: &Path) -> Result<bool> {
    Ok(fs::read_dir(dir)?.next().is_none())
}

/// Two boots of each guest, one of them through the store.
fn from_a_file(case: &Case) -> Result<()> {
    let trees = trees(case)?;
    let found = booted(case, &trees, &["--via=file"])?;
    let boots = found["boots"].as_array().context("boots")?;
    ensure!(boots.len() == 2, "{boots:?}");
    for boot in boots {
        ensure!(boot["seconds"].as_f64() > Some(0.1), "{boot}");
        // Six programs, and for the normal one their libraries.
        ensure!(boot["read_bytes"].as_u64() > Some(500_000), "{boot}");
        ensure!(boot["memory"]["guest_resident"].as_u64() > Some(20 << 20), "{boot}");
        ensure!(boot["fetched_bytes"].is_null(), "{boot}");
    }
    // The trace has what the guest read, and what QEMU reads on its own account: little.
    for (trace, boot) in found["traces"].as_array().context("traces")?.iter().zip(boots) {
        let (traced, read) = (&trace["statistics"]["bytes"], &boot["read_bytes"]);
        let (traced, read) = (traced.as_f64().context("bytes")?, read.as_f64().context("bytes")?);
        ensure!((0.9..1.5).contains(&(traced / read)), "{traced} of {read} bytes");
        again(case, trace)?;
    }
    let rows = found["chunks"].as_array().context("chunks")?;
    ensure!(rows.len() == 4, "{rows:?}");
    for row in rows {
        for guest in ["normal", "converted"] {
            let (whole, boot) = (row["whole"][guest].as_u64(), row["boot"][guest].as_u64());
            ensure!(boot > Some(0) && whole >= boot, "{row}");
        }
    }
    for file in ["boot.txt", "boot.json", "boot.html", "chunks.csv", "times.csv", "timeline.csv"] {
        ensure!(!fs::read(case.dir.join("report").join(file))?.is_empty(), "{file}");
    }
    let console = fs::read_to_string(case.dir.join("report/console-file-plain-converted-1.txt"))?;
    ensure!(console.contains("guest login: ") && console.contains("20000"), "{console}");
    Ok(())
}

/// `chunkstore trace` says of a trace what the report says.
fn again(case: &Case, trace: &Value) -> Result<()> {
    let file = case.dir.join("report").join(trace["file"].as_str().context("file")?);
    let mut command = Command::new(statify_tests::tool::locate("chunkstore")?);
    let said: Value = serde_json::from_str(&output(command.arg("trace").arg(file).arg("--json"))?)?;
    let statistics = &trace["statistics"];
    for field in ["requests", "bytes", "distinct_bytes"] {
        ensure!(said[field] == statistics[field], "{field}: {said}");
    }
    for (one, other) in [0, 1, 2].map(|n| (&said["chunks"][n], &statistics["chunks"][n])) {
        ensure!(one["positions"] == other["positions"], "{one} {other}");
        // Equal ones count once, if the image is looked at.
        ensure!(other["distinct"].as_u64() <= one["positions"].as_u64(), "{one} {other}");
    }
    Ok(())
}

/// A guest that never says what is waited for, and one whose machine ends.
fn no_login(case: &Case) -> Result<()> {
    let trees = trees(case)?;
    let more = ["--via=file", "--until=Welcome", "--patience=4"];
    let outcome = tool::finish(&mut boot(case, &trees, &more)?)?;
    tool::refused(&outcome, "did not say `Welcome` within 4 seconds")?;
    let transcript = case.dir.join("report/console-trace-normal.ext4.txt");
    ensure!(outcome.stderr_text().contains(&*transcript.to_string_lossy()), "where it stands");
    ensure!(transcript.exists() && is_empty(&case.dir.join("scratch"))?);
    // Without an init the kernel panics, and the machine ends.
    let outcome = tool::finish(&mut boot(
        case,
        &trees,
        &["--via=file", "--append=init=/none rdinit=/none"],
    )?)?;
    tool::refused(&outcome, "it stopped before it said `login: `")?;
    Ok(())
}

/// SIGTERM in the middle of a boot: nothing is left behind, and nobody runs.
fn interrupted(case: &Case) -> Result<()> {
    let trees = trees(case)?;
    let mut command = boot(case, &trees, &["--via=file", "--until=Welcome"])?;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let transcript = case.dir.join("report/console-trace-normal.ext4.txt");
    let since = Instant::now();
    while !transcript.exists() {
        ensure!(since.elapsed() < Duration::from_secs(120), "it does not boot");
        ensure!(child.try_wait()?.is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM)?;
    let ended = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(1), "{}: {said}", ended.status);
    ensure!(said.contains("interrupted"), "{said}");
    ensure!(is_empty(&case.dir.join("scratch"))?, "something is left of it");
    // QEMU dies of its parent's end; the suite looks whether a process is left.
    Ok(())
}

/// Every way.
fn every_way(case: &Case) -> Result<()> {
    let trees = trees(case)?;
    let (kernel, release) = machine::kernel().context("no TEST_KERNEL")?;
    let modules = format!("lib/modules/{release}");
    let to = trees[0].join(&modules);
    fs::create_dir_all(&to)?;
    for name in ["modules.builtin", "modules.order", "kernel/fs", "kernel/lib"] {
        let from = kernel.join(&modules).join(name);
        if from.exists() {
            fs::create_dir_all(to.join(name).parent().context("a parent")?)?;
            guest::copy(&from, &to.join(name))?;
        }
    }
    output(Command::new("depmod").arg("-b").arg(&trees[0]).arg(&release))?;
    // A converted busybox needs no library either.
    let busybox = machine::find_program("busybox").context("busybox")?;
    let is_static = case.convert(&busybox, &[]).is_err();
    let busybox = if is_static { busybox } else { case.dir.join("busybox.conv") };
    let busybox = format!("--busybox={}", busybox.display());
    let found = booted(case, &trees, &["--via=file,erofs,store", &busybox])?;
    let boots = found["boots"].as_array().context("boots")?;
    ensure!(boots.len() == 10, "{} boots", boots.len());
    let of = |way: &str, field: &str| -> Vec<u64> {
        let all = boots.iter().filter(|boot| boot["way"] == way);
        all.filter_map(|boot| boot[field].as_u64()).collect()
    };
    ensure!(of("store-cold", "fetched_bytes").iter().all(|bytes| *bytes > 100_000), "{boots:?}");
    // What the first boot read is in the cache, and what is read besides is little.
    let cold = of("store-cold", "fetched_bytes")[0];
    ensure!(of("store-warm", "fetched_bytes").iter().all(|bytes| *bytes < cold / 4), "{boots:?}");
    ensure!(of("file", "fetched_bytes").is_empty(), "{boots:?}");
    let systems: Vec<_> =
        found["traces"].as_array().context("traces")?.iter().map(|t| t["system"].clone()).collect();
    ensure!(systems == ["ext4", "ext4", "erofs", "erofs"], "{systems:?}");
    merged(case, &trees)
}

/// With KSM, where the kernel has it and nobody uses it: pages are merged, and it is put back.
fn merged(case: &Case, trees: &[PathBuf; 2]) -> Result<()> {
    let number = |name: &str| {
        let text = fs::read_to_string(Path::new("/sys/kernel/mm/ksm").join(name));
        text.unwrap_or_default().trim().to_owned()
    };
    if number("run") != "0" || number("pages_shared") != "0" {
        return Ok(());
    }
    let found = booted(case, trees, &["--via=file", "--ksm=off,on", "--settle=90"])?;
    ensure!(number("run") == "0", "KSM is {}", number("run"));
    for boot in found["boots"].as_array().context("boots")? {
        let merged = boot["memory"]["merged_pages"].as_u64() > Some(0);
        ensure!(boot["ksm"] == merged, "{boot}");
    }
    Ok(())
}

/// What is refused before anything is made.
fn refused(case: &Case) -> Result<()> {
    let image = |name: &str, at: u64, bytes: &[u8]| -> Result<PathBuf> {
        let path = case.dir.join(name);
        let file = fs::File::create(&path)?;
        file.set_len(1 << 20)?;
        file.write_all_at(bytes, at)?;
        Ok(path)
    };
    let none = image("none", 0, b"x")?;
    let ext4 = image("ext4", 1080, &[0x53, 0xef])?;
    let erofs = image("erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0])?;
    let tree = case.dir.join("tree");
    fs::create_dir(&tree)?;
    let missing = case.dir.join("missing");
    for (one, other, more, words) in [
        (&none, &none, "--via=file", "neither a directory nor an image"),
        (&missing, &tree, "--via=file", "missing: it cannot be read"),
        (&tree, &ext4, "--via=file", "not of one kind"),
        (&ext4, &erofs, "--via=file", "not of one kind"),
        (&ext4, &ext4, "--via=erofs", "--via erofs cannot use"),
        (&erofs, &erofs, "--via=file", "--via file cannot use"),
        (&ext4, &ext4, "--via=file,store", "--kernel"),
        (&tree, &tree, "--via=file", "/boot"),
    ] {
        let trees = [one.clone(), other.clone()];
        let outcome = tool::finish(&mut boot(case, &trees, &[more])?)?;
        tool::refused(&outcome, words).with_context(|| format!("{} {more}", one.display()))?;
        ensure!(is_empty(&case.dir.join("scratch"))?, "something is left of it");
    }
    for more in ["--via=air", "--ksm=maybe", "--runs=0", "--until=(", "--chunk=5K"] {
        let outcome = tool::finish(&mut boot(case, &[tree.clone(), tree.clone()], &[more])?)?;
        ensure!(outcome.end == End::Exit(2), "{more}: {}", outcome.end);
    }
    Ok(())
}
