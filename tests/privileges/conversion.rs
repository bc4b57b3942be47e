//! What `--preserve-privileges` keeps, in which order, and what it refuses.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::compare::said;
use statify_tests::process::End;
use statify_tests::report::Done;
use statify_tests::sandbox::{NOBODY, give_to_unprivileged, unprivileged};

use crate::privileges::programs::{PRIVILEGED, REPORT};

/// A program, and the flags with which it is to be converted.
type Given = (PathBuf, &'static [&'static str]);

pub fn add(cases: &mut Cases) {
    for (name, owner, group, mode) in [
        ("set-user-id", 0, 0, 0o4755),
        ("set-user-id/of-another", NOBODY, 0, 0o4711),
        ("set-group-id", 0, 42, 0o2755),
        ("both-and-sticky", NOBODY, 42, 0o7755),
    ] {
        with_privileges(cases, &format!("preserve/{name}"), &[], move |case| {
            let program = plain(case)?;
            std::os::unix::fs::chown(&program, Some(owner), Some(group))?;
            fs::set_permissions(&program, Permissions::from_mode(mode))?;
            keeps(case, &program)
        });
    }
    with_privileges(
        cases,
        "preserve/capabilities",
        &["program:setcap", "program:getcap"],
        |case| {
            let program = plain(case)?;
            output(Command::new("setcap").arg("cap_net_raw,cap_sys_time=ep").arg(&program))?;
            let out = keeps(case, &program)?;
            let capabilities = |path: &Path| -> Result<String> {
                let text = output(Command::new("getcap").arg(path))?;
                Ok(text.split_once(' ').context("none")?.1.to_owned())
            };
            ensure!(capabilities(&program)? == capabilities(&out)?);
            Ok(out)
        },
    );
    with_privileges(cases, "preserve/nothing-to-preserve", &[], |case| keeps(case, &plain(case)?));
    with_privileges(cases, "preserve/replaces", &[], |case| {
        fs::write(case.dir.join("out"), "old")?;
        let program = set_user_id(case)?;
        case.statify.convert(
            &program,
            &case.dir.join("out"),
            &["--preserve-privileges", "--force"],
        )?;
        same_file(&program, &case.dir.join("out"))
    });
    with_privileges(cases, "preserve/verify", &[], |case| {
        // It prints its effective user: without its privileges, the caller's in both.
        let program = case.build("report", "program", REPORT)?;
        std::os::unix::fs::chown(&program, Some(NOBODY), Some(NOBODY))?;
        fs::set_permissions(&program, Permissions::from_mode(0o6755))?;
        let out = case.dir.join("out");
        case.statify.convert(&program, &out, &["--preserve-privileges", "--verify", "--quiet"])?;
        same_file(&program, &out)
    });
    with_privileges(cases, "preserve/bits-come-last", &["program:strace"], bits_come_last);

    refused(cases, "without-the-option", &["is set-user-ID", "--preserve-privileges"], |case| {
        Ok((set_user_id(case)?, &[][..]))
    });
    with_privileges(cases, "refuse/capabilities-without-the-option", &["program:setcap"], |case| {
        let program = plain(case)?;
        output(Command::new("setcap").arg("cap_net_raw=ep").arg(&program))?;
        must_be_refused(case, &program, &[], &["file capabilities", "--preserve-privileges"])
    });
    refused(cases, "origin", &["\\$ORIGIN"], |case| with_runpath(case, "$ORIGIN"));
    refused(cases, "origin-of-a-library", &["\\$ORIGIN", "libshared.so"], |case| {
        library(case, &["-Wl,-rpath,${ORIGIN}/x"])?;
        linked(case, &case.dir.display().to_string(), false)
    });
    refused(cases, "relative-search-path", &["relative"], |case| with_runpath(case, ":/usr/lib"));
    refused(cases, "shared-search-path", &["anybody"], |case| {
        let dir = case.dir.join("shared");
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o1777))?;
        with_runpath(case, &dir.display().to_string())
    });
    refused(cases, "search-path-that-others-can-make", &["anybody"], |case| {
        let dir = case.dir.join("shared");
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o1777))?;
        with_runpath(case, &dir.join("missing/lib").display().to_string())
    });
    refused(cases, "library-of-another", &["libshared.so", "somebody else"], |case| {
        let library = library(case, &[])?;
        give_to_unprivileged(&library)?;
        linked(case, &case.dir.display().to_string(), true)
    });
    refused(cases, "library-in-a-directory-of-another", &["theirs", "somebody else"], |case| {
        let dir = case.dir.join("theirs");
        fs::create_dir(&dir)?;
        let library = library(case, &[])?;
        fs::rename(library, dir.join("libshared.so"))?;
        give_to_unprivileged(&dir)?;
        linked(case, &dir.display().to_string(), true)
    });
    refused(cases, "library-that-a-group-can-change", &["libshared.so", "group"], |case| {
        let library = library(case, &[])?;
        std::os::unix::fs::chown(&library, None, Some(42))?;
        fs::set_permissions(&library, Permissions::from_mode(0o775))?;
        linked(case, &case.dir.display().to_string(), true)
    });
    refused(cases, "program-that-everybody-can-change", &["program", "everybody"], |case| {
        let program = plain(case)?;
        fs::set_permissions(&program, Permissions::from_mode(0o4757))?;
        Ok((program, &["--preserve-privileges"][..]))
    });
    refused(cases, "library-by-way-of-a-shared-directory", &["/shared ", "everybody"], |case| {
        by_way_of(case, 0o777, 0)
    });
    refused(cases, "library-by-a-link-of-another", &["shared/hop", "somebody else"], |case| {
        by_way_of(case, 0o1777, NOBODY)
    });
    with_privileges(cases, "preserve/by-a-link-of-root-s", &[], |case| {
        let (program, _) = by_way_of(case, 0o1777, 0)?;
        keeps(case, &program)
    });
    for (name, at, words) in [
        ("library-by-access-list", "libshared.so", "user 65534 may write to it"),
        ("directory-by-access-list", "", "user 65534 may write to it"),
    ] {
        with_access_lists(cases, &format!("refuse/{name}"), move |case| {
            library(case, &[])?;
            give_access_list(&case.dir.join(at), ACCESS, 6)?;
            let (program, flags) = linked(case, &case.dir.display().to_string(), false)?;
            must_be_refused(case, &program, flags, &[words])
        });
    }
    with_access_lists(cases, "preserve/access-list", |case| {
        // Who may only read and execute may change nothing; a list is kept, and none is inherited.
        let program = set_user_id(case)?;
        give_access_list(&program, ACCESS, 5)?;
        give_access_list(&case.dir, DEFAULT, 7)?;
        keeps(case, &program)?;
        let mut lists = [[0u8; 256]; 2];
        let lengths = [&program, &case.dir.join("out")]
            .into_iter()
            .zip(&mut lists)
            .map(|(path, list)| rustix::fs::getxattr(path, ACCESS, &mut list[..]))
            .collect::<Result<Vec<_>, _>>()?;
        ensure!(lengths[0] > 4 && lists[0] == lists[1], "{lists:?}");
        fs::remove_file(case.dir.join("out"))?;
        rustix::fs::removexattr(&program, ACCESS)?;
        fs::set_permissions(&program, Permissions::from_mode(0o4755))?;
        let out = keeps(case, &program)?;
        let left = rustix::fs::getxattr(&out, ACCESS, &mut lists[0][..]);
        ensure!(left == Err(rustix::io::Errno::NODATA), "{left:?}");
        Ok(())
    });
    with_privileges(cases, "refuse/converted-by-an-unprivileged-user", &[], unprivileged_converter);
}

