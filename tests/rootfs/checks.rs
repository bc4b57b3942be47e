//! `rootfs-tools check`: what it finds, and that what it runs can do nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::geteuid;
use serde_json::Value;
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits, Outcome, Running};
use statify_tests::processes;
use statify_tests::report::Done;
use statify_tests::sandbox;
use statify_tests::small_root::SmallRoot;

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
    cases.check("check/good", good);
    cases.check("check/in-place", in_place);
    cases.check("check/damaged", damaged);
    cases.check("check/exchanged", exchanged);
    cases.check("check/differs", differs);
    cases.check("check/behaviours", behaviours);
    cases.check("check/attacks", |case| attacks(case, "attacks", &[]));
    cases.add("check/attacks-on-root", |case| {
        // Who may not make namespaces, and is root in one of its own.
        let caller = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
        let status =
            Command::new(caller[0]).args(&caller[1..]).args(["unshare", "-Ur", "true"]).status();
        if !geteuid().is_root() || !status.is_ok_and(|status| status.success()) {
            return Done::not_here("it takes root, setpriv and user namespaces");
        }
        attacks(case, "attacks-on-root", &caller).map(|()| Done::Passed)
    });
    cases.check("check/killed", killed);
    cases.check("check/statify-verify", statify_verify);
    cases.check("check/malicious-files", malicious_files);
    cases.check("check/no-originals", no_originals);
    cases.check("check/no-journal", no_journal);
    cases.check("check/what-to-check", what_to_check);
    cases.add("check/unprivileged", |case| {
        let mut probe = Command::new("unshare");
        let status =
            sandbox::unprivileged(probe.args(["--user", "--map-root-user", "true"])).status();
        if !status.is_ok_and(|status| status.success()) {
            return Done::not_here("users may not make user namespaces here");
        }
        unprivileged(case).map(|()| Done::Passed)
    });
    cases.add("check/not-open-to-nobody", |case| {
        if !geteuid().is_root() {
            return Done::not_here("only root runs programs as nobody");
        }
        not_open(case).map(|()| Done::Passed)
    });
}

/// Runs `check ROOT --json` with more arguments. Returns the answer, and how it ended.
fn check(root: &Path, more: &[&str]) -> Result<(Value, Outcome)> {
    let arguments = ["check".as_ref(), root.as_os_str(), "--json".as_ref(), "--quiet".as_ref()];
    let outcome = tool::run(arguments.into_iter().chain(more.iter().map(AsRef::as_ref)))?;
    let answer = serde_json::from_slice(&outcome.stdout);
    Ok((answer.with_context(|| outcome.stderr_text())?, outcome))
}

/// The same, where nothing may be wrong.
fn all_well(root: &Path, more: &[&str]) -> Result<Value> {
    let (answer, outcome) = check(root, more)?;
    ensure!(outcome.end == End::Exit(0), "{}: {answer:#}", outcome.end);
    Ok(answer)
}

/// The same, where something must be wrong.
fn all_but_well(root: &Path, more: &[&str]) -> Result<Value> {
    let (answer, outcome) = check(root, more)?;
    ensure!(outcome.end == End::Exit(1), "{}: {answer:#}", outcome.end);
    Ok(answer)
}

fn program<'a>(answer: &'a Value, name: &str) -> Result<&'a Value> {
    let programs = answer["programs"].as_array().into_iter().flatten();
    let has = |program: &&Value| {
        program["names"].as_array().into_iter().flatten().any(|found| found == name)
    };
    let mut found = programs.filter(has);
    found.next().with_context(|| format!("no {name} in {answer:#}"))
}

/// Names of the programs for which something is wrong.
fn wrong(answer: &Value) -> Vec<&str> {
    let programs = answer["programs"].as_array().into_iter().flatten();
    let is_wrong = |program: &&Value| {
        let answers = program["answers"].as_array().into_iter().flatten();
        program["problems"] != Value::Array(Vec::new())
            || answers.into_iter().any(|answer| answer["judgement"] == "differs")
    };
    programs.filter(is_wrong).filter_map(|program| program["names"][0].as_str()).collect()
}

