//! `pagescan ksm` on programs that look at themselves all the time: nothing of them changes but the switch.

#[macro_use]
mod trials;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pagescan::ksm::{State, Switched, switch};
use trials::not_here;

trials! {
    leaf_functions_keep_their_red_zones: [KsmOfProcess];
    threads_run_on: [KsmOfProcess];
    registers_and_vectors_stay: [KsmOfProcess];
    a_program_that_statify_converted: [KsmOfProcess];
    system_calls_go_on: [KsmOfProcess];
    every_signal_arrives_once_and_in_order: [KsmOfProcess];
    restartable_sequences_begin_anew: [KsmOfProcess];
    a_stopped_process_stays_stopped: [KsmOfProcess];
    nothing_else_of_a_process_is_another: [KsmOfProcess];
    what_cannot_be_visited_is_left_alone: [KsmOfProcess];
    what_is_traced_is_left_to_its_tracer: [KsmOfProcess];
    code_of_32_bits_is_left_alone: [KsmOfProcess];
    others_may_not: [KsmOfProcess, Root];
    a_program_is_run_with_it_and_so_are_its_children: [KsmOfProcess];
    how_a_program_ends_is_passed_on: [];
    the_verb_says_what_is: [KsmOfProcess];
}

/// So often each program's switch is turned on and off.
const TURNS: u32 = 100;

/// The program, compiled once.
fn watchful() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/watchful.c");
        let program =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("watchful-{}", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-pthread", "-Wall", "-o"]).arg(&program).arg(source);
        assert!(compiler.status().expect("a C compiler").success());
        program
    })
}

struct Target {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Target {
    fn new(program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, out }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a child that is not waited for yet.
        unsafe { libc::kill(self.pid() as i32, signal) };
    }

