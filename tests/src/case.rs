//! One test's directory, with what most tests do in it: build a small program, convert it, run it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Arguments;
use nix::sys::prctl;

use crate::builder;
use crate::compare::said;
use crate::convert::{SYSTEM_PATH, Statify};
use crate::process::{self, End, Limits, Outcome};
use crate::processes;
use crate::report::{Done, Suite};
use crate::scratch::Scratch;
use crate::toolchain::Toolchain;

/// Time given to one run of a small program.
const LIMIT: Limits = Limits::seconds(30);

/// What a test works with.
#[derive(Debug, Clone)]
pub struct Case {
    /// The statify under test.
    pub statify: Statify,
    /// The test's own directory.
    pub dir: PathBuf,
    /// Where the sources of small programs lie.
    pub sources: &'static Path,
    /// What builds them.
    pub toolchain: Toolchain,
}

impl Case {
    /// Builds `source`.c with `flags` under the name `name`.
    pub fn build(&self, source: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
        let output = self.dir.join(name);
        self.compile(&self.sources.join(source).with_extension("c"), &output, flags)?;
        Ok(output)
    }

    /// Builds a shared library from C text.
    pub fn library(&self, file: &str, text: &str, flags: &[&str]) -> Result<PathBuf> {
        let output = self.dir.join(file);
        let source = output.with_extension("c");
        fs::write(&source, text)?;
        self.compile(&source, &output, &[&["-shared", "-fPIC", "-O1"], flags].concat())?;
        Ok(output)
    }

    fn compile(&self, source: &Path, output: &Path, flags: &[&str]) -> Result<()> {
        let own = self.toolchain.flags(&self.dir)?;
        let flags = flags.iter().copied().chain(own.iter().map(String::as_str));
        builder::compile_by(self.toolchain.compiler(false)?, &[source], output, flags)
    }

    /// Flags that link a program with the libraries `files` of the test's directory.
    pub fn link<S: AsRef<str>>(&self, files: &[S]) -> Vec<String> {
        let dir = self.dir.display();
        let mut flags = vec![format!("-L{dir}"), format!("-Wl,--no-as-needed,-rpath,{dir}")];
        flags.extend(files.iter().map(|file| format!("-l:{}", file.as_ref())));
        flags
    }

    /// Converts `program` with `flags` into a file beside it, `.conv` added to its name.
    pub fn convert(&self, program: &Path, flags: &[&str]) -> Result<PathBuf> {
        let mut name = program.file_name().context("a program without a name")?.to_owned();
        name.push(".conv");
        let out = self.dir.join(name);
        self.statify.convert(program, &out, flags)?;
        Ok(out)
    }

    /// A command that runs `program` in a clean environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.dir).env_clear().env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
        command
    }

    /// Runs `program` without arguments.
    pub fn run(&self, program: &Path) -> Result<Outcome> {
        run(&mut self.command(program))
    }

    /// Runs `program`, which must end well, and returns what it wrote to standard output.
    pub fn output(&self, program: &Path) -> Result<String> {
        output(&mut self.command(program))
    }
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> Result<Outcome> {
    process::run(command, b"", LIMIT)
        .with_context(|| format!("running {:?}", command.get_program()))
}

/// Runs `command`, which must end well, and returns what it wrote to standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let outcome = run(command)?;
    let program = command.get_program();
    ensure!(outcome.end == End::Exit(0), "{program:?}: {}\n{}", outcome.end, said(&outcome));
    Ok(outcome.stdout_text())
}

/// Tests that each get a [`Case`], suite by suite.
pub struct Cases {
    list: Suite,
    /// None if tests are only listed.
    statify: Option<Statify>,
    scratch: Arc<Scratch>,
    suite: &'static str,
    sources: &'static Path,
}

impl Cases {
    /// Prepares a test run.
    pub fn new(arguments: &Arguments) -> Result<Self> {
        // Orphans come to this process, so that `run` finds them.
        prctl::set_child_subreaper(true)?;
        let scratch = Arc::new(Scratch::new()?);
        let statify = Statify::for_run(arguments.list, scratch.path())?;
        let (suite, sources) = ("", Path::new(""));
        Ok(Cases { list: Suite::new()?, statify, scratch, suite, sources })
    }

