//! `cargo xtask`: what is done with the whole workspace, and is more than a build.
//!
//! Each tool writes its own man pages and completions, from the definition of its command line; here they are only
//! put where they belong.

mod build;
mod deb;
mod install;
mod starter;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::tree::Tree;

/// Install statify, elfscan, rootfs-tools, chunkstore and pagescan, or make a package of them
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
    /// How cargo builds the tools
    #[arg(long, value_name = "NAME", default_value = "dist", global = true)]
    profile: String,
}

#[derive(Subcommand)]
enum Task {
    /// Build the tools, and install them with their man pages and completions
    Install {
        /// The directory that stands for the root of the system that they are for (as DESTDIR)
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
        /// Where they are in that system
        #[arg(long, value_name = "DIR", default_value = "/usr/local")]
        prefix: PathBuf,
    },
    /// Make the starter and the agent for i386 anew, which are in starter/blob
    Starter {
        /// A compiler with a `core` for i686-unknown-linux-gnu: rustup's with that target, Debian's with libstd-rust-dev:i386
        #[arg(long, value_name = "PROGRAM")]
        rustc: PathBuf,
        /// Only see whether what is there is what this compiler makes
        #[arg(long)]
        check: bool,
    },
    /// Build the tools, and make a Debian package of them, which has their documentation as well
    Deb {
        /// The directory that the package is written to [default: target/debian]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let Cli { task, profile } = Cli::parse();
    let done = match task {
        Task::Install { root, prefix } => install::install(&root, &prefix, &profile),
        Task::Starter { rustc, check } => starter::make(&rustc, check),
        Task::Deb { out } => {
            deb::make(&out.unwrap_or_else(|| top().join("target/debian")), &profile)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's top.
fn top() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The tools with their man pages and completions, as below a prefix.
fn tools(profile: &str) -> Result<Tree> {
    let tree = Tree::new()?;
    for tool in build::tools(profile)? {
        let name = tool.file_name().context("cargo has built a file without a name")?;
        tree.add_program(&tool, &Path::new("bin").join(name))?;
        build::write_texts(&tool, tree.path())?;
    }
    Ok(tree)
}
