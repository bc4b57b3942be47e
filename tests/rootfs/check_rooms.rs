//! `rootfs-tools check` runs a guest's programs in rooms: what it says of them, and that they can do nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::geteuid;
use serde_json::Value;
use statify_tests::builder;
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits, Outcome, Running};
use statify_tests::processes;
use statify_tests::sandbox;
use statify_tests::small_root::SmallRoot;

use crate::checks::{all_well, converted, count, program};
use crate::guest::{self, shell};
use crate::snapshot::{self, Snapshot};
use crate::tool;

/// Programs, what they do when they are called, and what is said of them: `agrees`, `varies` or
/// `no_answer` for `--version`.
const BEHAVIOURS: &[(&str, &str, &str)] = &[
    ("try-pid", "printf(\"I am %d of %d\\n\", getpid(), getppid());", "agrees"),
    (
        "try-time",
        "struct timespec t; clock_gettime(CLOCK_REALTIME, &t); printf(\"at %ld.%09ld\\n\", t.tv_sec, t.tv_nsec);",
        "varies",
    ),
    (
        "try-random",
        "unsigned char b[8]; getrandom(b, 8, 0); for (int i = 0; i < 8; i++) putchar('a' + b[i] % 26); puts(\"\");",
        "varies",
    ),
    (
        "try-talks",
        "for (int i = 0; i < 300000; i++) printf(\"%d\\n\", i); fputs(\"done\\n\", stderr);",
        "agrees",
    ),
    ("try-hangs", "for (;;) pause();", "no_answer"),
    (
        "try-spins",
        "if (fork() == 0) for (;;) pause(); for (;;) __asm__ volatile(\"\");",
        "no_answer",
    ),
    ("try-crashes", "raise(SIGSEGV);", "no_answer"),
    // Its children go on, hold what it prints to, and are nobody's.
    (
        "try-forks",
        "for (int i = 0; i < 20; i++) if (fork() == 0) { setsid(); if (fork() == 0) for (;;) pause(); _exit(0); } puts(\"gone\");",
        "agrees",
    ),
    ("try-fork-bomb", "for (;;) fork();", "no_answer"),
];

