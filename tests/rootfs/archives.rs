//! Tar archives in place of a directory. The oracle is GNU tar: what it unpacks from the converted
//! archive is what a conversion of the directory gives.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits, Running};
use statify_tests::sandbox;
use statify_tests::small_root::SmallRoot;

use crate::guest::{self, shell};
use crate::packed::{self, Piece};
use crate::{snapshot, tool};

pub fn add(cases: &mut Cases) {
    for (name, test) in [
        ("archives/as-the-directory", as_the_directory as fn(&Case) -> Result<()>),
        ("archives/every-format", formats),
        ("archives/odd-members", odd_members),
        ("archives/hostile", hostile),
        ("archives/damaged", damaged),
        ("archives/refusals", refusals),
        ("archives/ended", ended),
    ] {
        // Only root can unpack owners.
        cases.needing(&["root"]).check(name, test);
    }
    for (program, flags) in [("gzip", "-n"), ("zstd", "-q")] {
        cases
            .needing(&["root", &format!("program:{program}")])
            .check(&format!("archives/compressed-by-{program}"), move |case| {
                compressed(case, program, flags)
            });
    }
    cases.needing(&["root"]).check("archives/compressed-by-others", compressed_by_others);
}

/// Arguments of `convert FROM --out TO` with a cache that the test's runs share.
pub fn arguments(case: &Case, from: &Path, to: &Path) -> Vec<std::ffi::OsString> {
    let cache = case.dir.join("cache");
    let all = ["convert".as_ref(), from.as_os_str(), "--out".as_ref(), to.as_os_str()];
    let more = ["--cache".as_ref(), cache.as_os_str(), "--quiet".as_ref()];
    all.into_iter().chain(more).map(OsStr::to_owned).collect()
}

/// Converts; it must go well, and leave nothing but the output.
pub fn convert(case: &Case, from: &Path, to: &Path) -> Result<()> {
    tool::good(arguments(case, from, to))?;
    nothing_left(to)
}

/// Beside the output.
pub fn nothing_left(out: &Path) -> Result<()> {
    for entry in fs::read_dir(out.parent().context("no parent")?)? {
        let name = entry?.file_name();
        ensure!(!name.to_string_lossy().ends_with("-partial"), "{} was left", name.display());
    }
    Ok(())
}

fn is_converted(contents: &[u8]) -> bool {
    contents.starts_with(b"\x7fELF") && contents.windows(8).any(|word| word == b"statify\0")
}

/// `after` has the members of `before`, each as it was or converted, and that with the old header but
/// for size and checksum. Returns how many were converted.
fn only_programs_differ(after: &[Piece], before: &[Piece]) -> Result<usize> {
    ensure!(after.len() == before.len(), "{} members were {}", after.len(), before.len());
    let mut count = 0;
    for (new, old) in after.iter().zip(before) {
        if new == old {
            continue;
        }
        ensure!(is_converted(&new.contents), "another member differs: {:?}", &old.head[..100]);
        let mut head = new.head.clone();
        let main = head.len().checked_sub(512).context("no header")?;
        ensure!(head.len() == old.head.len(), "a header has another length");
        for field in [124..136, 148..156] {
            let field = main + field.start..main + field.end;
            head[field.clone()].copy_from_slice(&old.head[field]);
        }
        ensure!(head == old.head, "more than the size differs in a header");
        count += 1;
    }
    Ok(count)
}

