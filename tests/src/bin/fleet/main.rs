//! `fleet`: images in a real distributed object store of three nodes, with builders at the same time, and a node killed in the
//! middle of a cut and of a copy from a server. Nothing may be lost, and nothing wrong.
//!
//! The object store is Garage (`cargo install garage --locked`), which is a program for this trial and linked to nothing here. All
//! that is started listens on the loopback interface and ends with the trial.

mod cluster;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use statify_tests::machine::find_program;

/// Try a chunk store in an object store of three nodes, of which one is killed.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// The program of Garage: `cargo install garage --locked` makes it, in some 20 minutes
    #[arg(long, value_name = "FILE")]
    garage: PathBuf,
    /// The chunkstore to try [default: the one that lies beside this program]
    #[arg(long, value_name = "FILE")]
    chunkstore: Option<PathBuf>,
    /// How large each image is, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 192, value_parser = clap::value_parser!(u64).range(64..=65536))]
    size: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let beside = || std::env::current_exe().ok().map(|path| path.with_file_name("chunkstore"));
    let chunkstore = cli.chunkstore.clone().or_else(beside).unwrap_or_default();
    let mut missing: Vec<String> = Vec::new();
    for path in [&cli.garage, &chunkstore] {
        if !path.is_file() {
            missing.push(path.display().to_string());
        }
    }
    if find_program("nbdcopy").is_none() {
        missing.push("nbdcopy (Debian's libnbd-bin)".into());
    }
    if !missing.is_empty() {
        eprintln!("fleet: not there: {}", missing.join(", "));
        return ExitCode::from(2);
    }
    match trial::run(&cli.garage, &chunkstore, cli.size << 20) {
        Ok(()) => {
            println!("nothing lost, nothing wrong");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}
