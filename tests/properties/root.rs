//! `--root`: programs of another root file system, with nothing of this machine, and nothing left there.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::compare::said;
use statify_tests::process::{End, Outcome};
use statify_tests::sandbox;
use statify_tests::small_root::SmallRoot;

use crate::properties::reproducible::same;

pub fn add(cases: &mut Cases) {
    let mut add = |name: &str, test: fn(&Case) -> Result<()>| {
        cases.needing(&["userns"]).check(&format!("root/{name}"), test);
    };
    add("its-libraries-by-its-cache", its_libraries);
    add("origin-without-proc", origin);
    add("links-and-names", links_and_names);
    add("nothing-changes", nothing_changes);
    add("preload-is-left-out", preload);
    add("same-bytes-as-another-user", |case| {
        let (root, plain) = (threads(case)?, case.dir.join("plain"));
        convert(case, &root, "/opt/threads", &plain, &[])?;
        let theirs = their_dir(case)?.join("out");
        let mut command = command(case, &root, "/opt/threads", &theirs, &[]);
        output(sandbox::unprivileged(&mut command))?;
        same(&plain, &theirs)
    });
    add("same-bytes-as-inside", same_as_inside);
    add("the-machine-s-own", |case| {
        let program = case.build("threads", "program", &["-O2", "-pthread"])?;
        let out = case.dir.join("out");
        let root = SmallRoot { dir: "/".into() };
        convert(case, &root, &program.to_string_lossy(), &out, &[])?;
        same(&case.convert(&program, &[])?, &out)
    });
    add("the-machine-is-not-seen", not_seen);
    add("what-is-mounted-in-it", mounted);
    add("verify", |case| verify(case, |command| command));
    add("verify-as-another-user", |case| verify(case, sandbox::unprivileged));
}

fn command(case: &Case, root: &SmallRoot, program: &str, out: &Path, flags: &[&str]) -> Command {
    let mut command = case.statify.command(["--root"]);
    command.arg(&root.dir).arg(program).arg("-o").arg(out).args(flags);
    command
}

/// Converts, and returns what `--json` says.
fn convert(
    case: &Case,
    root: &SmallRoot,
    program: &str,
    out: &Path,
    flags: &[&str],
) -> Result<Value> {
    let text = output(&mut command(case, root, program, out, &[&["--json"], flags].concat()))?;
    Ok(serde_json::from_str(&text)?)
}

/// The paths of the embedded files.
fn embedded(report: &Value) -> Vec<&str> {
    let files = report["manifest"]["files"].as_array().into_iter().flatten();
    files.filter_map(|file| file["path"].as_str()).collect()
}

/// A directory in which another user may write.
fn their_dir(case: &Case) -> Result<PathBuf> {
    let dir = case.dir.join("theirs");
    fs::create_dir(&dir)?;
    sandbox::give_to_unprivileged(&dir)?;
    Ok(dir)
}

/// A root with /opt/threads.
fn threads(case: &Case) -> Result<SmallRoot> {
    let program = case.build("threads", "program", &["-O2", "-pthread", "-lm"])?;
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(&program, "/opt/threads")?;
    Ok(root)
}

/// Builds `name` with a library that here says 1, and puts it into a root where the library says 2.
fn with_library(case: &Case, flags: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let soname = "-Wl,-soname,libshared.so.1";
    let there = case.library("libshared.so.2", "int shared = 2;", &[soname])?;
    case.library("libshared.so.1", "int shared = 1;", &[soname])?;
    let dir = format!("-L{}", case.dir.display());
    let flags = [&["-O2", &dir, "-l:libshared.so.1"], flags].concat();
    Ok((case.build("shared", "program", &flags)?, there))
}

fn its_libraries(case: &Case) -> Result<()> {
    let here = format!("-Wl,-rpath,{}", case.dir.display());
    let (program, library) = with_library(case, &[&here])?;
    ensure!(case.output(&program)? == "shared 1\n");
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(&program, "/usr/bin/program")?;
    fs::remove_file(root.path(&case.dir.join("libshared.so.1").to_string_lossy()))?;
    root.add(&library, "/opt/lib/libshared.so.1")?;
    root.configure("/opt/lib")?;
    let out = case.dir.join("out");
    let report = convert(case, &root, "/usr/bin/program", &out, &[])?;
    let files = embedded(&report);
    ensure!(files[0] == "/usr/bin/program", "{files:?}");
    ensure!(files.contains(&"/opt/lib/libshared.so.1"), "{files:?}");
    ensure!(case.output(&out)? == "shared 2\n");
    Ok(())
}