fn as_the_directory(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    guest::add_privileged(&root)?;
    let archive = case.dir.join("guest.tar");
    packed::pack(&root.dir, &archive, &["--format=pax"])?;
    let before = fs::read(&archive)?;
    let (out, directory) = (case.dir.join("out.tar"), case.dir.join("directory"));
    let (report, privileges) = (case.dir.join("report"), OsStr::new("--preserve-privileges"));
    let mut words = arguments(case, &archive, &out);
    words.extend([privileges, "--report".as_ref(), report.as_os_str()].map(OsStr::to_owned));
    tool::good(words)?;
    nothing_left(&out)?;
    ensure!(fs::read(&archive)? == before, "the input was changed");
    let mut words = arguments(case, &root.dir, &directory);
    words.push(privileges.to_owned());
    tool::good(words)?;
    let unpacked = case.dir.join("unpacked");
    packed::unpack(&out, &unpacked)?;
    snapshot::same(&snapshot::of(&unpacked)?, &snapshot::of(&directory)?, true)?;
    let after = fs::read(&out)?;
    let count = only_programs_differ(&packed::pieces(&after)?, &packed::pieces(&before)?)?;
    ensure!(count >= 20, "{count} converted");
    ensure!(after.len() % 10240 == 0, "the last record is not full");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report.join("report.json"))?)?;
    ensure!(report["root"] == *out.to_string_lossy(), "{}", report["root"]);
    ensure!(report["programs"].as_array().is_some_and(|all| all.len() == count), "the report");
    // What is converted already stays.
    let again = case.dir.join("again.tar");
    convert(case, &out, &again)?;
    ensure!(fs::read(&again)? == after, "a converted archive changed");
    Ok(())
}

fn tiny(case: &Case, flags: &[&str]) -> Result<(SmallRoot, PathBuf)> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let archive = case.dir.join("guest.tar");
    packed::pack(&root.dir, &archive, flags)?;
    Ok((root, archive))
}

fn compressed(case: &Case, program: &str, flags: &str) -> Result<()> {
    let (_, archive) = tiny(case, &[])?;
    let plain = case.dir.join("plain.tar");
    convert(case, &archive, &plain)?;
    let plain = fs::read(&plain)?;
    let packed = case.dir.join("guest.packed");
    shell(&case.dir, &format!("{program} {flags} -c guest.tar > guest.packed"))?;
    let out = case.dir.join("out.packed");
    convert(case, &packed, &out)?;
    let output = Command::new(program).arg("-dc").stdin(fs::File::open(&out)?).output()?;
    ensure!(output.status.success() && output.stdout == plain, "another archive");
    ensure!(fs::read(&out)?.len() < plain.len() * 3 / 4, "it is no smaller");
    let again = case.dir.join("again.packed");
    convert(case, &packed, &again)?;
    ensure!(fs::read(&out)? == fs::read(&again)?, "another archive the second time");
    // Cut off in the middle.
    let bytes = fs::read(&packed)?;
    fs::write(&packed, &bytes[..bytes.len() / 2])?;
    let never = case.dir.join("never");
    tool::refused(&tool::run(arguments(case, &packed, &never))?, "guest.")?;
    ensure!(!never.exists());
    Ok(())
}

/// What `xz < /dev/null` prints.
const XZ_OF_NOTHING: &[u8] =
    b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\0\0\0\0\x1c\xdfD!\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ";

fn compressed_by_others(case: &Case) -> Result<()> {
    let packed = case.dir.join("guest.tar.xz");
    fs::write(&packed, XZ_OF_NOTHING)?;
    let outcome = tool::run(arguments(case, &packed, &case.dir.join("x")))?;
    tool::refused(&outcome, "compressed by xz")
}

/// What GNU tar makes of a converted archive is what comes of converting what it makes of the archive.
fn as_unpacked(case: &Case, name: &str, archive: &Path, times: bool) -> Result<()> {
    let path = |what: &str| case.dir.join(format!("{name}-{what}"));
    packed::unpack(archive, &path("before"))?;
    convert(case, &path("before"), &path("directory"))?;
    convert(case, archive, &path("out"))?;
    packed::unpack(&path("out"), &path("after"))?;
    let after = snapshot::of(&path("after"))?;
    ensure!(after.values().any(|seen| is_converted(&seen.contents)), "nothing was converted");
    snapshot::same(&after, &snapshot::of(&path("directory"))?, times)
        .with_context(|| name.to_owned())
}