/// The attributes that hold access control lists (acl(5)).
const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// Gives user 65534 these rights to a file, besides what its owner may do and all may read.
fn give_access_list(path: &Path, name: &str, rights: u16) -> rustix::io::Result<()> {
    let mut list = 2u32.to_le_bytes().to_vec();
    // ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER (linux/posix_acl.h).
    let none = u32::MAX;
    for (tag, rights, id) in
        [(1, 7, none), (2, rights, NOBODY), (4, 5, none), (0x10, rights | 5, none), (0x20, 5, none)]
    {
        let (tag, rights): (u16, u16) = (tag, rights);
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let mode = path.metadata().map_or(0, |stat| stat.mode() & 0o7000);
    rustix::fs::setxattr(path, name, &list, rustix::fs::XattrFlags::empty())?;
    if name == ACCESS && mode != 0 {
        let now = path.metadata().map_or(0, |stat| stat.mode() & 0o777);
        rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(mode | now))?;
    }
    Ok(())
}

fn with_access_lists(
    cases: &mut Cases,
    name: &str,
    test: impl FnOnce(&Case) -> Result<()> + Send + 'static,
) {
    cases.needing(&[PRIVILEGED]).add(name, move |case| {
        let trial = case.dir.join("trial");
        fs::write(&trial, "")?;
        if give_access_list(&trial, ACCESS, 4).is_err() {
            return Done::not_here("the file system has no access control lists");
        }
        fs::remove_file(&trial)?;
        test(case).map(|()| Done::Passed)
    });
}

