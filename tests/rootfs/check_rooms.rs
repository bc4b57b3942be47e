//! `rootfs-tools check` runs a guest's programs in rooms: what it says of them, and that they can do nothing.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
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

use crate::rootfs::checks::{all_well, converted, count, program};
use crate::rootfs::guest::{self, shell};
use crate::rootfs::snapshot::{self, Snapshot};
use crate::rootfs::tool;

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
#ifdef __i386__
    /* glibc makes these by socketcall(2), of which a room has none. */
    #define socket(family, type, protocol) syscall(359, family, type, protocol)
    #define socketpair(family, type, protocol, pair) syscall(360, family, type, protocol, pair)
    #define connect(fd, to, len) syscall(362, fd, to, len)
    #define sendto(fd, from, len, flags, to, to_len) syscall(369, fd, from, len, flags, to, to_len)
#endif
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
    int pair[2];
    struct sockaddr_un service = {.sun_family = AF_UNIX, .sun_path = "/srv/dgram"};
    say("pair of datagrams", socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    say("pair of raw", socketpair(AF_UNIX, SOCK_RAW | SOCK_CLOEXEC, 0, pair) == 0);
    say("no pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 || write(pair[0], "x", 1) != 1);
    say("service by a pair", connect(pair[0], (struct sockaddr *)&service, sizeof service) == 0);
    say("service by sendto", sendto(pair[0], "x", 1, 0, (struct sockaddr *)&service, sizeof service) == 1
        && read(pair[1], number_text, 2) != 2);
    int fifo = open("/srv/fifo", O_RDONLY | O_NONBLOCK), stuck = open("/srv/fifo", O_WRONLY | O_NONBLOCK);
    say("reads a FIFO", read(fifo, number_text, 1) > 0);
    write(stuck, "reached", 7);
    for (int family = 0; family < 64; family++)
        for (int type = 1; type <= 10; type++)
            if (family != AF_INET && family != AF_INET6 && family != AF_NETLINK) say("a socket", socket(family, type, 0) >= 0);
    say("sctp", socket(AF_INET, SOCK_STREAM, 132) >= 0);
    say("generic netlink", socket(AF_NETLINK, SOCK_RAW, 16) >= 0);
    struct { unsigned words[64]; } ring = {0};
    say("io_uring", syscall(425, 4, &ring) >= 0);
    say("user namespace", unshare(CLONE_NEWUSER) == 0);
    say("namespaces", unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == 0);
    long flags[] = {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET};
    for (int i = 0; i < 7; i++) say("cloned namespace", made(syscall(SYS_clone, flags[i] | SIGCHLD, 0, 0, 0, 0)));
    struct { unsigned long long words[11]; } clone3 = {{CLONE_NEWUSER, 0, 0, 0, SIGCHLD}};
    say("clone3", made(syscall(435, &clone3, sizeof clone3)));
    say("joined namespace", setns(open("/proc/self/ns/user", O_RDONLY), 0) == 0);
    say("capabilities", capabilities() != 0);
    say("memory file", syscall(SYS_memfd_create, "x", 0) >= 0);
    say("secret memory", syscall(447, 0) >= 0);
#ifdef SYS_ipc
    say("System V semaphores by ipc", syscall(SYS_ipc, 2, 0, 1, 01600, 0, 0) >= 0);
    say("System V memory by ipc", syscall(SYS_ipc, 23, 0, 4096, 01600, 0, 0) >= 0);
#endif
    say("System V memory", syscall(SYS_shmget, 0, 4096, 01600) >= 0);
    say("System V messages", syscall(SYS_msgget, 0, 01600) >= 0);
    say("message queue", syscall(SYS_mq_open, "x", O_CREAT | O_RDWR, 0600, 0) >= 0);
    say("userfaultfd", syscall(SYS_userfaultfd, 1) >= 0);
    say("perf events", syscall(SYS_perf_event_open, &ring, 0, -1, -1, 0) >= 0);
    say("BPF", syscall(SYS_bpf, 0, &ring, sizeof ring) >= 0 || errno == EINVAL);
    say("memory of others", syscall(SYS_process_vm_readv, getpid(), 0, 0, 0, 0, 0) == 0);
    say("descriptors of others", syscall(438, syscall(434, 1, 0), 0, 0) >= 0 || errno == EBADF);
    say("kernel log", syscall(SYS_syslog, 10, 0, 0) >= 0);
    say("file handle", syscall(SYS_open_by_handle_at, -100, &ring, 0) >= 0 || errno != EPERM);
    // Of other ABIs: socket(AF_UNIX, SOCK_STREAM, 0) of x32, and of i386 (more in check_calls.rs).
    say("x32", syscall(0x40000000 | SYS_socket, AF_UNIX, SOCK_STREAM, 0) >= 0);
    pid_t child = fork();
    if (child == 0) {
        int got;
        __asm__ volatile("int $0x80" : "=a"(got) : "a"(359), "b"(AF_UNIX), "c"(SOCK_STREAM), "d"(0));
        _exit(got >= 0);
    }
    int status;
    say("i386", waitpid(child, &status, 0) != child || (WIFEXITED(status) && WEXITSTATUS(status) == 1));
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
    #include <sched.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <sys/mount.h>
    #include <sys/ptrace.h>
    #include <sys/random.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/sysmacros.h>
    #include <sys/un.h>
    #include <sys/wait.h>
    #include <time.h>
    #include <unistd.h>
    static int number, first;
    static char number_text[2];
    static void say(const char *what, int done) { number++; if (done && !first) first = number; }
    /* Whether a process was made, or this is it. */
    static int made(long pid) { if (pid == 0) _exit(0); return pid > 0; }
    static unsigned long capabilities(void)
    {
        char text[4096];
        int fd = open(\"/proc/self/status\", O_RDONLY);
        long len = read(fd, text, sizeof text - 1);
        if (len <= 0) return 0;
        text[len] = 0;
        char *line = strstr(text, \"CapEff:\");
        return line ? strtoul(line + 7, 0, 16) : 0;
    }
";

pub fn add(cases: &mut Cases) {
    cases.check("check/behaviours", behaviours);
    cases.check("check/attacks", |case| attacks(case, "attacks", &[]));
    cases
        .needing(&["libc-32"])
        .check("check/attacks-of-32-bits", |case| attacks_of(case, &["-m32"], "attacks-32", &[]));
    cases.needing(&["root", "program:setpriv", "userns-of-users"]).check(
        "check/attacks-on-root",
        |case| {
            // Who may not make namespaces, and is root in one of its own.
            let caller = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
            attacks(case, "attacks-on-root", &caller)
        },
    );
    cases.check("check/killed", killed);
    cases.check("check/memory", memory);
    cases.check("check/statify-verify", statify_verify);
    cases.needing(&["userns-of-users"]).check("check/unprivileged", unprivileged);
}

/// A guest with programs whose bodies these are, and its converted copy.
pub fn bodies(case: &Case, programs: &[(&str, &str)]) -> Result<(SmallRoot, PathBuf)> {
    let programs: Vec<_> = programs.iter().map(|&(name, body)| (name, body, &[][..])).collect();
    bodies_with(case, &programs)
}

/// The same; each program is compiled with its own flags.
pub fn bodies_with(
    case: &Case,
    programs: &[(&str, &str, &[&str])],
) -> Result<(SmallRoot, PathBuf)> {
    let root = guest::tiny(case.dir.join("guest"))?;
    for name in ["proc", "run", "tmp"] {
        fs::create_dir(root.path(name))?;
    }
    for (name, body, flags) in programs {
        let text = format!("{INCLUDES} int main(int argc, char **argv) {{ {body} return 0; }}");
        let source = case.dir.join(name).with_extension("c");
        fs::write(&source, text)?;
        let program = case.dir.join(name);
        let mut compiler = Command::new(builder::compiler(false));
        let status =
            compiler.args(["-w", "-O1", "-o"]).arg(&program).arg(&source).args(*flags).status()?;
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
    attacks_of(case, &[], name, caller)
}

/// The same; the program is compiled with these flags.
fn attacks_of(case: &Case, flags: &[&str], name: &str, caller: &[&str]) -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let secret = case.dir.join("secret");
    fs::write(&secret, "secret")?;
    let port = listener.local_addr()?.port();
    let text =
        format!("\n#define PORT {port}\n#define OUTSIDE \"{}\"\n{ATTACKS}", secret.display());
    let (root, out) = bodies_with(case, &[(name, &text, flags)])?;
    fs::write(out.join("etc/shadow"), "secret")?;
    fs::set_permissions(out.join("etc/shadow"), fs::Permissions::from_mode(0o600))?;
    let services = Services::new(&out.join("srv"))?;
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
    services.were_not_reached()?;
    nothing_happened(&root.dir, &out, &before, name)
}

/// A socket and a FIFO of a process of the machine that lie in a tree.
struct Services {
    datagrams: UnixDatagram,
    fifo: fs::File,
}

/// What waits in the FIFO for somebody else.
const WAITING: &[u8] = b"waiting";

impl Services {
    fn new(dir: &Path) -> Result<Self> {
        fs::create_dir(dir)?;
        // A path that is not too long for a socket.
        let opened = fs::File::open(dir)?;
        let short = format!("/proc/self/fd/{}/dgram", opened.as_raw_fd());
        let datagrams = UnixDatagram::bind(&short)?;
        datagrams.set_nonblocking(true)?;
        let path = dir.join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU)?;
        for name in ["dgram", "fifo"] {
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o777))?;
        }
        let flags = nix::libc::O_NONBLOCK;
        let fifo = fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path)?;
        (&fifo).write_all(WAITING)?;
        Ok(Self { datagrams, fifo })
    }

    fn were_not_reached(&self) -> Result<()> {
        let mut bytes = [0; 64];
        let datagram = self.datagrams.recv(&mut bytes);
        ensure!(datagram.is_err(), "a service was reached by its socket");
        let len = (&self.fifo).read(&mut bytes)?;
        ensure!(&bytes[..len] == WAITING, "in the FIFO: {:?}", &bytes[..len]);
        Ok(())
    }
}