fn formats(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let long = "long".repeat(30);
    shell(
        &root.dir,
        &format!("mkdir -p opt/{long}/{long}; cp usr/bin/one opt/{long}/{long}/{long}"),
    )?;
    shell(
        &root.dir,
        &format!("ln usr/bin/one usr/bin/{long}; ln usr/bin/{long} opt/{long}/other"),
    )?;
    shell(&root.dir, &format!("ln -s {long}/{long}/{long} usr/bin/link"))?;
    // A program with a hole, and a file that is nearly all hole.
    shell(&root.dir, "cp usr/bin/one usr/bin/hole; truncate -s +1M usr/bin/hole")?;
    shell(
        &root.dir,
        "echo a > etc/many; for at in $(seq 1 40); do printf x | dd of=etc/many bs=1 seek=$((at * 65536)) conv=notrunc 2>/dev/null; done",
    )?;
    for (name, flags) in [
        ("pax", &["--format=pax"][..]),
        ("gnu", &["--format=gnu"]),
        ("old-sparse", &["--format=oldgnu", "-S"]),
        ("sparse-0.0", &["--format=pax", "-S", "--sparse-version=0.0"]),
        ("sparse-0.1", &["--format=pax", "-S", "--sparse-version=0.1"]),
        ("sparse-1.0", &["--format=pax", "-S", "--sparse-version=1.0"]),
    ] {
        let archive = case.dir.join(name);
        packed::pack(&root.dir, &archive, flags)?;
        as_unpacked(case, name, &archive, true)?;
    }
    Ok(())
}

/// A name twice, links to what is replaced later, directories that are links, numbers that are large.
fn odd_members(case: &Case) -> Result<()> {
    let (root, archive) = tiny(case, &["--format=pax"])?;
    let append = |names: &str| {
        let names = names.split(' ').collect::<Vec<_>>();
        let mut command = Command::new("tar");
        command.arg("-rf").arg(&archive).args(["--format=pax", "--no-recursion", "-C"]);
        packed::run(command.arg(&root.dir).args(names))
    };
    // `one` is another program now, and `first` is the old one.
    fs::hard_link(root.path("usr/bin/one"), root.path("usr/bin/first"))?;
    append("./usr/bin/one ./usr/bin/first")?;
    fs::remove_file(root.path("usr/bin/one"))?;
    fs::copy(root.path("usr/bin/three"), root.path("usr/bin/one"))?;
    append("./usr/bin/one")?;
    // By way of a link, without ./, and with owners that do not fit into the header.
    std::os::unix::fs::chown(root.path("usr/bin/two"), Some(3_000_000), Some(4_000_000_000))?;
    append("bin/two")?;
    shell(&root.dir, "rm usr/bin/two; mkdir usr/bin/two; touch usr/bin/two/x")?;
    append("usr/bin/two usr/bin/two/x")?;
    // What comes later into a directory changes the time that tar has given it.
    as_unpacked(case, "odd", &archive, false)?;
    // Behind the end of an archive there may be anything.
    let mut bytes = fs::read(&archive)?;
    bytes.extend(b"junk behind the end");
    fs::write(&archive, bytes)?;
    convert(case, &archive, &case.dir.join("junk.tar"))?;
    ensure!(fs::read(case.dir.join("junk.tar"))?.ends_with(b"junk behind the end"));
    Ok(())
}