fn count(answer: &Value, what: &str) -> u64 {
    answer["counts"][what].as_u64().unwrap_or(u64::MAX)
}

/// A small guest and its converted copy.
fn converted(case: &Case, root: &SmallRoot) -> Result<PathBuf> {
    let out = case.dir.join("out");
    tool::good(["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    Ok(out)
}

fn tiny(case: &Case) -> Result<(SmallRoot, PathBuf)> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let out = converted(case, &root)?;
    Ok((root, out))
}

/// Times of everything, without reading any of it; of a directory without that of its access.
fn times(dir: &Path) -> Result<BTreeMap<PathBuf, [(i64, i64); 3]>> {
    let mut all = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let stat = path.symlink_metadata()?;
        if stat.is_dir() {
            let entries: Vec<_> = fs::read_dir(&path)?.collect::<Result<_, _>>()?;
            left.extend(
                entries.iter().map(fs::DirEntry::path).filter(|p| !p.ends_with(".rootfs-tools")),
            );
        }
        let accessed = if stat.is_dir() { (0, 0) } else { (stat.atime(), stat.atime_nsec()) };
        let changed = (stat.ctime(), stat.ctime_nsec());
        all.insert(path, [accessed, (stat.mtime(), stat.mtime_nsec()), changed]);
    }
    Ok(all)
}

fn good(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    let out = converted(case, &root)?;
    // Older than the last modification, so that any access would be written down.
    shell(&case.dir, "find guest out -type f -exec touch -a -d 2001-01-01 {} +")?;
    let before = [times(&root.dir)?, times(&out)?];
    let answer = all_well(&out, &[])?;
    ensure!([times(&root.dir)?, times(&out)?] == before, "times changed");
    let programs = count(&answer, "programs");
    ensure!(programs > 20 && count(&answer, "intact") == programs, "{}", answer["counts"]);
    ensure!(count(&answer, "compared") == programs, "{}", answer["counts"]);
    // One is not for others, nobody among them.
    let unanswered = if geteuid().is_root() { 2 } else { 0 };
    ensure!(count(&answer, "unanswered") == unanswered, "{answer:#}");
    let answered = count(&answer, "agree") + count(&answer, "vary");
    ensure!(answered == 2 * programs - unanswered, "{answer:#}");
    ensure!(
        answer["originals"][0] == root.dir.to_string_lossy().as_ref(),
        "{}",
        answer["originals"]
    );
    // What the answers are is the programs' own.
    let ls = program(&answer, "/usr/bin/ls")?;
    ensure!(
        ls["answers"][0]["end"]["exit"] == 0 && ls["answers"][0]["judgement"] == "agrees",
        "{ls}"
    );
    let gzip = program(&answer, "/usr/lib/gzip-too")?;
    ensure!(gzip["names"].as_array().is_some_and(|names| names.len() == 3), "{gzip}");
    let text = tool::good(["check".as_ref(), out.as_os_str(), "--only".as_ref(), "ls".as_ref()])?;
    ensure!(text.contains("1 programs: 1 intact, 0 damaged"), "{text}");
    ensure!(text.contains("2 answers agree, 0 vary by themselves, 0 differ"), "{text}");
    Ok(())
}

