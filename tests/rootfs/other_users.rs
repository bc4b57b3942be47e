//! What other users have put on the way: their directories are not taken, and their links not followed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;
use statify_tests::case::{Case, Cases};
use statify_tests::report::Done;

use crate::rootfs::{guest, packed, snapshot, tool};

/// Somebody else, who is nobody.
const OTHER: u32 = 65534;

pub fn add(cases: &mut Cases) {
    cases.check("others/work-directory-swapped", swapped);
    cases.check("others/way-to-a-cache", way_to_a_cache);
    cases.check("others/way-to-a-backup", way_to_a_backup);
    for (name, test) in [
        ("others/partial-copy", partial as fn(&Case) -> Result<()>),
        ("others/backup", backup),
        ("others/copy", copy),
        ("others/links-of-reports", reports),
    ] {
        cases.add(name, move |case| {
            if !geteuid().is_root() {
                return Done::not_here("only root can give files to another user");
            }
            test(case).map(|()| Done::Passed)
        });
    }
}

/// A directory for everybody, as /tmp is.
fn shared(case: &Case) -> Result<PathBuf> {
    let dir = case.dir.join("shared");
    fs::create_dir(&dir)?;
    fs::set_permissions(&dir, Permissions::from_mode(0o1777))?;
    Ok(dir)
}

fn make_others(dir: &Path, mode: u32) -> Result<()> {
    fs::create_dir(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(mode))?;
    Ok(chown(dir, Some(OTHER), Some(OTHER))?)
}

fn convert<'a>(root: &'a Path, more: &[&'a Path]) -> Vec<&'a Path> {
    [&["convert".as_ref(), root], more].concat()
}

fn partial(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let archive = case.dir.join("guest.tar");
    packed::pack(&root.dir, &archive, &[])?;
    let shared = shared(case)?;
    for (from, name) in [(&root.dir, "out"), (&archive, "out.tar")] {
        let place = shared.join(format!(".{name}.rootfs-tools-partial"));
        let out = shared.join(name);
        let arguments = convert(from, &["--out".as_ref(), &out]);
        for mode in [0o777, 0o700] {
            make_others(&place, mode)?;
            tool::refused(&tool::run(&arguments)?, "another user's")?;
            fs::remove_dir(&place)?;
        }
        // A link to one's own directory.
        let own = case.dir.join("own");
        fs::create_dir(&own)?;
        symlink(&own, &place)?;
        tool::refused(&tool::run(&arguments)?, "rootfs-tools-partial: it cannot be written")?;
        ensure!(fs::read_dir(&own)?.next().is_none(), "something was written through the link");
        fs::remove_dir(&own)?;
        fs::remove_file(&place)?;
        // One's own that is something else.
        fs::create_dir(&place)?;
        fs::write(place.join("mine"), "mine")?;
        tool::refused(&tool::run(&arguments)?, "not empty")?;
        ensure!(fs::read(place.join("mine"))? == b"mine");
        fs::remove_dir_all(&place)?;
        tool::good(&arguments)?;
    }
    Ok(())
}

/// A whole copy that another user has made, and says to be one's own.
fn copy(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let shared = shared(case)?;
    let out = shared.join("out");
    let arguments = convert(&root.dir, &["--out".as_ref(), &out]);
    tool::good(&arguments)?;
    // The same command goes on; but not with a record that another user has written.
    tool::good(&arguments)?;
    let record = shared.join(".out.rootfs-tools-journal");
    chown(&record, Some(OTHER), Some(OTHER))?;
    tool::refused(&tool::run(&arguments)?, "others than you may write to it")?;
    let before = snapshot::of(&out)?;
    let outcome = tool::run(["restore".as_ref(), out.as_os_str()])?;
    ensure!(outcome.stderr_text().contains("others than you may write to it"));
    snapshot::same(&snapshot::of(&out)?, &before, false)
}

fn backup(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let before = snapshot::of(&root.dir)?;
    let shared = shared(case)?;
    let backup = shared.join("backup");
    let arguments = convert(&root.dir, &["--in-place".as_ref(), "--backup".as_ref(), &backup]);
    for mode in [0o755, 0o700] {
        make_others(&backup, mode)?;
        tool::refused(&tool::run(&arguments)?, "belongs to somebody else")?;
        fs::remove_dir(&backup)?;
    }
    // In a directory of his, or by his link.
    let his = shared.join("his");
    make_others(&his, 0o755)?;
    let inside = his.join("backup");
    let into_his = convert(&root.dir, &["--in-place".as_ref(), "--backup".as_ref(), &inside]);
    tool::refused(&tool::run(into_his)?, "belongs to somebody else")?;
    let own = case.dir.join("own");
    fs::create_dir(&own)?;
    symlink(&own, &backup)?;
    std::os::unix::fs::lchown(&backup, Some(OTHER), Some(OTHER))?;
    tool::refused(&tool::run(&arguments)?, "another user's link")?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    fs::remove_file(&backup)?;
    // One's own in the same directory is one's own, until it is given away.
    tool::good(&arguments)?;
    chown(&backup, Some(OTHER), None)?;
    let after = snapshot::of(&root.dir)?;
    let outcome = tool::run(["restore".as_ref(), root.dir.as_os_str()])?;
    ensure!(
        outcome.stderr_text().contains("belongs to somebody else"),
        "{}",
        outcome.stderr_text()
    );
    snapshot::same(&snapshot::of(&root.dir)?, &after, false)?;
    chown(&backup, Some(0), None)?;
    tool::good(["restore".as_ref(), root.dir.as_os_str()])?;
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)
}

