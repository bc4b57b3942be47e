//! How long programs take to start and end, converted ones over their originals: one that says hello, and one with a hundred
//! libraries. Both are built, run and measured in the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use statify_tests::builder::{compile_by, compiler};
use statify_tests::convert::Statify;
use statify_tests::guest;
use statify_tests::process::{self, End, Limits};
use statify_tests::toolchain::Toolchain;

const LIBRARIES: usize = 100;
/// Starts of each program.
const ROUNDS: [(&str, &str); 2] = [("hello", "200"), ("libraries", "50")];
/// Of one measurement, on a busy emulated machine.
const PATIENCE: u64 = 1800;

/// Medians of the converted program's times over those of the original.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// Of the program that says hello.
    pub hello: f64,
    /// Of the one with a hundred libraries.
    pub libraries: f64,
}

/// Builds and measures them in a directory of `scratch`.
pub fn measure(scratch: &Path, statify: &Statify, toolchain: Toolchain) -> Result<Start> {
    let dir = scratch.join("start");
    fs::create_dir(&dir)?;
    for (name, text) in [
        ("library.c", include_str!("programs/library.c")),
        ("main.c", include_str!("programs/main.c")),
        ("hello.c", include_str!("programs/hello.c")),
        ("rounds.c", include_str!("programs/rounds.c")),
    ] {
        fs::write(dir.join(name), text)?;
    }
    let build = |source: &str, name: &str, flags: &[String]| -> Result<PathBuf> {
        let output = dir.join(name);
        let flags = flags.iter().chain(&toolchain.flags(&dir)?).cloned().collect::<Vec<_>>();
        compile_by(compiler(false), &[dir.join(source)], &output, flags)?;
        Ok(output)
    };
    let rounds = build("rounds.c", "rounds", &["-O1".into(), "-std=gnu99".into()])?;
    build("hello.c", "hello", &["-O2".into()])?;
    let mut link = vec![
        "-O1".to_owned(),
        format!("-Wl,--no-as-needed,-rpath,{}", dir.display()),
        format!("-L{}", dir.display()),
    ];
    for number in 0..LIBRARIES {
        let next = (number + 1) % LIBRARIES;
        let flags = ["-shared", "-fPIC", "-O1", "-w", &format!("-DLIBRARY={number}")];
        let flags = flags.iter().map(|flag| (*flag).to_owned()).chain([format!("-DNEXT={next}")]);
        build("library.c", &format!("lib{number}.so"), &flags.collect::<Vec<_>>())?;
        link.push(format!("-l{number}"));
    }
    build("main.c", "libraries", &link)?;
    let ratio = |(name, count): (&str, &str)| -> Result<f64> {
        let (original, converted) = (dir.join(name), dir.join(format!("{name}-converted")));
        statify.convert::<&str>(&original, &converted, &[])?;
        let mut command = Command::new(&rounds);
        command.arg(count).arg(&original).arg(&converted);
        guest::place(&mut command, &dir)?;
        let outcome = process::run(&mut command, b"", Limits::seconds(PATIENCE))?;
        ensure!(outcome.end == End::Exit(0), "{name}: {}", outcome.end);
        let said = outcome.stdout_text();
        let mut times = said.lines().map(str::parse::<f64>);
        let mut next = || times.next().context("no time")?.context("a time");
        let (original, converted) = (next()?, next()?);
        Ok(converted / original)
    };
    Ok(Start { hello: ratio(ROUNDS[0])?, libraries: ratio(ROUNDS[1])? })
}