/// Originals in a backup; without it; and in another place.
fn in_place(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let backup = case.dir.join("backup");
    tool::good([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--in-place".as_ref(),
        "--backup".as_ref(),
        backup.as_os_str(),
    ])?;
    let before = snapshot::of(&root.dir)?;
    let answer = all_well(&root.dir, &[])?;
    ensure!(count(&answer, "compared") == 3 && count(&answer, "agree") == 6, "{answer:#}");
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    let moved = case.dir.join("moved");
    fs::rename(&backup, &moved)?;
    let answer = all_well(&root.dir, &[])?;
    ensure!(count(&answer, "not_compared") == 3 && count(&answer, "compared") == 0, "{answer:#}");
    let text = tool::good(["check".as_ref(), root.dir.as_os_str()])?;
    ensure!(text.contains("3 not run, only checked") && text.contains("is not there"), "{text}");
    let answer = all_well(&root.dir, &["--original", &moved.to_string_lossy()])?;
    ensure!(count(&answer, "agree") == 6, "{answer:#}");
    // An original that is another one now is none.
    fs::copy("/bin/ls", moved.join("usr/bin/one"))?;
    let answer = all_well(&root.dir, &["--original", &moved.to_string_lossy()])?;
    let why = &program(&answer, "/usr/bin/one")?["not_compared"];
    ensure!(
        why.as_str().is_some_and(|why| why.ends_with("is not the file that was converted")),
        "{why}"
    );
    Ok(())
}

/// Any byte of a converted program.
fn damaged(case: &Case) -> Result<()> {
    let (root, out) = tiny(case)?;
    let path = out.join("usr/bin/three");
    let whole = fs::read(&path)?;
    for at in [0, 18, 70, 4096 + 123, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes)?;
        let answer = all_but_well(&out, &["--no-run"])?;
        ensure!(wrong(&answer) == ["/usr/bin/three"], "byte {at}: {answer:#}");
    }
    let text = tool::run(["check".as_ref(), out.as_os_str()])?.stdout_text();
    ensure!(text.contains("1 damaged") && text.contains("/usr/bin/three /usr/sbin/four"), "{text}");
    // By other names there is something else now.
    fs::write(&path, &whole)?;
    shell(&out, "rm usr/sbin/four; rm usr/bin/one; cp usr/bin/two usr/bin/one")?;
    fs::copy(root.path("/usr/bin/two"), out.join("usr/bin/two"))?;
    let answer = all_but_well(&out, &[])?;
    ensure!(wrong(&answer) == ["/usr/bin/two", "/usr/sbin/four"], "{answer:#}");
    ensure!(program(&answer, "/usr/sbin/four")?["problems"][0] == "it is not there any more");
    ensure!(program(&answer, "/usr/bin/two")?["problems"][0] == "it is the original again");
    Ok(())
}

/// Another program's conversion in the place of one.
fn exchanged(case: &Case) -> Result<()> {
    let (root, out) = tiny(case)?;
    shell(&out, "cp usr/bin/three usr/bin/one")?;
    let answer = all_but_well(&out, &[])?;
    let one = program(&answer, "/usr/bin/one")?;
    let problem = one["problems"][0].as_str().unwrap_or_default();
    ensure!(problem.contains("but a conversion of /usr/bin/three"), "{one:#}");
    ensure!(one["answers"][0]["judgement"] == "differs", "{one:#}");
    // Without a journal it is told by its original and by what it says.
    fs::remove_dir_all(out.join(".rootfs-tools"))?;
    let answer = all_but_well(&out, &["--original", &root.dir.to_string_lossy()])?;
    ensure!(wrong(&answer) == ["/usr/bin/one"], "{answer:#}");
    let one = program(&answer, "/usr/bin/one")?;
    ensure!(one["answers"][0]["judgement"] == "differs", "{one:#}");
    ensure!(one["problems"][0].as_str().is_some_and(|p| p.contains("is not the file")), "{one:#}");
    Ok(())
}

/// A guest with programs whose bodies these are, and its converted copy.
fn bodies(case: &Case, programs: &[(&str, &str)]) -> Result<(SmallRoot, PathBuf)> {
    let root = guest::tiny(case.dir.join("guest"))?;
    for name in ["proc", "run", "tmp"] {
        fs::create_dir(root.path(name))?;
    }
    for (name, body) in programs {
        let text = format!("{INCLUDES} int main(int argc, char **argv) {{ {body} return 0; }}");
        let source = case.dir.join(name).with_extension("c");
        fs::write(&source, text)?;
        let program = case.dir.join(name);
        let mut compiler = Command::new("cc");
        let status = compiler.args(["-w", "-O1", "-o"]).arg(&program).arg(&source).status()?;
        ensure!(status.success(), "cc: {status}");
        root.add_program(&program, &format!("/usr/bin/{name}"))?;
    }
    let out = converted(case, &root)?;
    Ok((root, out))
}

