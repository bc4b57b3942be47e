//! `--root` with what is no root, and roots in which everything leads out.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Result, ensure};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits};
use statify_tests::sandbox;
use statify_tests::small_root::SmallRoot;

use crate::bad_input::attempt::{Listing, finish, matches, refused, sentence, start};
use crate::bad_input::inputs::{elf32, plain};
use crate::bad_input::interrupted::send;
use crate::bad_input::loaders::resolver;

/// clone(2) on x86-64, the bit for a new process id namespace, and errno(3).
const CLONE: i64 = 56;
const CLONE_NEWPID: u64 = 0x2000_0000;
const EPERM: u32 = 1;

pub fn add(cases: &mut Cases) {
    cases.check("root/missing", |case| {
        refused_for(case, &case.dir.join("missing"), "plain", &["missing", "no such file"])
    });
    cases.check("root/a-file", |case| {
        let file = plain(case)?;
        refused_for(case, &file, "plain", &["plain", "not a directory", "root"])
    });
    cases.check("root/a-fifo", |case| {
        nix::unistd::mkfifo(&case.dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU)?;
        refused_for(case, &case.dir.join("fifo"), "plain", &["fifo", "not a directory"])
    });
    cases.check("root/unreadable", |case| {
        let root = root(case)?;
        fs::set_permissions(&root.dir, Permissions::from_mode(0o000))?;
        let mut command = statify(case, &root.dir, "/plain", &[]);
        let command = sandbox::unprivileged(&mut command);
        let outcome = start(case, command, Limits::seconds(30)).and_then(|run| finish(case, run));
        fs::set_permissions(&root.dir, Permissions::from_mode(0o755))?;
        matches(&sentence(&outcome?)?, &["root", "permission denied"])
    });
    cases.check("root/program-missing", |case| {
        // A program of the machine that the root does not have.
        refused_for(case, &root(case)?.dir, "/bin/true", &["in .*root: /bin/true", "no such file"])
    });
    cases.check("root/program-missing-on-path", |case| {
        refused_for(case, &root(case)?.dir, "true", &["in .*root: true", "PATH"])
    });
    cases.check("root/program-is-a-directory", |case| {
        refused_for(case, &root(case)?.dir, "..", &["directory"])
    });
    cases.check("root/program-is-a-device", |case| {
        let root = root(case)?;
        symlink("/../../../../../../dev/zero", root.path("/device"))?;
        refused_for(case, &root.dir, "/device", &["device", "no such file"])
    });
    let escapes = [
        ("absolute", "/HERE/plain"),
        ("upwards", "../../../../../../../../../../../../HERE/plain"),
        ("one-up", "../plain"),
        ("mixed", "/lib/../../../HERE/../HERE/./plain"),
    ];
    for (name, target) in escapes {
        cases.check(&format!("root/link-out/{name}"), move |case| {
            let root = root(case)?;
            fs::remove_file(root.path("/plain"))?;
            let here = case.dir.strip_prefix("/")?.to_string_lossy();
            let target = target.replace("HERE", &here);
            ensure!(case.dir.join("plain").exists());
            symlink(&target, root.path("/link"))?;
            refused_for(case, &root.dir, "/link", &["in .*root: /link", "no such file"])?;
            refused_for(case, &root.dir, &target, &["no such file"])
        });
    }
    cases.check("root/link-loop", |case| {
        let root = root(case)?;
        symlink("/loop", root.path("/loop"))?;
        refused_for(case, &root.dir, "/loop", &["too many levels"])
    });
    cases.check("root/library-link-out", library_link_out);
    cases.check("root/interpreter-link-out", |case| {
        let (root, loader) = (root(case)?, "/lib64/ld-linux-x86-64.so.2");
        // The link names the machine's own loader, by a path that the root does not have.
        let target = Path::new(loader).canonicalize()?;
        fs::rename(root.path(loader), case.dir.join("loader"))?;
        let _ = fs::remove_file(root.path(&target.to_string_lossy()));
        symlink(&target, root.path(loader))?;
        refused_for(case, &root.dir, "/plain", &["interpreter", "no such file"])
    });
    cases.check("root/loader-missing", |case| {
        let root = root(case)?;
        fs::remove_file(root.path("/lib64/ld-linux-x86-64.so.2"))?;
        refused_for(case, &root.dir, "/plain", &["interpreter", "no such file"])
    });
    cases.check("root/other-machine", |case| {
        let root = root(case)?;
        fs::write(root.path("/plain"), elf32())?;
        refused_for(case, &root.dir, "/plain", &["in .*root", "32-bit", "not supported"])
    });
    for (how, patterns) in
        [("CRASH", "SIGSEGV"), ("EXEC", "program"), ("SPIN", "--timeout"), ("KILL", "system call")]
    {
        let name = format!("root/loader-{}", how.to_lowercase());
        cases.needing(&["userns"]).check(&name, move |case| {
            let root = SmallRoot::new(case.dir.join("root"))?;
            root.add_program(&plain(case)?, "/bin/true")?;
            root.add(&resolver(case, how)?, "/program")?;
            refused_with(case, &root.dir, "/program", &["--timeout", "1"], &[patterns])
        });
    }
    cases.needing(&["userns"]).check("root/killed", |case| {
        let root = SmallRoot::new(case.dir.join("root"))?;
        root.add_program(&plain(case)?, "/plain")?;
        root.add(&resolver(case, "SPIN")?, "/program")?;
        let mut command = statify(case, &root.dir, "/program", &["--timeout", "60"]);
        // As the tracer's side sees it.
        let outcome = send(
            case,
            &mut command,
            Path::new("/program"),
            nix::sys::signal::Signal::SIGKILL,
            false,
        )?;
        ensure!(outcome.end == End::Signal(nix::sys::signal::Signal::SIGKILL), "{}", outcome.end);
        Ok(())
    });
    cases.check("root/namespaces-forbidden", namespaces_forbidden);
}