    /// Ends it; returns its count if nothing was wrong.
    fn end(mut self) -> Result<u64, String> {
        self.signal(libc::SIGTERM);
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        let status = self.child.wait().unwrap();
        match status.code() {
            Some(0) => Ok(said.trim().parse().unwrap()),
            _ => Err(format!("{status}: {said}")),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It is gone already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// On and off, over and over.
fn turn(pid: u32, turns: u32) -> Result<(), pagescan::Error> {
    for _ in 0..turns {
        for on in [true, false] {
            assert_eq!(switch(pid, on)?, Switched::Now);
            assert_eq!(State::of(pid)?.merge_any, Some(on));
        }
    }
    Ok(())
}

fn unharmed(arguments: &[&str]) {
    let target = Target::new(watchful(), arguments);
    let mut least = Duration::MAX;
    let mut turned = Ok(());
    for _ in 0..TURNS {
        let begun = Instant::now();
        turned = turned.and_then(|()| turn(target.pid(), 1));
        least = least.min(begun.elapsed() / 2);
    }
    let ended = target.end();
    eprintln!("{arguments:?}: at least {least:?} a switch, count {ended:?}");
    turned.unwrap_or_else(|error| panic!("{arguments:?}: {error}; {ended:?}"));
    ended.unwrap_or_else(|what| panic!("{arguments:?}: {what}"));
}

fn leaf_functions_keep_their_red_zones() {
    unharmed(&["leaf"]);
}

fn threads_run_on() {
    unharmed(&["threads"]);
}

fn registers_and_vectors_stay() {
    unharmed(&["registers"]);
}

fn a_program_that_statify_converted() {
    let statify = std::env::var_os("STATIFY").map(PathBuf::from);
    let statify = statify.or_else(|| {
        let beside = Path::new(env!("CARGO_BIN_EXE_pagescan")).with_file_name("statify");
        beside.exists().then_some(beside)
    });
    let Some(statify) = statify else {
        not_here("there is no statify, neither beside pagescan nor by the variable STATIFY");
    };
    let directory = tempfile::tempdir().unwrap();
    let converted = directory.path().join("converted");
    let done = Command::new(statify).arg(watchful()).arg("-o").arg(&converted).status().unwrap();
    assert!(done.success());
    for arguments in [&["leaf"][..], &["threads"], &["registers"], &["wait", "epoll_wait"]] {
        let target = Target::new(&converted, arguments);
        turn(target.pid(), TURNS / 4).unwrap();
        target.end().unwrap_or_else(|what| panic!("{arguments:?}: {what}"));
    }
}

fn system_calls_go_on() {
    let kinds = [
        "epoll_wait",
        "epoll_pwait",
        "poll",
        "ppoll",
        "select",
        "nanosleep",
        "clock_nanosleep",
        "futex",
        "sigtimedwait",
        "recv",
        "epoll_forever",
        "read_forever",
        "msgrcv_forever",
        "pause_forever",
        "sigsuspend_forever",
    ];
    let targets: Vec<_> =
        kinds.iter().map(|kind| Target::new(watchful(), &["wait", kind])).collect();
    for turned in 0..TURNS / 4 {
        for (kind, target) in kinds.iter().zip(&targets) {
            turn(target.pid(), 1).unwrap_or_else(|error| panic!("{kind}, turn {turned}: {error}"));
        }
        std::thread::sleep(Duration::from_millis(7));
    }
    // A fast machine's turns come sooner than the limits that begin anew with each; left alone, they end.
    std::thread::sleep(Duration::from_millis(500));
    for (kind, target) in kinds.iter().zip(targets) {
        let count = target.end().unwrap_or_else(|what| panic!("{kind}: {what}"));
        eprintln!("{kind}: {count}");
        assert!(kind.ends_with("forever") || count > 0, "{kind} never ended by itself");
    }
}

fn every_signal_arrives_once_and_in_order() {
    const SIGNALS: i32 = 10_000;
    for how in ["run", "call"] {
        let target = Target::new(watchful(), &["signals", how]);
        let pid = target.pid();
        let sender = std::thread::spawn(move || {
            for number in 0..SIGNALS {
                let value =
                    libc::sigval { sival_ptr: std::ptr::without_provenance_mut(number as usize) };
                // SAFETY: a child that is not waited for yet; a queue that is full is waited for.
                while unsafe { libc::sigqueue(pid as i32, libc::SIGRTMIN() + 3, value) } != 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if number % 8 == 0 {
                    std::thread::sleep(Duration::from_micros(100));
                }
            }
        });
        let mut turns = 0;
        while !sender.is_finished() {
            turn(pid, 1).unwrap();
            turns += 1;
        }
        sender.join().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let count = target.end().unwrap();
        eprintln!("{how}: {turns} turns");
        assert_eq!(count, SIGNALS as u64, "{how}");
    }
}

fn restartable_sequences_begin_anew() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(4096).unwrap();
    let target = Target::new(watchful(), &["sequences", file.path().to_str().unwrap()]);
    let mut epoch = 0u64;
    let mut next = || {
        epoch += 1;
        std::os::unix::fs::FileExt::write_at(file.as_file(), &epoch.to_ne_bytes(), 0).unwrap();
    };
    let mut turned = Ok(Switched::Now);
    for turn in 0..TURNS * 2 {
        next();
        turned = turned.and_then(|_| switch(target.pid(), turn % 2 == 0));
        next();
        std::thread::sleep(Duration::from_millis(2));
    }
    let begun_anew = target.end().unwrap();
    turned.unwrap();
    eprintln!("{begun_anew} sequences begun anew");
    assert!(begun_anew >= u64::from(TURNS) / 4, "{begun_anew}: the test tests nothing");
}

/// The letter of its state in /proc/PID/stat.
fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

/// Waits until a process is in this state: where it comes back to takes a moment on a busy machine.
fn until_it_is(pid: u32, wanted: char) {
    let begun = Instant::now();
    while state(pid) != wanted {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} rather than {wanted}", state(pid));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn a_stopped_process_stays_stopped() {
    let target = Target::new(watchful(), &["threads"]);
    let stops = || {
        let flags = libc::WUNTRACED | libc::WNOHANG;
        // SAFETY: a child that is not waited for yet.
        let pid = unsafe { libc::waitpid(target.pid() as i32, std::ptr::null_mut(), flags) };
        pid as u32 == target.pid()
    };
    target.signal(libc::SIGSTOP);
    until_it_is(target.pid(), 'T');
    // Its parent is told when the last of its threads has stopped.
    let begun = Instant::now();
    while !stops() {
        assert!(begun.elapsed() < Duration::from_secs(20), "its parent is told");
        std::thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..20 {
        turn(target.pid(), 1).unwrap();
        until_it_is(target.pid(), 'T');
        assert!(!stops(), "its parent is told no second time");
    }
    target.signal(libc::SIGCONT);
    std::thread::sleep(Duration::from_millis(50));
    assert!(target.end().unwrap() > 0);
}

fn nothing_else_of_a_process_is_another() {
    let target = Target::new(watchful(), &["sleep"]);
    let pid = target.pid();
    let look = || {
        let of = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
        // What is paged in by reading it is no change of its own; the rest is its signals, masks, handlers, mappings and call.
        let status: Vec<String> = of("status")
            .lines()
            // The kernel counts memory for each processor, and adds it up now and then; SigQ counts the
            // signals that all processes of the user have queued.
            .filter(|line| {
                !["VmHWM", "VmRSS", "Rss", "SigQ"].iter().any(|name| line.starts_with(name))
                    && !line.contains("ctxt_switches")
            })
            .map(str::to_owned)
            .collect();
        (status, of("maps"), of("syscall"), of("smaps_rollup"))
    };
    until_it_is(pid, 'S');
    let before = look();
    for on in [true, false] {
        switch(pid, on).unwrap();
    }
    until_it_is(pid, 'S');
    let (status, maps, call, rollup) = look();
    assert_eq!(status, before.0);
    assert_eq!((maps, call), (before.1, before.2));
    // What is shared and how much of it falls to this one is others' business, too.
    let own = |text: &str| {
        let is_own =
            |line: &&str| ["Rss:", "Anonymous:", "Swap:"].iter().any(|name| line.starts_with(name));
        text.lines().filter(is_own).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(own(&rollup), own(&before.3));
    target.end().unwrap();
}

fn refusal(pid: u32) -> String {
    switch(pid, true).unwrap_err().to_string()
}

fn what_cannot_be_visited_is_left_alone() {
    let target = Target::new(watchful(), &["filtered"]);
    assert!(refusal(target.pid()).contains("seccomp filter"), "{}", refusal(target.pid()));
    target.end().unwrap();

    assert!(refusal(u32::MAX).contains("no such process"), "{}", refusal(u32::MAX));
    assert!(refusal(std::process::id()).contains("this program itself"));
    let kernel = refusal(2);
    assert!(kernel.contains("thread of the kernel"), "{kernel}");

    // Nobody has waited for it.
    let mut child = Command::new("true").spawn().unwrap();
    while state(child.id()) != 'Z' {
        std::thread::sleep(Duration::from_millis(1));
    }
    let zombie = refusal(child.id());
    assert!(zombie.contains("has ended"), "{zombie}");
    child.wait().unwrap();
}

fn what_is_traced_is_left_to_its_tracer() {
    let mut command = Command::new("sleep");
    // SAFETY: a system call; it stops when it executes its program.
    unsafe {
        command.arg("60").pre_exec(|| {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            Ok(())
        })
    };
    let mut child = command.spawn().unwrap();
    while !['t', 'T'].contains(&state(child.id())) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let traced = refusal(child.id());
    assert!(traced.contains("traces it"), "{traced}");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn code_of_32_bits_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("p.s"), directory.path().join("p"));
    fs::write(&source, ".globl _start\n_start: mov $29, %eax\n int $0x80\n jmp _start\n").unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-m32", "-nostdlib", "-static", "-o"]).arg(&program).arg(&source);
    if !compiler.status().unwrap().success() {
        not_here("the C compiler makes no programs of 32 bits");
    }
    let mut child = Command::new(&program).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let other = refusal(child.id());
    assert!(other.contains("32 bits"), "{other}");
    assert_eq!(child.try_wait().unwrap(), None, "it runs on");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn pagescan() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pagescan"))
}

fn others_may_not() {
    let target = Target::new(watchful(), &["sleep"]);
    let program = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let copy = program.path().join("pagescan");
    fs::copy(env!("CARGO_BIN_EXE_pagescan"), &copy).unwrap();
    let pid = target.pid().to_string();
    let output =
        Command::new(&copy).args(["ksm", "on", &pid]).uid(65534).gid(65534).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains(&pid), "{said}");
    assert_eq!(State::of(target.pid()).unwrap().merge_any, Some(false));
    target.end().unwrap();
}

fn a_program_is_run_with_it_and_so_are_its_children() {
    let script =
        "grep merge_any /proc/$$/ksm_stat; sh -c 'grep merge_any /proc/$$/ksm_stat; true'; exit 42";
    for (option, word) in [(&["--ksm"][..], "yes"), (&[], "no")] {
        let output =
            pagescan().arg("run").args(option).args(["--", "sh", "-c", script]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("ksm_merge_any: {word}\n").repeat(2));
        assert_eq!(output.status.code(), Some(42));
    }
}

fn how_a_program_ends_is_passed_on() {
    let status = |arguments: &[&str]| {
        pagescan().arg("run").args(arguments).stderr(Stdio::null()).status().unwrap()
    };
    assert_eq!(status(&["true"]).code(), Some(0));
    assert_eq!(status(&["/no/such/program"]).code(), Some(127));
    assert_eq!(status(&["/etc/passwd"]).code(), Some(126));
    assert_eq!(status(&["sh", "-c", "kill -9 $$"]).signal(), Some(9));
    assert_eq!(status(&[]).code(), Some(2));
}

fn the_verb_says_what_is() {
    let target = Target::new(watchful(), &["sleep"]);
    let pid = target.pid().to_string();
    let said = |what: &str| {
        let output = pagescan().args(["ksm", what, &pid]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(said("status").contains("KSM is off"));
    assert_eq!(said("on"), format!("{pid}: KSM is on\n"));
    assert_eq!(said("on"), format!("{pid}: KSM is on already\n"));
    assert!(said("status").contains("KSM is on;"));
    assert_eq!(said("off"), format!("{pid}: KSM is off\n"));
    target.end().unwrap();
}