/// A program that tells whether it is converted: by what is mapped.
fn differs(case: &Case) -> Result<()> {
    let body = "FILE *f = fopen(\"/proc/self/maps\", \"r\"); char line[512]; int loaders = 0; \
        while (fgets(line, 512, f)) loaders += strstr(line, \"/ld-\") != 0; \
        if (!strcmp(argv[1], \"--help\")) return loaders ? 3 : 4; \
        printf(\"first\\nmapped \\033[1m%s\\n\", loaders ? \"loader\" : \"nothing\");";
    let (_, out) = bodies(case, &[("maps", body)])?;
    let outcome = tool::run(["check".as_ref(), out.as_os_str()])?;
    let text = outcome.stdout_text();
    ensure!(outcome.end == End::Exit(1), "{}: {text}", outcome.end);
    for words in ["- exit 3", "+ exit 4", "stdout line 2", "- mapped \\u{1b}[1mloader", "2 differ;"]
    {
        ensure!(text.contains(words), "no {words:?} in {text}");
    }
    ensure!(!text.contains('\x1b'), "{text:?}");
    // A library that the original has and that is not the embedded one may be why.
    shell(&out, "find . -name libc.so.6 -type f -exec sh -c 'printf x >> \"$0\"' {} \\;")?;
    let answer = all_but_well(&out, &["--only", "maps"])?;
    let libraries = &program(&answer, "/usr/bin/maps")?["changed_libraries"];
    ensure!(libraries.as_array().is_some_and(|list| list.len() == 1), "{libraries}");
    ensure!(libraries[0].as_str().is_some_and(|path| path.ends_with("/libc.so.6")), "{libraries}");
    Ok(())
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

/// Files that claim to be converted ones.
fn malicious_files(case: &Case) -> Result<()> {
    let (root, out) = tiny(case)?;
    let whole = fs::read(out.join("usr/bin/three"))?;
    fs::remove_dir_all(out.join(".rootfs-tools"))?;
    let bin = out.join("usr/bin");
    // The program headers' table elsewhere, every word of the headers huge, an end that is missing.
    let mut evil = Vec::new();
    for at in (16..64).step_by(4).chain((64..64 + 56 * 8).step_by(24)) {
        let mut bytes = whole.clone();
        let end = (at + 8).min(bytes.len());
        bytes[at..end].fill(0xff);
        evil.push(bytes);
    }
    evil.extend([1, 64, 4095, 8192, whole.len() - 1].map(|len| whole[..len].to_vec()));
    for (number, bytes) in evil.iter().enumerate() {
        guest::executable(&bin.join(format!("evil-{number}")), bytes)?;
    }
    let mut sparse = fs::File::create(bin.join("evil-sparse"))?;
    std::io::Write::write_all(&mut sparse, &whole)?;
    sparse.set_len(1 << 40)?;
    nix::unistd::mkfifo(&bin.join("evil-pipe"), nix::sys::stat::Mode::S_IRWXU)?;
    std::os::unix::fs::symlink("/proc/kcore", bin.join("evil-link"))?;
    let answer = all_but_well(&out, &["--original", &root.dir.to_string_lossy()])?;
    let wrong = wrong(&answer);
    ensure!(wrong.len() > 10, "{wrong:?}");
    ensure!(wrong.iter().all(|name| name.contains("evil")), "{wrong:?}");
    // A journal that names what is none of the tree's.
    let (_, out) = {
        let dir = case.dir.join("second");
        fs::create_dir(&dir)?;
        tiny(&Case { dir, ..case.clone() })?
    };
    for target in ["/bin", "/nowhere", "../../../../../../../../../bin", "/etc"] {
        shell(&out, &format!("rm -r usr/bin; ln -s {target} usr/bin"))?;
        let answer = all_but_well(&out, &[])?;
        // The other name of one of them is still there.
        ensure!(count(&answer, "compared") == 1 && count(&answer, "damaged") == 3, "{answer:#}");
    }
    Ok(())
}

fn no_originals(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    tool::good([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--in-place".as_ref(),
        "--no-backup".as_ref(),
    ])?;
    let text = tool::good(["check".as_ref(), root.dir.as_os_str()])?;
    ensure!(text.contains("3 programs: 3 intact, 0 damaged"), "{text}");
    ensure!(text.contains("3 not run, only checked: no original was kept"), "{text}");
    Ok(())
}

fn no_journal(case: &Case) -> Result<()> {
    let (root, out) = tiny(case)?;
    fs::remove_dir_all(out.join(".rootfs-tools"))?;
    let answer = all_well(&out, &[])?;
    ensure!(answer["journal"] == false && count(&answer, "programs") == 3, "{answer:#}");
    ensure!(count(&answer, "not_compared") == 3, "{answer:#}");
    let answer = all_well(&out, &["--original", &root.dir.to_string_lossy()])?;
    ensure!(count(&answer, "agree") == 6, "{answer:#}");
    let answer = all_well(&out, &["--dirs", "/sbin", "--no-run"])?;
    ensure!(program(&answer, "/usr/sbin/four").is_ok() && count(&answer, "programs") == 1);
    tool::refused(&tool::run(["check".as_ref(), root.dir.as_os_str()])?, "neither a journal nor")
}

fn what_to_check(case: &Case) -> Result<()> {
    let (_, out) = tiny(case)?;
    let answer = all_well(&out, &["--no-run", "--only", "one", "--only", "t*"])?;
    ensure!(count(&answer, "programs") == 3, "{answer:#}");
    let answer = all_well(&out, &["--no-run", "--exclude", "/usr/bin/t*"])?;
    ensure!(count(&answer, "programs") == 2, "{answer:#}");
    let run = |more: &[&str]| {
        tool::run(
            ["check".as_ref(), out.as_os_str()].into_iter().chain(more.iter().map(AsRef::as_ref)),
        )
    };
    tool::refused(&run(&["--only", "none"])?, "no converted program, so there is nothing")?;
    tool::refused(&run(&["--only", "["])?, "--only: ")?;
    tool::refused(&run(&["--original", "/nowhere"])?, "/nowhere")?;
    ensure!(run(&["--timeout", "0"])?.end == End::Exit(2));
    ensure!(run(&["--no-run", "--original", "/"])?.end == End::Exit(2));
    tool::refused(&tool::run(["check", "/nowhere"])?, "/nowhere")?;
    shell(&out, "sed -i '2s/a/b/' .rootfs-tools/journal")?;
    tool::refused(&run(&[])?, "of the journal is damaged")
}

/// By a user who owns the tree.
fn unprivileged(case: &Case) -> Result<()> {
    let definitions = "\n#define PORT 1\n#define OUTSIDE \"/etc/hostname-of-the-machine\"\n";
    let (root, out) = bodies(
        case,
        &[("attacks-user", &format!("{definitions}{ATTACKS}")), ("pid", BEHAVIOURS[0].1)],
    )?;
    for path in [&case.dir, &root.dir, &out] {
        shell(
            path,
            &format!(
                "chown -R {0}:{0} .",
                if geteuid().is_root() { sandbox::NOBODY } else { geteuid().as_raw() }
            ),
        )?;
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

fn not_open(case: &Case) -> Result<()> {
    let (_, out) = tiny(case)?;
    fs::set_permissions(&out, fs::Permissions::from_mode(0o700))?;
    tool::refused(&tool::run(["check".as_ref(), out.as_os_str()])?, "chmod o+x")?;
    all_well(&out, &["--no-run"]).map(drop)
}
