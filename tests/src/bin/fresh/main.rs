//! `fresh`: the two commands of README.md on a machine that has nothing else: a clean Debian with gcc, Python and git,
//! this machine's Rust, and a fresh clone of what is committed here; as an ordinary user, and as root.
//!
//! The system is a tree made by mmdebstrap and entered by pivot_root(2) in namespaces of its own, with which everything
//! ends that was mounted or started. Nothing can be downloaded by cargo there: it gets the crates of this machine,
//! read-only.

mod room;
mod rust;
mod said;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::room::Room;
use crate::rust::Rust;

/// Do the two commands of README.md in a clean system.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    /// Where the system is kept for the next time [default: a directory that goes away]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Run the tests as these
    #[arg(long = "as", value_name = "WHO", value_delimiter = ',', default_values = ["user", "root"])]
    callers: Vec<Caller>,
    /// Leave out the first command, which builds in release mode
    #[arg(long)]
    tests_only: bool,
    /// Words for the tests, such as a part of a name, or `--include-ignored` for the slow tier, too
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Who runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Caller {
    /// An ordinary user.
    User,
    /// Root.
    Root,
}

impl Caller {
    /// User and group id.
    fn id(self) -> u32 {
        match self {
            Caller::User => 1000,
            Caller::Root => 0,
        }
    }

    /// In the system.
    fn home(self) -> &'static str {
        match self {
            Caller::User => "/home/user",
            Caller::Root => "/root",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Caller::User => "user",
            Caller::Root => "root",
        }
    }
}

#[derive(Subcommand)]
enum Part {
    /// In namespaces of its own: run a command in the system
    #[command(hide = true)]
    Inside {
        #[command(flatten)]
        room: Room,
        #[arg(last = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.part {
        Some(Part::Inside { room, command }) => room.inside(command),
        None => check(&cli).map(|well| if well { 0 } else { 1 }),
    };
    result.map(ExitCode::from).unwrap_or_else(|error| {
        eprintln!("fresh: {error:#}");
        ExitCode::from(2)
    })
}

/// Where the clone lies in the system.
const CLONE: &str = "/srv/statify";

/// Whether everything went well.
fn check(cli: &Cli) -> Result<bool> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root, to make a system and to enter it");
    let temporary = match &cli.dir {
        Some(_) => None,
        // Several GB, which /tmp may not have.
        None => Some(tempfile::Builder::new().prefix("fresh-").tempdir_in(target()?)?),
    };
    let dir = cli.dir.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path));
    let tree = tree::make(&std::path::absolute(dir.context("no directory")?)?)?;
    let clone = tree.join(CLONE.trim_start_matches('/'));
    tree::clone(&repository()?, &clone)?;
    let rust = Rust::of_this_machine(&clone)?;
    let mut well = true;
    for (number, &caller) in cli.callers.iter().enumerate() {
        tree::give(&clone, caller.id())?;
        let room = Room::new(&tree, &rust, caller);
        if number == 0 && !cli.tests_only {
            first_command(&room)?;
        }
        well &= second_command(&room, caller, &cli.arguments)?;
    }
    Ok(well)
}

fn first_command(room: &Room) -> Result<()> {
    let since = Instant::now();
    let out = "standalone-git";
    let words = ["cargo", "run", "--release", "--bin", "statify", "--", "/usr/bin/git", "-o", out];
    let (status, _) = room.run(&words)?;
    ensure!(status.success(), "{}: {status}", words.join(" "));
    let (status, said) = room.run(&["./standalone-git", "--version"])?;
    ensure!(status.success() && said.contains("git version"), "./{out} --version: {status}");
    println!("the first command took {} s", since.elapsed().as_secs());
    Ok(())
}

/// Whether the tests passed, those that did not run being listed.
fn second_command(room: &Room, caller: Caller, arguments: &[String]) -> Result<bool> {
    let since = Instant::now();
    // Without the option the first suite that fails would be the last.
    let mut words = vec!["cargo", "test", "--workspace", "--no-fail-fast"];
    words.push("--");
    words.extend(arguments.iter().map(String::as_str));
    let (status, said) = room.run(&words)?;
    let suites = said::parse(&said);
    said::print_table(&suites);
    let mut problems: Vec<_> = suites.iter().flat_map(said::Suite::problems).collect();
    if !status.success() {
        problems.push(format!("{}: {status}", words.join(" ")));
    }
    if suites.is_empty() {
        problems.push("no suite was run".into());
    }
    for problem in &problems {
        println!("as {}: {problem}", caller.name());
    }
    let answer = if problems.is_empty() { "well" } else { "NOT WELL" };
    println!("as {}: {answer}, in {} s", caller.name(), since.elapsed().as_secs());
    Ok(problems.is_empty())
}

/// The repository of which this program is a part.
fn repository() -> Result<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    Ok(dir.to_owned())
}

fn target() -> Result<PathBuf> {
    let dir = repository()?.join("target");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}