/// The loader asks /proc for its program's directory; the root has no /proc.
fn origin(case: &Case) -> Result<()> {
    let (program, library) = with_library(case, &["-Wl,-rpath,$ORIGIN/../private"])?;
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(Path::new("/bin/sh"), "/bin/sh")?;
    root.add(&program, "/app/bin/program")?;
    root.add(&library, "/app/private/libshared.so.1")?;
    fs::create_dir(root.path("/bin2"))?;
    symlink("/app/bin/program", root.path("/bin2/link"))?;
    let out = case.dir.join("out");
    let report = convert(case, &root, "/bin2/link", &out, &[])?;
    ensure!(embedded(&report)[0] == "/app/bin/program", "{:?}", embedded(&report));
    ensure!(case.output(&out)? == "shared 2\n");
    Ok(())
}

/// Whatever leads out of the root leads into it.
fn links_and_names(case: &Case) -> Result<()> {
    let program = case.build("shared", "program", &["-DALONE"])?;
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(&program, "/opt/dir/program")?;
    fs::create_dir_all(root.path("/usr/bin"))?;
    fs::create_dir_all(root.path("/etc/alternatives"))?;
    symlink("/etc/alternatives/program", root.path("/usr/bin/program"))?;
    let up = "../../../../../../../../../opt/./dir/../dir/program";
    symlink(up, root.path("/etc/alternatives/program"))?;
    let names = [
        "program",
        "usr/bin/program",
        "/usr/bin/program",
        "/../../../usr/bin/program",
        "/opt/dir/program",
    ];
    let mut first = None;
    for (number, name) in names.into_iter().enumerate() {
        let out = case.dir.join(format!("out{number}"));
        let report = convert(case, &root, name, &out, &[])?;
        ensure!(embedded(&report)[0] == "/opt/dir/program", "{name}: {:?}", embedded(&report));
        same(first.get_or_insert(out.clone()), &out).context(name)?;
    }
    // By a link to the root itself, as well.
    symlink(&root.dir, case.dir.join("link"))?;
    let out = case.dir.join("out-link");
    let link = SmallRoot { dir: case.dir.join("link") };
    convert(case, &link, "program", &out, &[])?;
    same(&case.dir.join("out0"), &out)
}

/// Everything that is known of a file but when it was read.
type State = (u32, u32, u32, u64, u64, (i64, i64), (i64, i64), Vec<u8>);

fn state(dir: &Path) -> Result<BTreeMap<PathBuf, State>> {
    let mut states = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata()?;
        let contents = if metadata.is_file() { fs::read(&path)? } else { Vec::new() };
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
        let m = &metadata;
        let times = ((m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec()));
        let state = (m.mode(), m.uid(), m.gid(), m.ino(), m.nlink(), times.0, times.1, contents);
        states.insert(path, state);
    }
    Ok(states)
}

fn nothing_changes(case: &Case) -> Result<()> {
    let root = threads(case)?;
    // Where something would be mounted, or written.
    for dir in ["proc", "dev", "tmp", "sys", "run"] {
        fs::create_dir(root.path(dir))?;
        fs::set_permissions(root.path(dir), Permissions::from_mode(0o1777))?;
    }
    let before = state(&root.dir)?;
    let out = case.dir.join("out");
    convert(case, &root, "/opt/threads", &out, &["--verify"])?;
    let theirs = their_dir(case)?.join("out");
    let mut unprivileged = command(case, &root, "/opt/threads", &theirs, &["--verify", "-q"]);
    output(sandbox::unprivileged(&mut unprivileged))?;
    let after = state(&root.dir)?;
    let changed = after.iter().filter(|(path, state)| before.get(*path) != Some(state));
    let changed: Vec<_> = changed.map(|(path, _)| path).collect();
    ensure!(changed.is_empty(), "changed or new: {changed:?}");
    ensure!(after.len() == before.len(), "something is gone");
    Ok(())
}

/// What is preloaded there has no part in it, and that is said.
fn preload(case: &Case) -> Result<()> {
    let root = threads(case)?;
    let plain = case.dir.join("plain");
    let silent = convert(case, &root, "/opt/threads", &plain, &["-q"])?;
    ensure!(!silent["notices"].to_string().contains("preload"), "{silent}");
    let library = case.library("libother.so", "int other = 1;", &[])?;
    root.add(&library, "/libother.so")?;
    fs::create_dir(root.path("/etc"))?;
    fs::write(root.path("/etc/ld.so.preload"), "/libother.so\n")?;
    let out = case.dir.join("out");
    let report = convert(case, &root, "/opt/threads", &out, &["-q"])?;
    ensure!(report["notices"].to_string().contains("/etc/ld.so.preload"), "{report}");
    same(&plain, &out)
}

