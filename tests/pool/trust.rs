//! What an output takes from a pool: nothing that anybody but root could have put there. It runs all the same.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::sys::stat::Mode;
use statify_tests::case::{Case, Cases, run};
use statify_tests::compare::said;
use statify_tests::process::End;

use super::place::{Place, convert, expect_unused, expect_used, files};

/// Somebody who is not root.
const SOMEBODY: u32 = 65534;

/// A change to a pool, and its name.
type Harm = (&'static str, fn(&Place) -> Result<()>);

/// What is done to the pool of an output, once it is converted: it is not used then.
const HARMS: &[Harm] = &[
    ("pool-is-gone", |place| Ok(fs::remove_dir_all(place.pool())?)),
    ("pool-is-somebody's", |place| Ok(chown(place.pool(), Some(SOMEBODY), None)?)),
    ("pool-writable-by-group", |place| mode(&place.pool(), 0o775)),
    ("pool-writable-by-all", |place| mode(&place.pool(), 0o757)),
    ("pool-sticky-and-writable", |place| mode(&place.pool(), 0o1777)),
    ("pool-writable-by-access-list", |place| access_list(&place.pool())),
    ("parent-is-somebody's", |place| Ok(chown(place.path(), Some(SOMEBODY), None)?)),
    ("parent-writable-by-all", |place| mode(place.path(), 0o777)),
    ("pool-is-a-link", |place| {
        let elsewhere = place.path().join("elsewhere");
        fs::rename(place.pool(), &elsewhere)?;
        Ok(symlink(elsewhere, place.pool())?)
    }),
    ("pool-is-a-file", |place| {
        fs::remove_dir_all(place.pool())?;
        Ok(fs::write(place.pool(), "")?)
    }),
    ("files-are-gone", |place| each(place, |file| Ok(fs::remove_file(file)?))),
    ("files-are-somebody's", |place| each(place, |file| Ok(chown(file, Some(SOMEBODY), None)?))),
    ("files-writable-by-group", |place| each(place, |file| mode(file, 0o464))),
    ("files-writable-by-all", |place| each(place, |file| mode(file, 0o446))),
    ("files-writable-by-access-list", |place| each(place, access_list)),
    ("files-are-longer", |place| {
        each(place, |file| {
            let len = file.metadata()?.len();
            Ok(File::options().write(true).open(file)?.set_len(len + 1)?)
        })
    }),
    ("files-are-shorter", |place| {
        each(place, |file| Ok(File::options().write(true).open(file)?.set_len(4096)?))
    }),
    ("files-are-links", |place| {
        each(place, |file| {
            let elsewhere = place.path().join(file.file_name().context("no name")?);
            fs::rename(file, &elsewhere)?;
            Ok(symlink(elsewhere, file)?)
        })
    }),
    ("files-are-pipes", |place| {
        each(place, |file| {
            fs::remove_file(file)?;
            Ok(nix::unistd::mkfifo(file, Mode::from_bits_truncate(0o444))?)
        })
    }),
    ("files-are-directories", |place| {
        each(place, |file| {
            fs::remove_file(file)?;
            Ok(fs::create_dir(file)?)
        })
    }),
];

pub fn add(cases: &mut Cases) {
    for (name, harm) in HARMS {
        let test = |case: &Case| harmed(case, *harm);
        cases.needing(&["root"]).check(&format!("trust/{name}"), test);
    }
    let mut add = |name: &str, test: fn(&Case) -> Result<()>| {
        cases.needing(&["root"]).check(&format!("trust/{name}"), test);
    };
    add("everybody-may-use-it", everybody);
    add("one-file-is-missing", one_missing);
    add("not-with-privileges", privileged);
    add("not-of-a-privileged-program", of_privileged);
    add("without-descriptors", without_descriptors);
    add("refused-at-conversion", refused);
    cases.needing(&["root", "program:unshare"]).check("trust/mounted-noexec", noexec);
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Gives somebody the right to write, as acl(5) has it: the group's bits become the list's mask.
fn access_list(path: &Path) -> Result<()> {
    // Version 2; the owner, somebody by number, the group, the mask, others (linux/posix_acl_xattr.h).
    let none = u32::MAX;
    let entries =
        [(1u16, 7u16, none), (2, 7, SOMEBODY), (4, 5, none), (0x10, 7, none), (0x20, 5, none)];
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let flags = rustix::fs::XattrFlags::empty();
    Ok(rustix::fs::setxattr(path, "system.posix_acl_access", &list, flags)?)
}

fn each(place: &Place, change: impl Fn(&Path) -> Result<()>) -> Result<()> {
    files(&place.pool())?.iter().try_for_each(|file| change(file))
}

fn harmed(case: &Case, harm: fn(&Place) -> Result<()>) -> Result<()> {
    let place = Place::new()?;
    let output = convert(case, &place.pool(), &[])?;
    expect_used(&mut case.command(&output), place.path())?;
    harm(&place)?;
    expect_unused(&mut case.command(&output), place.path())
}

fn everybody(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let output = convert(case, &place.pool(), &[])?;
    let copy = place.path().join("copy");
    fs::copy(output, &copy)?;
    expect_used(case.command(copy).uid(SOMEBODY).gid(SOMEBODY).current_dir("/"), &place.pool())
}

/// What is there is used, and what is not there is the output's own.
fn one_missing(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let output = convert(case, &place.pool(), &[])?;
    let before = files(&place.pool())?;
    for file in &before {
        let aside = place.path().join("aside");
        fs::rename(file, &aside)?;
        expect_used(&mut case.command(&output), &place.pool())
            .with_context(|| file.display().to_string())?;
        fs::rename(aside, file)?;
    }
    Ok(())
}

/// Who converted the file did not know that it would get privileges.
fn privileged(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let output = convert(case, &place.pool(), &[])?;
    let copy = place.path().join("copy");
    fs::copy(output, &copy)?;
    let somebody = || {
        let mut command = case.command(&copy);
        command.uid(SOMEBODY).gid(SOMEBODY).current_dir("/");
        command
    };
    expect_used(&mut somebody(), &place.pool())?;
    mode(&copy, 0o4755)?;
    expect_unused(&mut somebody(), &place.pool())
}

fn of_privileged(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let program = case.build("maps", "maps", &["-O1"])?;
    mode(&program, 0o4755)?;
    let pool = place.pool();
    let pool = pool.to_str().context("a path that is no text")?;
    let output = case.dir.join("out");
    let mut command = case.statify.command::<&str>([]);
    command.arg(&program).arg("-o").arg(&output);
    let outcome = run(command.args(["--preserve-privileges", "--pool", pool]))?;
    ensure!(outcome.end == End::Exit(0), "{}\n{}", outcome.end, said(&outcome));
    ensure!(said(&outcome).contains("takes nothing from the pool"), "{}", said(&outcome));
    ensure!(files(&place.pool())?.is_empty(), "something was put into the pool");
    expect_unused(&mut case.command(output), &place.pool())
}

/// Descriptors are counted: with one left, there is none for the pool.
fn without_descriptors(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let output = convert(case, &place.pool(), &[])?;
    for limit in 4..8 {
        let mut command = case.command("/bin/sh");
        command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\"")]).arg(&output);
        super::place::mapped(&mut command, &place.pool())
            .with_context(|| format!("{limit} descriptors"))?;
    }
    Ok(())
}