    /// From here on tests are of this suite, whose small programs lie in `sources`.
    pub fn begin(&mut self, suite: &'static str, sources: &'static Path) {
        (self.suite, self.sources) = (suite, sources);
    }

    /// Adds a test.
    pub fn add(&mut self, name: &str, test: impl FnOnce(&Case) -> Result<Done> + Send + 'static) {
        self.needing::<&str>(&[]).add(name, test);
    }

    /// Adds a test of programs that are built with `toolchain`, whose suffix its name gets.
    pub fn add_for(
        &mut self,
        toolchain: Toolchain,
        name: &str,
        test: impl FnOnce(&Case) -> Result<Done> + Send + 'static,
    ) {
        self.needing::<&str>(&[]).add_for(toolchain, name, test);
    }

    /// Adds a test that can be made on every machine.
    pub fn check(&mut self, name: &str, test: impl FnOnce(&Case) -> Result<()> + Send + 'static) {
        self.needing::<&str>(&[]).check(name, test);
    }

    /// Adds a test that can be made on every machine, of programs of 64 bits and of 32.
    pub fn check_glibc(
        &mut self,
        name: &str,
        test: impl Fn(&Case) -> Result<()> + Clone + Send + 'static,
    ) {
        self.needing::<&str>(&[]).check_glibc(name, test);
    }

    /// For adding tests that need these of the machine, by the names of [`machine`](crate::machine). They are begun
    /// only where nothing is lacking.
    pub fn needing<S: AsRef<str>>(&mut self, needs: &[S]) -> Needing<'_> {
        Needing { cases: self, needs: needs.iter().map(|need| need.as_ref().to_owned()).collect() }
    }

    /// Leaves out tests whose names are not wanted, and says how many are left.
    pub fn keep(&mut self, is_wanted: impl Fn(&str) -> bool) -> usize {
        self.list.keep(is_wanted)
    }

    /// Runs the tests that the command line selects. Fails, too, if a process that one of them started is left.
    pub fn run(self, arguments: &Arguments) -> ExitCode {
        let code = self.list.run(arguments);
        let left = processes::children();
        if left.is_empty() {
            return code;
        }
        eprintln!("processes left behind: {left:?}");
        ExitCode::FAILURE
    }
}

/// Adds tests with the same needs.
pub struct Needing<'a> {
    cases: &'a mut Cases,
    needs: Vec<String>,
}

impl Needing<'_> {
    /// Adds a test.
    pub fn add(&mut self, name: &str, test: impl FnOnce(&Case) -> Result<Done> + Send + 'static) {
        self.add_for(Toolchain::Machine, name, test);
    }

    /// Adds a test of programs that are built with `toolchain`, whose suffix its name gets.
    pub fn add_for(
        &mut self,
        toolchain: Toolchain,
        name: &str,
        test: impl FnOnce(&Case) -> Result<Done> + Send + 'static,
    ) {
        let cases = &mut *self.cases;
        let (statify, scratch, sources) =
            (cases.statify.clone(), cases.scratch.clone(), cases.sources);
        let name = format!("{}/{name}{}", cases.suite, toolchain.suffix());
        let directory = name.clone();
        cases.list.add(name, self.needs.clone(), move || {
            let statify = statify.context("only listing")?;
            if let Some(reason) = toolchain.missing()? {
                return Done::not_here(reason);
            }
            let dir = scratch.dir(&directory)?;
            let case = Case { statify, dir, sources, toolchain };
            let done = test(&case);
            fs::remove_dir_all(&case.dir)?;
            done
        });
    }

    /// Adds a test that has no more to find out about the machine.
    pub fn check(&mut self, name: &str, test: impl FnOnce(&Case) -> Result<()> + Send + 'static) {
        self.add(name, |case| test(case).map(|()| Done::Passed));
    }

    /// Adds a test that has no more to find out about the machine, of programs of 64 bits and of 32.
    pub fn check_glibc(
        &mut self,
        name: &str,
        test: impl Fn(&Case) -> Result<()> + Clone + Send + 'static,
    ) {
        for &toolchain in Toolchain::GLIBC {
            let test = test.clone();
            self.add_for(toolchain, name, move |case| test(case).map(|()| Done::Passed));
        }
    }
}