/// The memory of all processes together is limited, and shared pages count once.
fn memory(case: &Case) -> Result<()> {
    // Other tests' programs are the same user's, who has only so many processes.
    const FORK: &str = "({ pid_t child; while ((child = fork()) < 0) usleep(1000); child; })";
    let fill = "char *p = malloc(20 << 20); memset(p, 1, 20 << 20);";
    let share = format!(
        "{fill} for (int i = 0; i < 30; i++) if ({FORK} == 0) {{ sleep(1); _exit(0); }} while (wait(0) > 0);"
    );
    let take = format!(
        "for (int i = 0; i < 30; i++) if ({FORK} == 0) {{ {fill} sleep(600); }} sleep(600);"
    );
    // In no process, but in what it has sent to itself.
    let send = "char text[4096]; for (int i = 0; i < 450; i++) { int pair[2]; if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0) while (write(pair[0], text, sizeof text) > 0); } sleep(600);";
    let (root, out) = bodies(case, &[("shares", &share), ("takes", &take), ("sends", send)])?;
    let started = Instant::now();
    let answer = all_well(&out, &["--memory", "256", "--timeout", "300"])?;
    ensure!(started.elapsed() < Duration::from_secs(200), "{:?}", started.elapsed());
    let end = |name: &str| -> Result<Value> {
        Ok(program(&answer, &format!("/usr/bin/{name}"))?["answers"][0]["end"].clone())
    };
    ensure!(end("shares")?["exit"] == 0, "{answer:#}");
    for name in ["takes", "sends"] {
        ensure!(end(name)?["signal"] == "SIGKILL", "{answer:#}");
    }
    nothing_runs(&[&root.dir, &out], &["shares", "takes", "sends"])
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
