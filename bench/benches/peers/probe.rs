//! A program that says of itself what can be seen from inside, and what can be seen of it from outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;
use serde::Serialize;
use statify_bench::measure::interleaved;
use statify_bench::spawn::Launch;

const SOURCE: &str = include_str!("probe.c");
/// A library of the host.
const LIBRARY: &str = "int answer(void) { return 42; }\n";
/// The name by which the probe is called, which is not its file's.
const CALLED: &str = "called-so";
/// What runs the probe in the root `$0`.
const ALONE: &str = "exec chroot \"$0\" /program";
const WITH_PROC: &str = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /program";
/// Starts whose addresses are compared.
const STARTS: usize = 3;
/// Starts that are timed.
const ROUNDS: u32 = 100;

/// The probe, compiled.
pub struct Probe {
    /// Its source.
    pub source: PathBuf,
    /// The dynamic program.
    pub program: PathBuf,
    library: PathBuf,
    dir: PathBuf,
}

/// What was seen.
#[derive(Serialize)]
pub struct Answers {
    /// Bytes of the one file.
    size: u64,
    /// The median of its starts, in milliseconds.
    start_ms: f64,
    /// Whether it runs where there is nothing but the file and an empty /tmp.
    empty_root: &'static str,
    /// Where the code of the C library is while it runs.
    libraries: &'static str,
    /// No two of three starts have the program at the same address.
    program_random: bool,
    /// The same of the C library.
    library_random: bool,
    /// argv[0] is as the caller gave it.
    argv0: bool,
    /// /proc/self/exe is the file.
    exe: bool,
    /// It is the process that was started.
    pid: bool,
    /// The caller sees which signal ended it.
    signal: bool,
    /// dlopen finds a library of the host.
    dlopen: bool,
}

impl Answers {
    /// What [`Answers::cells`] are.
    pub const HEADINGS: [&str; 11] = [
        "file, MB",
        "start, ms",
        "runs in an empty root",
        "its libraries are",
        "program's address random",
        "libraries' addresses random",
        "argv[0]",
        "/proc/self/exe",
        "pid",
        "ended by a signal",
        "dlopen of host libraries",
    ];

    /// For the table.
    pub fn cells(&self) -> [String; 11] {
        let word = |value| if value { "yes" } else { "no" }.to_owned();
        [
            format!("{:.2}", self.size as f64 / 1e6),
            format!("{:.2}", self.start_ms),
            self.empty_root.to_owned(),
            self.libraries.to_owned(),
            word(self.program_random),
            word(self.library_random),
            word(self.argv0),
            word(self.exe),
            word(self.pid),
            word(self.signal),
            word(self.dlopen),
        ]
    }
}

impl Probe {
    /// Compiles it in `dir`.
    pub fn new(dir: &Path) -> Result<Self> {
        let [source, library_source] = ["probe.c", "library.c"].map(|name| dir.join(name));
        fs::write(&source, SOURCE)?;
        fs::write(&library_source, LIBRARY)?;
        let [program, library] = ["probe", "libanswer.so"].map(|name| dir.join(name));
        compile(&["-O2", "-Wl,-z,now"], &source, &program)?;
        compile(&["-shared", "-fPIC"], &library_source, &library)?;
        Ok(Self { source, program, library, dir: dir.to_owned() })
    }

    /// Runs what was made of it.
    pub fn ask(&self, file: &Path) -> Result<Answers> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?.lines().count().to_string();
        let starts: Vec<_> = (0..STARTS).map(|_| self.start(file)).collect::<Result<_>>()?;
        let random = |name: &str| {
            let seen = starts.iter().filter_map(|(_, said)| said.get(name));
            seen.collect::<std::collections::BTreeSet<_>>().len() == STARTS
        };
        let (pid, said) = starts.first().context("no start")?;
        let is = |name: &str, value: &str| said.get(name).is_some_and(|said| said == value);
        let died = Command::new(file).arg("die").stderr(Stdio::null()).status()?;
        let times = interleaved(&[Launch::new(file, &[])?], ROUNDS)?;
        let time = times.first().context("no time")?;
        Ok(Answers {
            size: fs::metadata(file)?.len(),
            start_ms: time.median / 1e3,
            empty_root: self.empty_root(file)?,
            libraries: match said.get("from").map(Path::new) {
                _ if !is("mounts", &mounts) => "mounted",
                Some(path) if path == file => "in the file",
                Some(path) if path.is_absolute() && path.is_file() => "the host's",
                Some(path) if path.is_absolute() => "extracted",
                Some(_) => "copied into memory",
                None => "unknown",
            },
            program_random: random("program"),
            library_random: random("library"),
            argv0: is("argv0", CALLED),
            exe: is("exe", &file.display().to_string()),
            pid: is("pid", &pid.to_string()),
            signal: died.signal() == Some(nix::libc::SIGTERM),
            dlopen: is("dlopen", "1"),
        })
    }

    /// One start: its process, and what it says.
    fn start(&self, file: &Path) -> Result<(u32, BTreeMap<String, String>)> {
        let mut command = Command::new(file);
        command.arg0(CALLED).arg(&self.library).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn()?;
        let pid = child.id();
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "does not run: {}", output.status);
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok((pid, lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }

    /// Whether it runs where there is nothing else, but an empty /tmp, and perhaps /proc.
    fn empty_root(&self, file: &Path) -> Result<&'static str> {
        if !Uid::effective().is_root() {
            return Ok("not tried: not root");
        }
        let root = tempfile::tempdir_in(&self.dir)?;
        for name in ["tmp", "proc"] {
            fs::create_dir(root.path().join(name))?;
        }
        fs::copy(file, root.path().join("program"))?;
        for (script, answer) in [(ALONE, "yes"), (WITH_PROC, "with /proc")] {
            // The mounts end with the namespace.
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script]).arg(root.path()).env_clear();
            let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
            let output = output.context("unshare")?;
            if output.status.success() && output.stdout.starts_with(b"argv0 ") {
                return Ok(answer);
            }
        }
        Ok("no")
    }
}

fn compile(options: &[&str], source: &Path, out: &Path) -> Result<()> {
    let status = Command::new("cc").args(options).arg("-o").arg(out).arg(source).status();
    ensure!(status.context("cc")?.success(), "{} does not compile", source.display());
    Ok(())
}
