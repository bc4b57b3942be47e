//! `elfscan deps`.

mod json;
mod text;
mod tree;

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use elfscan::deps::{self, Cpu, Environment, Options};
use statify_room::Root;

use crate::{Failure, Verdict};

/// The tree that ld.so would load
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The program or library
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only a list, in the order of loading
    #[arg(long)]
    list: bool,
    /// Name every symbol version, not only how far they reach
    #[arg(long, conflicts_with = "list")]
    versions: bool,
    /// As JSON
    #[arg(long, conflicts_with_all = ["list", "versions"])]
    json: bool,
    /// The directory that is the root for FILE, its libraries and the configuration
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The CPU by whose abilities subdirectories are chosen, such as x86-64-v3 [default: this one]
    #[arg(long, value_name = "NAME")]
    cpu: Option<String>,
    /// Directories as LD_LIBRARY_PATH has them, which is not looked at itself
    #[arg(long, value_name = "DIRS")]
    library_path: Option<std::ffi::OsString>,
    /// Another loader than FILE names
    #[arg(long, value_name = "PATH")]
    loader: Option<PathBuf>,
    /// As if FILE had privileges that its caller lacks [default: if it has any]
    #[arg(long)]
    secure: bool,
}

/// Finds out and shows.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let root = match &arguments.root {
        Some(directory) => Root::open(directory)?,
        None => Root::machine(),
    };
    let library_path = arguments.library_path.clone().map(OsStringExt::into_vec);
    let environment = Environment::new(Options {
        root,
        cpu: arguments.cpu.clone().map_or(Cpu::This, Cpu::Named),
        library_path,
        loader: arguments.loader.clone(),
        secure: arguments.secure.then_some(true),
    });
    let closure = deps::closure(&environment, &arguments.file)?;
    if arguments.json {
        statify_command_line::print_json(&json::describe(&environment, &closure))?;
    } else if arguments.list {
        statify_command_line::print(&text::list(&closure))?;
    } else {
        let tree = tree::draw(&closure, arguments.versions);
        statify_command_line::print(&format!("{tree}{}", text::remarks(&closure)))?;
    }
    let is_there = closure.interpreter.library.is_some();
    Ok(if closure.is_complete() && is_there { Verdict::Good } else { Verdict::Bad })
}
