//! `arm64`: a command in the guest for AArch64 (`TEST_ARM64`), with files to work with and files brought back.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use statify_tests::arm64::{Guest, KERNEL};
use statify_tests::scratch::Scratch;

/// Run a command in an emulated machine for AArch64.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The CPU, by QEMU's names: cortex-a53, cortex-a72, neoverse-n1, max
    #[arg(long, default_value = "max")]
    cpu: String,
    /// The kernel: `kernel`, or `kernel-16k` with pages of 16 KiB
    #[arg(long, default_value = KERNEL)]
    kernel: String,
    /// A directory whose files are in /files there [default: none]
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Where the files go that the command leaves in /out there [default: nowhere]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How long the command may run
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    time: u64,
    /// What bash there is given
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn main() -> ExitCode {
    run(&Cli::parse()).unwrap_or_else(|error| {
        eprintln!("arm64: {error:#}");
        ExitCode::from(125)
    })
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let mut guest = Guest::locate().context("TEST_ARM64 does not name what .ci/arm64 makes")?;
    (guest.cpu, guest.time) = (cli.cpu.clone(), Duration::from_secs(cli.time));
    guest.kernel.clone_from(&cli.kernel);
    let scratch = Scratch::new()?;
    let files = match &cli.files {
        Some(files) => files.clone(),
        None => scratch.dir("none")?,
    };
    let out = cli.out.clone().unwrap_or_else(|| scratch.path().join("out"));
    let answer = guest.run(&cli.command.join(" "), &files, &out, &scratch.dir("machine")?)?;
    print!("{}", answer.stdout);
    eprint!("{}", answer.stderr);
    let (boot, ran) = (answer.boot.as_secs_f64(), answer.ran.as_secs_f64());
    eprintln!("arm64: booted in {boot:.1} s, ran for {ran:.1} s");
    Ok(ExitCode::from(u8::try_from(answer.status).unwrap_or(u8::MAX)))
}