/// Members that are to come to lie elsewhere.
fn hostile(case: &Case) -> Result<()> {
    let (_, archive) = tiny(case, &[])?;
    let good = fs::read(&archive)?;
    let outside = case.dir.join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "secret")?;
    let before = snapshot::of(&outside)?;
    let there = outside.to_string_lossy();
    let file = |name: &str| packed::member(name, b'0', "", 4, b"evil");
    let link = |name: &str, to: &str| packed::member(name, b'1', to, 0, b"");
    let symlink = |name: &str, to: &str| packed::member(name, b'2', to, 0, b"");
    let up = "../".repeat(8);
    let refused = [
        (vec![file("../outside/evil")], "leads out"),
        (vec![file("a/../../outside/evil")], "leads out"),
        (vec![file(&format!("{up}{there}/evil"))], "leads out"),
        (vec![link("usr/bin/evil", "../outside/secret")], "outside of the archive"),
        (vec![link("usr/bin/evil", &format!("{there}/secret"))], "not there"),
        (vec![symlink("esc", &there), link("usr/bin/evil", "esc/secret")], "not there"),
        (vec![symlink("esc", &there), file("esc/evil")], "cannot be unpacked"),
        (vec![symlink("esc", "../outside"), file("esc/evil")], "cannot be unpacked"),
        (vec![symlink("esc", &format!("{there}/secret")), link("a", "esc"), file("a/x")], "cannot"),
        (
            vec![packed::member("usr/bin/huge", b'0', "", 1 << 60, b"little")],
            "middle of usr/bin/huge",
        ),
        (vec![packed::member("x", b'x', "", 1 << 60, b"little")], "no header"),
        (vec![packed::member("x", b'L', "", 1 << 40, b"little")], "no header"),
        (vec![packed::member("x", b'x', "", 8, b"9 a=b\nx\n"), file("y")], "no header"),
        (vec![packed::member("", b'0', "", 4, b"evil")], "cannot be unpacked"),
    ];
    for (number, (members, words)) in refused.into_iter().enumerate() {
        let evil = case.dir.join("evil.tar");
        fs::write(&evil, packed::with(&good, &members))?;
        let out = case.dir.join("out.tar");
        let outcome = tool::run(arguments(case, &evil, &out))?;
        tool::refused(&outcome, words).with_context(|| format!("archive {number}"))?;
        ensure!(!out.exists(), "archive {number} was converted");
        nothing_left(&out)?;
        snapshot::same(&snapshot::of(&outside)?, &before, true)?;
    }
    // What stays inside is nobody's harm: absolute names, a link that is replaced by a file, a journal.
    let members = [
        file(&format!("{there}/evil")),
        symlink("esc", &format!("{there}/secret")),
        file("esc"),
        symlink("etc/passwd", "/etc/passwd"),
        packed::member("dev/sda", b'4', "", 0, b""),
        file(".rootfs-tools/journal"),
        symlink("here", "."),
        file("here/.rootfs-tools/journal"),
        symlink("usr/up", ".."),
        file("usr/up/.rootfs-tools/journal"),
        file("usr/up/here/./.rootfs-tools/journal"),
        packed::member("here/.rootfs-tools", b'2', "usr", 0, b""),
        packed::member("here/.rootfs-tools/journal", b'1', "esc", 0, b""),
        file("usr/bin/.rootfs-tools-work/0"),
    ];
    let evil = case.dir.join("evil.tar");
    fs::write(&evil, packed::with(&good, &members))?;
    convert(case, &evil, &case.dir.join("inside.tar"))?;
    snapshot::same(&snapshot::of(&outside)?, &before, true)?;
    let pieces = packed::pieces(&fs::read(case.dir.join("inside.tar"))?)?;
    let journals = pieces.iter().filter(|piece| piece.head.starts_with(b".rootfs-tools/"));
    ensure!(journals.count() == 1, "the conversion's own journal is in the archive");
    Ok(())
}

/// Bytes that were flipped, and ends that are missing: a sentence, or an archive like any other.
fn damaged(case: &Case) -> Result<()> {
    let (_, archive) = tiny(case, &["--format=pax"])?;
    let good = fs::read(&archive)?;
    let evil = case.dir.join("evil.tar");
    let mut state = 7u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let headers: Vec<usize> = (0..good.len() / 512)
        .filter(|block| good[block * 512 + 257..].starts_with(b"ustar"))
        .collect();
    let mut refused = 0;
    for number in 0..24 {
        let mut bytes = good.clone();
        if number % 4 == 0 {
            bytes.truncate(random(good.len() * 9 / 10));
        }
        let header = headers[random(headers.len())] * 512;
        if let (Some(byte), true) = (bytes.get_mut(header + random(512)), number % 4 != 0) {
            *byte ^= 1 << random(8);
            // Else the sum gives it away.
            if number % 4 != 1 {
                packed::set_sum(&mut bytes[header..header + 512]);
            }
        }
        fs::write(&evil, &bytes)?;
        let out = case.dir.join("out.tar");
        let outcome = tool::run(arguments(case, &evil, &out))?;
        match outcome.end {
            End::Exit(0) => fs::remove_file(&out)?,
            End::Exit(1) => {
                tool::refused(&outcome, "evil.tar").with_context(|| format!("archive {number}"))?;
                refused += 1;
            }
            end => anyhow::bail!("archive {number}: {end}"),
        }
        nothing_left(&out)?;
    }
    ensure!(refused >= 12, "{refused} of 24 were refused");
    Ok(())
}

