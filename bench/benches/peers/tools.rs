//! The tools, and how each makes a file of a program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use statify_bench::convert;

/// How a tool makes one file of a program.
#[derive(Clone, Copy)]
enum Kind {
    /// The dynamic program as it is.
    Original,
    Statify,
    /// Compiled anew from its source.
    Linked,
    Staticx,
    Dlfreeze,
}

/// A tool.
pub struct Tool {
    /// For people.
    pub name: &'static str,
    kind: Kind,
    /// The program; nothing if it is not installed, or none is needed.
    program: Option<PathBuf>,
    options: &'static [&'static str],
}

/// All of them, whether they are installed or not.
pub fn tools(staticx: Option<&Path>, dlfreeze: Option<&Path>) -> Result<Vec<Tool>> {
    let find = |given: Option<&Path>, name| given.map(Path::to_owned).or_else(|| installed(name));
    let tool = |name, kind, program, options| Tool { name, kind, program, options };
    let (staticx, dlfreeze) = (find(staticx, "staticx"), find(dlfreeze, "dlfreeze"));
    Ok(vec![
        tool("original", Kind::Original, None, &[]),
        tool("statify", Kind::Statify, Some(convert::statify_binary()?), &[]),
        tool("glibc -static", Kind::Linked, None, &["-static"]),
        tool("glibc -static-pie", Kind::Linked, None, &["-static-pie"]),
        tool("staticx", Kind::Staticx, staticx.clone(), &[]),
        tool("staticx --no-compress", Kind::Staticx, staticx, &["--no-compress"]),
        tool("dlfreeze", Kind::Dlfreeze, dlfreeze.clone(), &[]),
        tool("dlfreeze -d", Kind::Dlfreeze, dlfreeze, &["-d"]),
    ])
}

impl Tool {
    /// Makes a file of `program` in `dir`; else why it cannot be had.
    pub fn make(&self, program: &Path, dir: &Path) -> Result<PathBuf, String> {
        let out = dir.join(self.name.replace(' ', ""));
        let tool = || self.program.as_deref().ok_or_else(|| "not installed".to_owned());
        let mut command = match self.kind {
            Kind::Original => return Ok(program.to_owned()),
            Kind::Linked => return Err("made of sources".into()),
            Kind::Statify => {
                let converted = convert::convert(tool()?, program, &out, self.options);
                return converted.map(|_| out).map_err(|error| format!("{error:#}"));
            }
            Kind::Staticx => {
                let mut command = Command::new(tool()?);
                command.args(self.options).arg(program).arg(&out);
                command
            }
            Kind::Dlfreeze => {
                let mut command = Command::new(tool()?);
                // Or it takes libraries of another ABI where several are installed.
                command.env("LD_LIBRARY_PATH", libraries()?);
                command.args(self.options).arg("-o").arg(&out).arg("--").arg(program);
                command
            }
        };
        run(&mut command).map(|()| out)
    }

    /// The same, where it may also be made of the C source.
    pub fn make_of_source(
        &self,
        source: &Path,
        program: &Path,
        dir: &Path,
    ) -> Result<PathBuf, String> {
        if !self.needs_source() {
            return self.make(program, dir);
        }
        let out = dir.join("linked");
        let mut command = Command::new("cc");
        command.args(["-O2", "-w"]).args(self.options).arg("-o").arg(&out).arg(source);
        run(&mut command)?;
        Ok(out)
    }

    /// Whether it makes nothing of an installed program.
    pub fn needs_source(&self) -> bool {
        matches!(self.kind, Kind::Linked)
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    Err(format!("{} fails: {last}", command.get_program().display()))
}

/// The directory of the C library that this machine's compiler links programs with.
fn libraries() -> Result<PathBuf, String> {
    let output = Command::new("cc").arg("-print-file-name=libc.so.6").output();
    let output = output.map_err(|error| format!("cc: {error}"))?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let path = std::fs::canonicalize(&path).map_err(|error| format!("libc.so.6: {error}"))?;
    path.parent().map(Path::to_owned).ok_or_else(|| "libc.so.6 has no directory".into())
}

/// A program by its name: of the system rather than of a directory of one's own.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = [PathBuf::from("/usr/bin")].into_iter().chain(std::env::split_paths(&path));
    let mut paths = directories.map(|directory| directory.join(name));
    paths.find(|path| path.is_file()).and_then(|path| std::fs::canonicalize(path).ok())
}

/// Of the tools that tell it.
pub fn versions(tools: &[Tool]) -> String {
    let told = tools.iter().filter(|tool| tool.options.is_empty()).filter_map(|tool| {
        let output = Command::new(tool.program.as_ref()?).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success().then(|| text.lines().next().map(str::to_owned))?
    });
    told.collect::<Vec<_>>().join(", ")
}