/// Whoever may write to a directory on the way can put another in the place of what is looked at.
fn way_to_a_backup(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let open = case.dir.join("open");
    fs::create_dir_all(open.join("closed"))?;
    fs::set_permissions(&open, Permissions::from_mode(0o777))?;
    for backup in [open.join("backup"), open.join("closed/backup")] {
        let arguments = convert(&root.dir, &["--in-place".as_ref(), "--backup".as_ref(), &backup]);
        tool::refused(&tool::run(arguments)?, "others than you may write to it")?;
        ensure!(!backup.exists() && !root.path("/.rootfs-tools").exists());
    }
    Ok(())
}

fn way_to_a_cache(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let open = case.dir.join("open");
    fs::create_dir_all(open.join("closed"))?;
    fs::create_dir_all(case.dir.join("cache/entries"))?;
    fs::set_permissions(&open, Permissions::from_mode(0o777))?;
    fs::set_permissions(case.dir.join("cache/entries"), Permissions::from_mode(0o777))?;
    let out = case.dir.join("out");
    for cache in [open.join("cache"), open.join("closed/cache"), case.dir.join("cache")] {
        let arguments = convert(&root.dir, &["--out".as_ref(), &out, "--cache".as_ref(), &cache]);
        tool::refused(&tool::run(arguments)?, "others than you may write to it")?;
        ensure!(!out.exists());
    }
    Ok(())
}

/// Where the run puts what is not complete, somebody puts a link to a directory of the host.
fn swapped(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    for number in 0..6 {
        let mut bytes = fs::read("/bin/true")?;
        bytes.push(number);
        guest::executable(&root.path(&format!("/usr/bin/more{number}")), &bytes)?;
    }
    let host = case.dir.join("host");
    fs::create_dir(&host)?;
    let bin = root.path("/usr/bin");
    let ended = AtomicBool::new(false);
    let swap = || -> Result<bool> {
        while !ended.load(Ordering::Relaxed) {
            for entry in fs::read_dir(&bin)? {
                let name = entry?.file_name();
                if name.to_string_lossy().starts_with(".rootfs-tools-work-") {
                    fs::rename(bin.join(&name), bin.join(".taken"))?;
                    symlink(&host, bin.join(&name))?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    let word = |text: &'static str| Path::new(text);
    let arguments =
        convert(&root.dir, &[word("--in-place"), word("--no-backup"), word("--jobs"), word("1")]);
    let (done, was_swapped, made) = thread::scope(|scope| -> Result<_> {
        let swapper = scope.spawn(swap);
        // Whatever is made there and taken away again changes its time.
        let before = host.metadata()?;
        let done = tool::run(arguments);
        ended.store(true, Ordering::Relaxed);
        let was_swapped = swapper.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
        let after = host.metadata()?;
        let time = |stat: &fs::Metadata| (stat.mtime(), stat.mtime_nsec());
        Ok((done?, was_swapped, time(&before) != time(&after)))
    })?;
    ensure!(was_swapped, "it was too fast: {}", done.stderr_text());
    ensure!(!made && fs::read_dir(&host)?.next().is_none(), "something was made in the host");
    Ok(())
}

fn reports(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let out = case.dir.join("out");
    tool::good(convert(&root.dir, &["--out".as_ref(), &out, "--exclude".as_ref(), "t*".as_ref()]))?;
    let shared = shared(case)?;
    let victim = case.dir.join("victim");
    fs::write(&victim, "mine")?;
    let link = |name: &str, owner: u32| -> Result<PathBuf> {
        let link = shared.join(name);
        symlink(&victim, &link)?;
        std::os::unix::fs::lchown(&link, Some(owner), Some(owner))?;
        Ok(link)
    };
    let page = link("page.html", OTHER)?;
    let html: [&Path; 4] = ["report".as_ref(), &out, "--html".as_ref(), &page];
    tool::refused(&tool::run(html)?, "another user's link")?;
    let log = link("log", OTHER)?;
    let logging = convert(
        &root.dir,
        &["--in-place".as_ref(), "--no-backup".as_ref(), "--log".as_ref(), &log],
    );
    tool::refused(&tool::run(&logging)?, "another user's link")?;
    // A file of his, too.
    fs::remove_file(&log)?;
    fs::write(&log, "his")?;
    chown(&log, Some(OTHER), Some(OTHER))?;
    tool::refused(&tool::run(&logging)?, "another user's")?;
    ensure!(fs::read(&log)? == b"his" && fs::read(&victim)? == b"mine");
    // In a directory of reports, links are replaced.
    let reports = shared.join("reports");
    make_others(&reports, 0o755)?;
    link("reports/report.txt", OTHER)?;
    let other = case.dir.join("other");
    tool::good(convert(&root.dir, &["--out".as_ref(), &other, "--report".as_ref(), &reports]))?;
    ensure!(reports.join("report.txt").symlink_metadata()?.is_file());
    ensure!(fs::read(&victim)? == b"mine", "it was written through a link");
    // One's own is followed.
    let own = link("own.html", 0)?;
    tool::good(["report".as_ref(), out.as_os_str(), "--html".as_ref(), own.as_os_str()])?;
    ensure!(fs::read(&victim)?.starts_with(b"<!DOCTYPE html>"), "the link was not followed");
    ensure!(own.symlink_metadata().context("no link")?.is_symlink());
    Ok(())
}