/// Code cannot be mapped from there; it is the output's own then.
fn noexec(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let output = convert(case, &place.pool(), &[])?;
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,noexec \"$1\" && exec \"$0\"";
    let mut command = case.command("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(&output).arg(place.pool());
    let mapped = super::place::mapped(&mut command, &place.pool())?;
    ensure!(!mapped.iter().any(|line| line.contains("r-xp")), "{mapped:#?}");
    Ok(())
}

/// What no start would take is no pool.
fn refused(case: &Case) -> Result<()> {
    let place = Place::new()?;
    let pool = place.pool();
    fs::create_dir(&pool)?;
    let program = case.build("maps", "maps", &["-O1"])?;
    let output = case.dir.join("out");
    let expect_of = |pool: &Path, words: &str| -> Result<()> {
        let mut command = case.statify.command::<&str>([]);
        command.arg(&program).arg("-o").arg(&output).arg("--pool").arg(pool);
        let outcome = run(&mut command)?;
        let said = said(&outcome);
        ensure!(outcome.end == End::Exit(1) && said.contains(words), "{}\n{said}", outcome.end);
        ensure!(!output.exists(), "something was written");
        Ok(())
    };
    let expect = |words: &str| expect_of(&pool, words);
    expect_of(Path::new("/"), "is the root directory itself")?;
    mode(&pool, 0o777)?;
    expect("can be written to by everybody")?;
    mode(&pool, 0o775)?;
    expect("can be written to by a group")?;
    mode(&pool, 0o755)?;
    chown(&pool, Some(SOMEBODY), None)?;
    expect("does not belong to root")?;
    chown(&pool, Some(0), None)?;
    mode(place.path(), 0o777)?;
    expect("can be written to by everybody")?;
    mode(place.path(), 0o755)?;
    fs::remove_dir(&pool)?;
    fs::write(&pool, "")?;
    expect("cannot be opened")
}