/// A set-user-ID program whose library is found by a link to a link in the directory `shared` of
/// this mode to where it is; the second link belongs to `owner`.
fn by_way_of(case: &Case, mode: u32, owner: u32) -> Result<Given> {
    let (safe, shared, links) =
        (case.dir.join("safe"), case.dir.join("shared"), case.dir.join("links"));
    for dir in [&safe, &shared, &links] {
        fs::create_dir(dir)?;
    }
    symlink(&safe, shared.join("hop"))?;
    std::os::unix::fs::lchown(shared.join("hop"), Some(owner), Some(0))?;
    symlink(shared.join("hop"), links.join("dir"))?;
    fs::rename(library(case, &[])?, safe.join("libshared.so"))?;
    fs::set_permissions(&shared, Permissions::from_mode(mode))?;
    linked(case, &links.join("dir").display().to_string(), true)
}

fn with_privileges<T>(
    cases: &mut Cases,
    name: &str,
    needs: &'static [&'static str],
    test: impl FnOnce(&Case) -> Result<T> + Send + 'static,
) {
    cases.needing(&[&[PRIVILEGED], needs].concat()).check(name, |case| test(case).map(drop));
}

/// A program that is refused with these patterns in one sentence, nothing being left behind.
fn refused(
    cases: &mut Cases,
    name: &str,
    patterns: &'static [&'static str],
    prepare: fn(&Case) -> Result<Given>,
) {
    with_privileges(cases, &format!("refuse/{name}"), &[], move |case| {
        let (program, flags) = prepare(case)?;
        must_be_refused(case, &program, flags, patterns)
    });
}

fn must_be_refused(case: &Case, program: &Path, flags: &[&str], patterns: &[&str]) -> Result<()> {
    let outcome = case.statify.run(program, &case.dir.join("out"), flags)?;
    ensure!(outcome.end == End::Exit(1), "{}: {}", outcome.end, said(&outcome));
    let sentence = outcome.stderr_text();
    ensure!(sentence.lines().count() == 1, "{sentence}");
    for pattern in patterns {
        ensure!(Regex::new(pattern)?.is_match(&sentence), "no `{pattern}` in: {sentence}");
    }
    nothing_left(&case.dir)
}

fn nothing_left(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(name != "out" && !name.starts_with(".statify-"), "{name} was left behind");
    }
    Ok(())
}

fn plain(case: &Case) -> Result<PathBuf> {
    case.build("report", "program", REPORT)
}

fn set_user_id(case: &Case) -> Result<PathBuf> {
    let program = plain(case)?;
    fs::set_permissions(&program, Permissions::from_mode(0o4755))?;
    Ok(program)
}

