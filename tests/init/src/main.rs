//! Process 1 of the emulated machine: mounts what programs expect, makes the plan's runs, says over
//! the serial line what came out, and turns the machine off.

mod entropy;
mod loopback;
mod probe;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, sethostname};
use rustix::process::{Resource, Rlimit, setrlimit};
use statify_init::plan::{Job, Line, PLAN, Plan, RESULTS, to_hex};
use statify_init::process::{self, End, Limits};

/// Time given to one run; the emulated processor is slow.
const LIMIT: Limits = Limits::seconds(120);

/// What the C library looks up.
const FILES: &[(&str, &str)] = &[
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    ("/etc/group", "root:x:0:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];

fn main() -> ! {
    if std::process::id() != 1 {
        eprintln!("statify-init: this is for process 1 of an emulated machine");
        exit(2)
    }
    if let Err(error) = act() {
        eprintln!("process 1: {error:#}");
        let _ = File::options().write(true).open(RESULTS).map(|mut line| {
            let _ = say(&mut line, &Line::Trouble(format!("{error:#}")));
        });
    }
    nix::unistd::sync();
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    // Process 1 must not end; if the machine does not either, the time limit is left.
    exit(1)
}

fn act() -> Result<()> {
    prepare_root()?;
    let mut results = File::options().write(true).open(RESULTS).context(RESULTS)?;
    raw(&results)?;
    say(&mut results, &Line::Facts(probe::facts()?))?;
    let plan: Plan = serde_json::from_slice(&fs::read(PLAN)?).context(PLAN)?;
    for (number, round) in plan.rounds.iter().enumerate() {
        let mut before = Vec::new();
        for (name, value) in &round.sysctls {
            let path = Path::new("/proc/sys").join(name);
            before.push((path.clone(), fs::read_to_string(&path).unwrap_or_default()));
            fs::write(&path, value).with_context(|| format!("{} = {value}", path.display()))?;
        }
        for &place in &round.jobs {
            let job = &plan.jobs[place];
            let line = match make(job, round.stack) {
                Ok(outcome) => Line::Ran {
                    round: number,
                    job: place,
                    end: match outcome.end {
                        End::Exit(status) => format!("exit {status}"),
                        End::Signal(signal) => format!("signal {}", signal as i32),
                        End::TimedOut => "time".into(),
                    },
                    stdout: to_hex(&outcome.stdout),
                    stderr: to_hex(&outcome.stderr),
                },
                Err(error) => Line::Trouble(format!("{}: {error:#}", job.program.display())),
            };
            say(&mut results, &line)?;
            // Orphans come to process 1.
            while waitpid(None, Some(WaitPidFlag::WNOHANG))
                .is_ok_and(|status| status.pid().is_some())
            {}
        }
        for (path, value) in before {
            fs::write(&path, value)?;
        }
    }
    say(&mut results, &Line::Done)
}

fn say(results: &mut File, line: &Line) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    results.write_all(&text)?;
    nix::sys::termios::tcdrain(&*results)?;
    Ok(())
}

/// A line without the terminal's translations.
fn raw(line: &File) -> Result<()> {
    use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
    let mut settings = tcgetattr(line)?;
    cfmakeraw(&mut settings);
    Ok(tcsetattr(line, SetArg::TCSANOW, &settings)?)
}

fn prepare_root() -> Result<()> {
    let none = None::<&str>;
    for (kind, at, options) in [
        ("proc", "/proc", none),
        ("sysfs", "/sys", none),
        ("devtmpfs", "/dev", none),
        ("devpts", "/dev/pts", Some("mode=620,ptmxmode=666")),
        ("tmpfs", "/dev/shm", none),
        ("tmpfs", "/run", none),
    ] {
        fs::create_dir_all(at).with_context(|| at.to_owned())?;
        mount(Some(kind), at, Some(kind), MsFlags::empty(), options)
            .with_context(|| format!("mounting {kind}"))?;
    }
    for (link, to) in [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0")] {
        std::os::unix::fs::symlink(to, Path::new("/dev").join(link))?;
    }
    sethostname("emulated")?;
    loopback::up()?;
    entropy::credit()?;
    for (file, text) in FILES {
        fs::write(file, text).with_context(|| (*file).to_owned())?;
    }
    // As in the tests on the host: a program that dies leaves nothing.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

fn make(job: &Job, stack: Option<u64>) -> Result<process::Outcome> {
    let temporary = job.directory.join("tmp");
    let _ = fs::remove_dir_all(&temporary);
    fs::create_dir_all(&temporary)?;
    let mut command = Command::new(&job.program);
    command.args(&job.arguments).current_dir(&job.directory).env_clear();
    command.envs(job.environment.iter().map(|(name, value)| (name, value)));
    if let Some(stack) = stack {
        // SAFETY: setrlimit(2) only, between fork and exec.
        unsafe {
            let limit = Rlimit { current: Some(stack), maximum: None };
            command.pre_exec(move || Ok(setrlimit(Resource::Stack, limit)?));
        }
    }
    let outcome = process::run(&mut command, job.stdin.as_bytes(), LIMIT)?;
    kill_leftovers();
    Ok(outcome)
}

/// Nothing but process 1 is to live between two runs.
fn kill_leftovers() {
    // To every process but this one (kill(2)).
    let _ = nix::sys::signal::kill(Pid::from_raw(-1), Signal::SIGKILL);
}
