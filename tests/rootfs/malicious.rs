//! Libraries of a guest that attack whoever converts it: they get nothing, and are named.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;
use statify_tests::processes;
use statify_tests::small_root::SmallRoot;

use crate::rootfs::{guest, snapshot, tool};

/// What a library does when it is loaded, by system calls alone (the C library is not relocated yet),
/// and what is said of it.
const ATTACKS: &[(&str, &str, &str)] = &[
    ("forks", "call(SYS_fork, 0, 0, 0);", "system call"),
    ("clones", "call(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0);", "system call"),
    (
        "executes",
        "const char *argv[] = {\"one\", 0}; call(SYS_execve, (long)\"/usr/bin/one\", (long)argv, 0);",
        "start another",
    ),
    ("connects", "call(SYS_socket, AF_INET, SOCK_STREAM, 0);", "system call"),
    (
        "writes",
        "call(SYS_open, (long)\"/usr/bin/one\", O_WRONLY | O_TRUNC, 0);",
        "open or look for a file",
    ),
    ("removes", "call(SYS_unlink, (long)\"/usr/bin/one\", 0, 0);", "system call"),
    (
        "renames",
        "call(SYS_rename, (long)\"/usr/bin/one\", (long)\"/usr/bin/two\", 0);",
        "system call",
    ),
    ("kills", "call(SYS_kill, -1, 9, 0);", "system call"),
    ("mounts", "call(SYS_mount, (long)\"none\", (long)\"/proc\", (long)\"proc\");", "system call"),
    ("traces", "call(SYS_ptrace, PTRACE_ATTACH, 1, 0);", "system call"),
    ("loops", "for (;;) __asm__ volatile(\"\");", "did not finish"),
    (
        "fills-memory",
        "for (;;) { char *p = (char *)call6(SYS_mmap, 0, 1 << 26, PROT_READ | PROT_WRITE, \
         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); if ((long)p < 0 && (long)p > -4096) call(SYS_exit_group, 3, 0, 0); \
         for (long i = 0; i < 1 << 26; i += 4096) p[i] = 1; }",
        "status 3",
    ),
];