fn library(case: &Case, flags: &[&str]) -> Result<PathBuf> {
    let flags = [&["-Wl,-soname,libshared.so"], flags].concat();
    case.library("libshared.so", "int shared = 1;", &flags)
}

/// A set-user-ID program whose DT_RUNPATH is `path`, besides the directory of its library.
fn with_runpath(case: &Case, path: &str) -> Result<Given> {
    library(case, &[])?;
    linked(case, &format!("{}:{path}", case.dir.display()), false)
}

fn linked(case: &Case, runpath: &str, there: bool) -> Result<Given> {
    let at = if there { runpath.to_owned() } else { case.dir.display().to_string() };
    let (at, runpath) = (format!("-L{at}"), format!("-Wl,-rpath,{runpath}"));
    let program = case.build("loader", "program", &["-O1", &at, "-l:libshared.so", &runpath])?;
    fs::set_permissions(&program, Permissions::from_mode(0o4755))?;
    Ok((program, &["--preserve-privileges"]))
}

fn keeps(case: &Case, program: &Path) -> Result<PathBuf> {
    let out = case.dir.join("out");
    case.statify.convert(program, &out, &["--preserve-privileges"])?;
    same_file(program, &out)?;
    Ok(out)
}

fn same_file(program: &Path, out: &Path) -> Result<()> {
    let traits = |path: &Path| -> Result<_> {
        let metadata = path.metadata()?;
        Ok((metadata.uid(), metadata.gid(), format!("{:o}", metadata.mode())))
    };
    let (program, out) = (traits(program)?, traits(out)?);
    ensure!(program == out, "{out:?} in place of {program:?}");
    Ok(())
}

/// Somebody else's set-user-ID program cannot be converted by a user who may not give files away.
fn unprivileged_converter(case: &Case) -> Result<()> {
    let program = set_user_id(case)?;
    let dir = case.dir.join("theirs");
    fs::create_dir(&dir)?;
    give_to_unprivileged(&dir)?;
    let mut command = case.statify.command(["--preserve-privileges", "-o"]);
    let outcome = run(unprivileged(command.arg(dir.join("out")).arg(program)))?;
    ensure!(outcome.end == End::Exit(1), "{}: {}", outcome.end, said(&outcome));
    ensure!(outcome.stderr_text().contains("as root"), "{}", said(&outcome));
    nothing_left(&dir)
}

/// The system calls that decide it: the owner, then the bits, then the name, and nothing after it.
fn bits_come_last(case: &Case) -> Result<()> {
    let program = set_user_id(case)?;
    let trace = case.dir.join("trace");
    let mut command = Command::new("strace");
    command.args(["-e", "trace=/chown|chmod|rename|link|write|truncate|setxattr|unlink", "-o"]);
    command.arg(&trace).arg(case.statify.path()).arg("--preserve-privileges");
    command.arg(&program).arg("-o").arg(case.dir.join("out"));
    let outcome = run(&mut command)?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, said(&outcome));
    let trace = fs::read_to_string(trace)?;
    let at = |pattern: &str| -> Result<usize> {
        let pattern = Regex::new(pattern)?;
        let lines: Vec<_> =
            trace.lines().enumerate().filter(|(_, line)| pattern.is_match(line)).collect();
        ensure!(lines.len() == 1, "{} lines match {pattern}:\n{trace}", lines.len());
        Ok(lines[0].0)
    };
    let owner = at(r"^fchown\w*\(")?;
    let bits = at(r"chmod\w*\(.*0?4755\)")?;
    let name = at(r#"(rename|link)\w*\(.*/out""#)?;
    let written = trace
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("pwrite") || line.contains("truncate("))
        .map(|(index, _)| index)
        .max()
        .context("nothing was written")?;
    ensure!(written < owner && owner < bits && bits < name, "{trace}");
    let later = trace.lines().skip(name + 1).find(|line| {
        !line.starts_with("unlink") && !line.starts_with('+') && !line.starts_with("write(2")
    });
    ensure!(later.is_none_or(|line| line.contains("write(")), "after it has its name: {later:?}");
    Ok(())
}