fn refusals(case: &Case) -> Result<()> {
    let (_, archive) = tiny(case, &[])?;
    let path = archive.as_os_str();
    let in_place = ["convert".as_ref(), path, "--in-place".as_ref(), "--no-backup".as_ref()];
    tool::refused(&tool::run(in_place)?, "cannot be converted in place")?;
    let dry_run = ["convert".as_ref(), path, "--dry-run".as_ref()];
    tool::refused(&tool::run(dry_run)?, "only of a directory")?;
    tool::refused(&tool::run(["restore".as_ref(), path])?, "only a directory can be restored")?;
    tool::refused(&tool::run(["report".as_ref(), path])?, "convert --report")?;
    let taken = case.dir.join("taken");
    fs::write(&taken, "mine")?;
    tool::refused(&tool::run(arguments(case, &archive, &taken))?, "exists already")?;
    ensure!(fs::read(&taken)? == b"mine");
    tool::refused(&tool::run(arguments(case, &taken, &case.dir.join("x")))?, "middle of a header")?;
    fs::write(&taken, [b'm'; 2048])?;
    tool::refused(&tool::run(arguments(case, &taken, &case.dir.join("x")))?, "no tar archive")?;
    let empty = case.dir.join("empty.tar");
    fs::write(&empty, [0; 10240])?;
    let outcome = tool::run(arguments(case, &empty, &case.dir.join("x")))?;
    tool::refused(&outcome, "empty.tar: it has none of the directories")?;
    if sandbox::is_possible() {
        let mut command = Command::new("unshare");
        let words = arguments(case, &archive, &case.dir.join("x"));
        command.arg("--user").arg(tool::path()?).args(words);
        tool::refused(&tool::finish(&mut command)?, "only root")?;
    }
    ensure!(!case.dir.join("x").exists());
    nothing_left(&taken)
}

/// Ctrl-C leaves nothing; after `kill -9` the next run clears away what is left.
fn ended(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let library = case.library("libslow.so.1", guest::ENDLESS, &["-Wl,-soname,libslow.so.1"])?;
    let flags = case.link(&["libslow.so.1"]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    root.add(&case.build("answer", "slow", &flags)?, "/usr/bin/slow")?;
    root.add(&library, &library.to_string_lossy())?;
    let archive = case.dir.join("guest.tar");
    packed::pack(&root.dir, &archive, &[])?;
    let out = case.dir.join("out.tar");
    let partial = case.dir.join(".out.tar.rootfs-tools-partial");
    // Nobody reads what it says.
    let mut command = tool::command(arguments(case, &archive, &out))?;
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    drop(child.stderr.take());
    let bin = partial.join("tree/usr/bin");
    let since = Instant::now();
    while guest::work_in(&bin).is_none() && since.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM)?;
    while child.try_wait()?.is_none() && since.elapsed() < Duration::from_secs(90) {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill()?;
    ensure!(child.wait()?.code() == Some(1) && !partial.exists(), "it did not end");
    for (signal, leaves) in [(Signal::SIGTERM, false), (Signal::SIGKILL, true)] {
        let mut command = tool::command(arguments(case, &archive, &out))?;
        let running = Running::start(&mut command, b"", Limits::seconds(60))?;
        while guest::work_in(&bin).is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        kill(running.pid(), signal)?;
        let outcome = running.finish()?;
        ensure!(partial.exists() == leaves, "{signal}: {}", outcome.stderr_text());
        ensure!(!out.exists());
    }
    let mut words = arguments(case, &archive, &out);
    words.extend(["--exclude", "slow"].map(Into::into));
    tool::good(words)?;
    ensure!(out.exists() && !partial.exists(), "something was left");
    Ok(())
}