/// The library's text up to its attack.
const TEXT: &str = "
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <sched.h>
    #include <sys/mman.h>
    #include <sys/ptrace.h>
    #include <sys/socket.h>
    #include <sys/syscall.h>
    static long call6(long n, long a, long b, long c, long d, long e, long f)
    {
        register long r10 __asm__(\"r10\") = d;
        register long r8 __asm__(\"r8\") = e;
        register long r9 __asm__(\"r9\") = f;
        long result;
        __asm__ volatile(\"syscall\" : \"=a\"(result) : \"a\"(n), \"D\"(a), \"S\"(b), \"d\"(c),
                         \"r\"(r10), \"r\"(r8), \"r\"(r9) : \"rcx\", \"r11\", \"memory\");
        return result;
    }
    static long call(long n, long a, long b, long c) { return call6(n, a, b, c, 0, 0, 0); }
    static int done(void) { return 1; }
";

pub fn add(cases: &mut Cases) {
    for &(name, body, words) in ATTACKS {
        cases.check(&format!("malicious/{name}"), move |case| attack(case, name, body, words));
    }
    cases.check("malicious/reads-outside", reads_outside);
    cases.check("malicious/links-lead-out", links);
}

/// A guest with /usr/bin/attacked, whose library has a resolver with this body.
fn attacked(case: &Case, body: &str) -> Result<SmallRoot> {
    let text = format!(
        "{TEXT}static int (*choose(void))(void) {{ {body} return done; }}\n\
         int chosen(void) __attribute__((ifunc(\"choose\")));\nint (*pointer)(void) = chosen;\n"
    );
    let library = case.library("libevil.so.1", &text, &["-Wl,-soname,libevil.so.1", "-w"])?;
    let dir = format!("-L{}", case.dir.display());
    let flags = ["-Wl,--no-as-needed", &dir, "-l:libevil.so.1"];
    let program = case.build("answer", "attacked", &flags)?;
    let root = guest::tiny(case.dir.join("guest"))?;
    root.add(&program, "/usr/bin/attacked")?;
    root.add(&library, "/usr/lib/libevil.so.1")?;
    Ok(root)
}

fn attack(case: &Case, name: &str, body: &str, words: &str) -> Result<()> {
    let root = attacked(case, body)?;
    let before = snapshot::of(&root.dir)?;
    let out = case.dir.join("out");
    let outcome = tool::run([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--timeout".as_ref(),
        "10".as_ref(),
        "--memory".as_ref(),
        "256".as_ref(),
        "--quiet".as_ref(),
    ])?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "{}: {said}", outcome.end);
    ensure!(said.contains("/usr/bin/attacked"), "{said}");
    ensure!(words.split('|').any(|words| said.contains(words)), "{said}");
    if words.contains("system call") {
        ensure!(said.contains("/libevil.so.1"), "the library is not named: {said}");
    }
    ensure!(
        processes::left_behind(nix::unistd::Pid::from_raw(-1), &root.dir).is_empty(),
        "{name}: left running"
    );
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    // The others are converted, this one is as it was.
    let after = snapshot::of(&out)?;
    let attacked = Path::new("usr/bin/attacked");
    ensure!(after[attacked] == before[attacked]);
    ensure!(
        after[Path::new("usr/bin/one")].contents.len()
            > before[Path::new("usr/bin/one")].contents.len()
    );
    Ok(())
}

/// What is outside of the guest is not there: the library looks for a secret of this test's.
fn reads_outside(case: &Case) -> Result<()> {
    let secret = case.dir.join("secret");
    fs::write(&secret, "secret")?;
    let body = format!(
        "static const char *const paths[] = {{\"{0}\", \"/../../../../../../../../..{0}\", \"/proc/1/root{0}\",\
         \"/proc/self/cwd{0}\"}}; for (int i = 0; i < 4; i++) if (call(SYS_open, (long)paths[i], 0, 0) >= 0) for (;;);",
        secret.display()
    );
    let root = attacked(case, &body)?;
    let out = case.dir.join("out");
    let outcome = tool::run([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--timeout".as_ref(),
        "5".as_ref(),
        "--quiet".as_ref(),
    ])?;
    // Not even whether it is there.
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1) && said.contains("look for a file"), "{said}");
    Ok(())
}

/// Names of the guest that lead out of it, were it not a root: nothing outside is read or changed.
fn links(case: &Case) -> Result<()> {
    let outside = case.dir.join("outside");
    fs::create_dir(&outside)?;
    fs::copy("/bin/true", outside.join("victim"))?;
    let library = case.library("libevil.so.1", "int evil;", &["-Wl,-soname,libevil.so.1"])?;
    fs::rename(&library, outside.join("libevil.so.1"))?;
    let before = snapshot::of(&outside)?;
    let root = guest::tiny(case.dir.join("guest"))?;
    symlink(outside.join("libevil.so.1"), root.path("/usr/lib/libevil.so.1"))?;
    let dir = format!("-L{}", outside.display());
    let flags = ["-Wl,--no-as-needed", &dir, "-l:libevil.so.1"];
    root.add(&case.build("answer", "attacked", &flags)?, "/usr/bin/attacked")?;
    symlink(outside.join("victim"), root.path("/usr/bin/absolute"))?;
    symlink("../../../outside/victim", root.path("/usr/bin/relative"))?;
    // A whole directory of programs that is elsewhere.
    symlink(&outside, root.path("/usr/games"))?;
    symlink("../../outside", root.path("/usr/local"))?;
    fs::create_dir(root.path("/backup"))?;
    let out = case.dir.join("out");
    let outcome = tool::run([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--quiet".as_ref(),
        "--dirs".as_ref(),
        "/usr/bin,/usr/games,/usr/local,/../outside,/usr/../../outside".as_ref(),
    ])?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1) && said.contains("the library libevil.so.1"), "{said}");
    snapshot::same(&snapshot::of(&outside)?, &before, true)?;
    // Put in the place of what the journal and the working directory are called.
    let other = guest::tiny(case.dir.join("other"))?;
    symlink(&outside, other.path("/.rootfs-tools"))?;
    symlink(&outside, other.path("/usr/bin/.rootfs-tools-work"))?;
    let arguments =
        ["convert".as_ref(), other.dir.as_os_str(), "--in-place".as_ref(), "--no-backup".as_ref()];
    tool::refused(&tool::run(arguments)?, ".rootfs-tools")?;
    fs::remove_file(other.path("/.rootfs-tools"))?;
    tool::good(arguments)?;
    snapshot::same(&snapshot::of(&outside)?, &before, true)
}