/// In the root, converted statify converts the program and, since it is not at a mount point there, once more with the
/// root of that process as `--root`.
fn same_as_inside(case: &Case) -> Result<()> {
    let root = threads(case)?;
    root.add(&case.convert(case.statify.path(), &[])?, "/statify")?;
    for dir in ["proc", "dev", "out"] {
        fs::create_dir(root.path(dir))?;
    }
    let outside = case.dir.join("outside");
    convert(case, &root, "/opt/threads", &outside, &[])?;
    for (name, flags) in [("plain", &[][..]), ("nested", &["--root", "/"])] {
        let out = format!("/out/{name}");
        let script = r#"mount --rbind /proc "$0/proc" && mount --rbind /dev "$0/dev" && exec "$(PATH=$PATH:/usr/sbin:/sbin command -v chroot)" "$0" "$@""#;
        let words =
            ["/statify", "/opt/threads", "-o", &out].into_iter().chain(flags.iter().copied());
        output(&mut sandbox::script_in_namespace(script, &root.dir, words.map(AsRef::as_ref)))
            .with_context(|| name.to_owned())?;
        same(&outside, &root.path(&out)).with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn not_seen(case: &Case) -> Result<()> {
    let marker = case.dir.join("marker");
    fs::write(&marker, "of the machine")?;
    let define = format!("-DHOST=\"{}\"", marker.display());
    let program = case.build("looks-out", "program", &["-O2", &define])?;
    let here = case.statify.run::<&str>(&program, &case.dir.join("here"), &[])?;
    let refused = |outcome: &Outcome| {
        let sentence = outcome.stderr_text();
        outcome.end == End::Exit(1) && sentence.contains("open or look for a file")
    };
    ensure!(refused(&here), "{}", said(&here));
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(&program, "/program")?;
    let theirs = their_dir(case)?.join("out");
    let mut command = command(case, &root, "/program", &theirs, &[]);
    let there = run(sandbox::unprivileged(&mut command))?;
    ensure!(refused(&there), "{}", said(&there));
    Ok(())
}

/// As where a chroot is in use: the machine's /proc is mounted in it, and a part of its files.
fn mounted(case: &Case) -> Result<()> {
    let program = case.build("works", "program", &["-O2", "-pthread"])?;
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(&program, "/unused")?;
    let part = SmallRoot::new(case.dir.join("part"))?;
    part.add(&program, "/program")?;
    for dir in ["proc", "part"] {
        fs::create_dir(root.path(dir))?;
    }
    let script =
        r#"mount --rbind /proc "$0/proc" && mount --bind "$0/../part" "$0/part" && exec "$@""#;
    let statify = case.statify.path();
    let out = case.dir.join("out");
    let words = [
        "--root".as_ref(),
        root.dir.as_os_str(),
        "/part/program".as_ref(),
        "-o".as_ref(),
        out.as_os_str(),
    ];
    let words = [statify.as_os_str()].into_iter().chain(words);
    output(&mut sandbox::script_in_namespace(script, &root.dir, words))?;
    let plain = case.dir.join("plain");
    fs::rename(part.dir.join("program"), root.path("/part/program"))?;
    convert(case, &root, "/part/program", &plain, &[])?;
    same(&plain, &out)
}

/// The program says the same twice only where nothing of the machine is seen.
fn verify(case: &Case, change: fn(&mut Command) -> &mut Command) -> Result<()> {
    let program = case.build("inside", "program", &["-O2"])?;
    let marker = case.dir.join("marker");
    fs::write(&marker, "of the machine")?;
    let marker = marker.to_string_lossy();
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(&program, "/opt/program")?;
    for dir in ["proc", "dev", "tmp"] {
        fs::create_dir(root.path(dir))?;
    }
    symlink("/opt/program", root.path("/program"))?;
    // Whatever keeps it from writing, it is not these.
    fs::set_permissions(&root.dir, Permissions::from_mode(0o777))?;
    fs::set_permissions(root.path("/opt/program"), Permissions::from_mode(0o777))?;
    let out = their_dir(case)?.join("out");
    let flags = ["--verify", "-q", "--", &marker];
    let mut inside = command(case, &root, "/program", &out, &flags);
    output(change(&mut inside).env("SECRET", "1"))?;
    let mut here = case.statify.command([program.as_os_str(), "-o".as_ref(), "other".as_ref()]);
    let outcome = run(change(here.current_dir(case.dir.join("theirs")).args(flags)))?;
    ensure!(outcome.end == End::Exit(1), "on the machine it agrees, too: {}", said(&outcome));
    Ok(())
}
