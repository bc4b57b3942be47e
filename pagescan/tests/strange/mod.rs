//! Processes with memory that is not as others' is.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

/// The program, compiled once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/strange.c");
        let program =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("strange-{}", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-o"]).arg(&program).arg(source);
        assert!(compiler.status().expect("a C compiler").success());
        program
    })
}

/// A process that waits until it is dropped.
pub struct Strange(pub Child);

impl Strange {
    /// With memory of these kinds.
    pub fn new(kinds: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(kinds).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut line).expect("it says something");
        assert_eq!(line, "ready\n");
        Self(child)
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// Ends it now.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Strange {
    fn drop(&mut self) {
        // Children see the end of their input, too.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

pub fn pagescan(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pagescan")).current_dir(dir).args(arguments).output().unwrap()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