/// What must not happen: a program that tries it ends with the number of the first that did.
const ATTACKS: &str = r#"
    static const char *const files[] = {"/new", "/usr/bin/new", "/usr/bin/one", "/etc/new", "/proc/sys/kernel/hostname"};
    for (int i = 0; i < 5; i++) say(files[i], open(files[i], O_WRONLY | O_CREAT | O_TRUNC, 0644) >= 0);
    say("unlink", unlink("/usr/bin/one") == 0);
    say("chmod", chmod("/usr/bin/one", 04777) == 0);
    say("times", utimensat(AT_FDCWD, "/usr/bin/one", 0, 0) == 0);
    say("remount", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0) == 0);
    say("unmount", umount2("/", MNT_DETACH) == 0);
    say("device", mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)) == 0);
    say("unix socket", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    say("vsock", socket(40, SOCK_STREAM, 0) >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say("connect", connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    say("reboot", syscall(SYS_reboot, 0xfee1dead, 0x28121969, 0, 0) == 0);
    say("host name", sethostname("x", 1) == 0);
    say("keyring", syscall(SYS_add_key, "user", "x", "x", 1, -3) >= 0);
    say("set-user-ID", getuid() != 0 && setuid(0) == 0 && geteuid() == 0 && open("/etc/shadow", O_RDONLY) >= 0);
    say("outside", access(OUTSIDE, F_OK) == 0);
    say("outside by process 1", access("/proc/1/root" OUTSIDE, F_OK) == 0 || access("/proc/1/cwd/.." OUTSIDE, F_OK) == 0);
    say("descriptors", fcntl(9, F_GETFD) != -1);
    say("terminal", open("/dev/tty", O_RDWR) >= 0);
    say("trace", ptrace(PTRACE_ATTACH, 1, 0, 0) == 0);
    int processes = 0;
    for (int pid = 1; pid < 70000; pid++) processes += kill(pid, 0) == 0 || errno == EPERM;
    say("other processes", processes > 2);
    char byte;
    say("input", read(0, &byte, 1) != 0);
    signal(SIGTERM, SIG_IGN);
    kill(-1, SIGTERM);
    kill(0, SIGTERM);
    kill(getppid(), SIGKILL);
    return first;
"#;

const INCLUDES: &str = "
    #define _GNU_SOURCE
    #include <arpa/inet.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <signal.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/mount.h>
    #include <sys/ptrace.h>
    #include <sys/random.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/sysmacros.h>
    #include <time.h>
    #include <unistd.h>
    static int number, first;
    static void say(const char *what, int done) { number++; if (done && !first) first = number; }
";

pub fn add(cases: &mut Cases) {
    cases.check("check/behaviours", behaviours);
    cases.check("check/attacks", |case| attacks(case, "attacks", &[]));
    cases.needing(&["root", "program:setpriv", "userns-of-users"]).check(
        "check/attacks-on-root",
        |case| {
            // Who may not make namespaces, and is root in one of its own.
            let caller = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
            attacks(case, "attacks-on-root", &caller)
        },
    );
    cases.check("check/killed", killed);
    cases.check("check/statify-verify", statify_verify);
    cases.needing(&["userns-of-users"]).check("check/unprivileged", unprivileged);
}

/// A guest with programs whose bodies these are, and its converted copy.
pub fn bodies(case: &Case, programs: &[(&str, &str)]) -> Result<(SmallRoot, PathBuf)> {
    let root = guest::tiny(case.dir.join("guest"))?;
    for name in ["proc", "run", "tmp"] {
        fs::create_dir(root.path(name))?;
    }
    for (name, body) in programs {
        let text = format!("{INCLUDES} int main(int argc, char **argv) {{ {body} return 0; }}");
        let source = case.dir.join(name).with_extension("c");
        fs::write(&source, text)?;
        let program = case.dir.join(name);
        let mut compiler = Command::new(builder::compiler(false));
        let status = compiler.args(["-w", "-O1", "-o"]).arg(&program).arg(&source).status()?;
        ensure!(status.success(), "cc: {status}");
        root.add_program(&program, &format!("/usr/bin/{name}"))?;
    }
    let out = converted(case, &root)?;
    Ok((root, out))
}

fn behaviours(case: &Case) -> Result<()> {
    let programs: Vec<_> = BEHAVIOURS.iter().map(|(name, body, _)| (*name, *body)).collect();
    let (root, out) = bodies(case, &programs)?;
    let before = [snapshot::of(&root.dir)?, snapshot::of(&out)?];
    let started = Instant::now();
    let answer = all_well(&out, &["--timeout", "1"])?;
    ensure!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    let names: Vec<_> = programs.iter().map(|(name, _)| *name).collect();
    nothing_runs(&[&root.dir, &out], &names)?;
    for (name, _, expected) in BEHAVIOURS {
        let found = program(&answer, &format!("/usr/bin/{name}"))?;
        let judgement = &found["answers"][0]["judgement"];
        ensure!(judgement == expected, "{name}: {found:#}");
    }
    ensure!(count(&answer, "unanswered") == 8, "{}", answer["counts"]);
    snapshot::same(&snapshot::of(&root.dir)?, &before[0], true)?;
    snapshot::same(&snapshot::of(&out)?, &before[1], true)
}

/// No process of the machine runs a file of these trees, or is in them, or has one of the names.
fn nothing_runs(trees: &[&Path], names: &[&str]) -> Result<()> {
    for tree in trees {
        let left = processes::left_behind(nix::unistd::Pid::from_raw(-1), tree);
        ensure!(left.is_empty(), "left running: {left:?}");
    }
    // In a room of its own its path is another.
    let left: Vec<_> =
        processes::all().into_iter().filter(|p| names.contains(&p.name.as_str())).collect();
    ensure!(left.is_empty(), "left running: {left:?}");
    Ok(())
}

/// A guest's program attacks whoever checks it; `caller` calls the tool.
fn attacks(case: &Case, name: &str, caller: &[&str]) -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let secret = case.dir.join("secret");
    fs::write(&secret, "secret")?;
    let port = listener.local_addr()?.port();
    let text =
        format!("\n#define PORT {port}\n#define OUTSIDE \"{}\"\n{ATTACKS}", secret.display());
    let (root, out) = bodies(case, &[(name, &text)])?;
    fs::write(out.join("etc/shadow"), "secret")?;
    fs::set_permissions(out.join("etc/shadow"), fs::Permissions::from_mode(0o600))?;
    let before = [snapshot::of(&root.dir)?, snapshot::of(&out)?];
    // What the tool was given does not come to the program.
    let mut command = Command::new("sh");
    command.args(["-c", "exec 9<\"$0\"; exec \"$@\""]).arg(&secret).args(caller);
    command.arg(tool::path()?).arg("check").arg(&out).args(["--json", "--quiet", "--only", name]);
    let outcome = tool::finish(&mut command)?;
    let said = format!("{}{}", outcome.stdout_text(), outcome.stderr_text());
    ensure!(outcome.end == End::Exit(0), "{}: {said}", outcome.end);
    let answer: Value = serde_json::from_slice(&outcome.stdout)?;
    let attacks = program(&answer, &format!("/usr/bin/{name}"))?;
    for answer in attacks["answers"].as_array().into_iter().flatten() {
        ensure!(answer["judgement"] == "agrees", "{attacks:#}");
        ensure!(answer["end"]["exit"] == 0, "an attack was let through: {answer}");
    }
    nothing_happened(&root.dir, &out, &before, name)
}

fn nothing_happened(root: &Path, out: &Path, before: &[Snapshot; 2], name: &str) -> Result<()> {
    nothing_runs(&[root, out], &[name])?;
    snapshot::same(&snapshot::of(root)?, &before[0], true)?;
    snapshot::same(&snapshot::of(out)?, &before[1], true)
}

/// `statify --verify` runs both in such a room, too, and sees what they print.
fn statify_verify(case: &Case) -> Result<()> {
    let (_, random, _) = BEHAVIOURS[2];
    let (root, _) = bodies(case, &[("verified", random), ("pid", BEHAVIOURS[0].1)])?;
    let verify = |name: &str| -> Result<Outcome> {
        let mut command = case.statify.command(["--quiet", "--verify", "--root"]);
        command
            .arg(&root.dir)
            .arg(format!("/usr/bin/{name}"))
            .arg("-o")
            .arg(case.dir.join("out-2"));
        statify_tests::case::run(&mut command)
    };
    let outcome = verify("pid")?;
    ensure!(outcome.end == End::Exit(0), "{}", outcome.stderr_text());
    fs::remove_file(case.dir.join("out-2"))?;
    let outcome = verify("verified")?;
    ensure!(outcome.end == End::Exit(1), "{}", outcome.end);
    ensure!(outcome.stderr_text().contains("stdout of the converted"), "{}", outcome.stderr_text());
    Ok(())
}

/// rootfs-tools killed while programs run: nothing of them is left.
fn killed(case: &Case) -> Result<()> {
    // Others, in other cases' rooms, may be as many as their common user may have.
    let body = "pid_t child; while ((child = fork()) < 0) usleep(1000); if (child == 0) setsid(); for (;;) pause();";
    let (root, out) = bodies(case, &[("lingers", body)])?;
    let arguments = ["check".as_ref(), out.as_os_str(), "--timeout".as_ref(), "600".as_ref()];
    let runs = || processes::all().into_iter().filter(|p| p.name == "lingers").count();
    for attempt in 0..3 {
        let check = Running::start(&mut tool::command(arguments)?, b"", Limits::seconds(300))?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while runs() < 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        ensure!(runs() >= 2, "it does not run");
        // This one alone, not its process group.
        kill(check.pid(), Signal::SIGKILL)?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while runs() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        ensure!(runs() == 0, "left running after attempt {attempt}");
    }
    nothing_runs(&[&root.dir, &out], &["lingers"])
}

/// By a user who owns the tree.
fn unprivileged(case: &Case) -> Result<()> {
    let definitions = "\n#define PORT 1\n#define OUTSIDE \"/etc/hostname-of-the-machine\"\n";
    let (root, out) = bodies(
        case,
        &[("attacks-user", &format!("{definitions}{ATTACKS}")), ("pid", BEHAVIOURS[0].1)],
    )?;
    if geteuid().is_root() {
        let owner = format!("chown -R {0}:{0} .", sandbox::NOBODY);
        for path in [&case.dir, &root.dir, &out] {
            shell(path, &owner)?;
        }
    }
    let before = [snapshot::of(&root.dir)?, snapshot::of(&out)?];
    // The tool itself lies where only root may go.
    let copy = case.dir.join("rootfs-tools");
    fs::copy(tool::path()?, &copy)?;
    let mut command = Command::new(&copy);
    command.env_clear().arg("check").arg(&out).args(["--json", "--quiet"]);
    let outcome = tool::finish(sandbox::unprivileged(&mut command))?;
    ensure!(
        outcome.end == End::Exit(0),
        "{}: {}{}",
        outcome.end,
        outcome.stdout_text(),
        outcome.stderr_text()
    );
    let answer: Value = serde_json::from_slice(&outcome.stdout)?;
    ensure!(count(&answer, "compared") == 5 && count(&answer, "agree") == 10, "{answer:#}");
    for name in ["attacks-user", "pid", "one"] {
        let found = program(&answer, &format!("/usr/bin/{name}"))?;
        ensure!(found["answers"][0]["end"]["exit"] == 0, "{found:#}");
    }
    nothing_happened(&root.dir, &out, &before, "attacks-user")
}