/// A root with the program /plain; a copy of it lies beside the root.
fn root(case: &Case) -> Result<SmallRoot> {
    let root = SmallRoot::new(case.dir.join("root"))?;
    root.add_program(&plain(case)?, "/plain")?;
    Ok(root)
}

fn statify(case: &Case, root: &Path, program: &str, flags: &[&str]) -> Command {
    let mut command = case.statify.command(["--root"]);
    command.arg(root).arg(program).arg("-o").arg(case.dir.join("out")).args(flags);
    command
}

fn refused_for(case: &Case, root: &Path, program: &str, patterns: &[&str]) -> Result<()> {
    refused_with(case, root, program, &[], patterns)
}

fn refused_with(
    case: &Case,
    root: &Path,
    program: &str,
    flags: &[&str],
    patterns: &[&str],
) -> Result<()> {
    matches(&refused(case, &mut statify(case, root, program, flags))?, patterns)
}

/// The machine has the library that the root's link names.
fn library_link_out(case: &Case) -> Result<()> {
    let library = case.library("libvalue.so", "int value = 1;", &["-Wl,-soname,libvalue.so"])?;
    let dir = format!("-L{}", case.dir.display());
    let flags = ["-DVALUE", &dir, "-l:libvalue.so", "-Wl,-rpath,/private"];
    let program = case.build("plain", "program", &flags)?;
    let root = root(case)?;
    root.add(&program, "/program")?;
    fs::create_dir(root.path("/private"))?;
    for up in ["", "../../../../../../../../.."] {
        let link = root.path("/private/libvalue.so");
        let _ = fs::remove_file(&link);
        symlink(format!("{up}{}", library.display()), &link)?;
        refused_for(case, &root.dir, "/program", &["libvalue\\.so", "not found", "/program"])?;
    }
    Ok(())
}

/// As in a container whose seccomp profile has no namespaces.
fn namespaces_forbidden(case: &Case) -> Result<()> {
    let root = root(case)?;
    let before = Listing::of(&case.dir)?;
    let bit = SeccompCmpOp::MaskedEq(CLONE_NEWPID);
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, bit, CLONE_NEWPID)?;
    let rules = [(CLONE, vec![SeccompRule::new(vec![condition])?])].into();
    let denied = SeccompAction::Errno(EPERM);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, TargetArch::x86_64)?;
    let filter = BpfProgram::try_from(filter)?;
    for unprivileged in [false, true] {
        // The filter is the thread's, is inherited, and goes away with the thread.
        let outcome = thread::scope(|scope| {
            let confined = scope.spawn(|| {
                seccompiler::apply_filter(&filter)?;
                let mut command = statify(case, &root.dir, "/plain", &[]);
                if unprivileged {
                    sandbox::unprivileged(&mut command);
                }
                finish(case, start(case, &mut command, Limits::seconds(30))?)
            });
            confined.join().map_err(|_| anyhow::anyhow!("the confined thread panicked"))?
        })?;
        Listing::of(&case.dir)?.must_equal(&before)?;
        let cause = if unprivileged { "as root" } else { "root|CAP_SYS_ADMIN" };
        matches(&sentence(&outcome)?, &["namespaces", "cannot be made", cause])?;
    }
    Ok(())
}
