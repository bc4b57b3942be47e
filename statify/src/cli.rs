//! The command line: the one definition that help, man page and completions come from.

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, ValueEnum};
use statify::plugins::Request;
use statify_command_line::{Generated, ShapeArguments};
use statify_room::Root;

const EXAMPLES: &str = "\
Examples:
  statify curl -o curl-standalone
      Convert the curl that PATH finds.
  statify /usr/bin/git -o git --verify -- --version
      Convert, then run both with --version and compare.
  statify --root /srv/bullseye /usr/bin/git -o git
      Convert the git of another system, with its loader and libraries.
  statify python3 -o python --trace --host-libs deny -- -c 'import ssl, json'
      Run it once, embed the modules that this opens, and take nothing from the host.
  statify ./server -o server --fixed --force
      Addresses chosen now: less work at each start, no address randomisation.
  statify --report ./server
      Nothing is written; what a report of a fault needs is printed.

Exit status: 0 converted; 1 could not convert, with a sentence on stderr; 2 wrong usage.";

/// Turns a dynamic executable into one self-contained file.
///
/// OUT holds the program, its libraries and the loader as they stand after relocation. It runs
/// with none of them installed; library, stack and heap addresses, the stack protector's canary
/// and the pointer guard are new at every start.
#[derive(Debug, Parser)]
#[command(name = "statify", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(group = clap::ArgGroup::new("runs").args(["verify", "trace"]).multiple(true))]
pub struct Cli {
    /// The program; without a slash it is found through PATH
    #[arg(value_name = "PROG", required_unless_present_any = ["generate", "generate_into", "with"])]
    pub program: Option<PathBuf>,

    /// Where to write the self-contained file
    #[arg(short, long, value_name = "OUT", required_unless_present_any = ["generate", "generate_into", "report"])]
    pub output: Option<PathBuf>,

    /// Take PROG, its loader and its libraries from the root file system in DIR: PROG is a path
    /// inside it, and --verify runs both there. Nothing outside is seen, nothing inside changed
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,

    /// Replace OUT if it exists
    #[arg(long)]
    pub force: bool,

    /// What OUT is to be like.
    #[command(flatten)]
    pub shape: ShapeArguments,

    /// Let OUT map unmodified pages of its libraries from DIR, where they are in memory once for all
    /// outputs that do; they are put there. Only root can have a pool. OUT runs without DIR as well,
    /// and has all its pages itself; one with privileges never looks there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["root", "report"])]
    pub pool: Option<PathBuf>,

    /// Which CPUs OUT has to run on: any that PROG runs on, each at its best; or native, those with
    /// all that this machine's CPU has, others being told so at start
    #[arg(long, value_name = "CPUS", default_value = "any")]
    pub cpu: CpuChoice,

    /// Run PROG and OUT with ARGS and empty stdin before OUT gets its name; fail if exit status,
    /// stdout or stderr differ
    #[arg(long)]
    pub verify: bool,

    /// If PROG is set-user-ID or set-group-ID or has file capabilities: give OUT the same, and PROG's
    /// owner; without this option such programs are refused
    #[arg(long)]
    pub preserve_privileges: bool,
    /// Embed libraries that the program opens at run time, and what they need: paths, or names as
    /// dlopen(3) finds them
    #[arg(long, value_name = "LIB", num_args = 1..)]
    pub with: Vec<PathBuf>,

    /// Run PROG with ARGS, and embed the libraries that it opens
    #[arg(long)]
    pub trace: bool,

    /// Whether the program may open libraries of the host that are not embedded
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub host_libs: HostLibs,

    /// How long the program's loader may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    /// Print what was embedded, sizes, counts of fix-ups and timings as JSON
    #[arg(long)]
    pub json: bool,

    /// Print what was embedded and how long it took
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Print the man page or a shell's completions
    #[arg(long, value_name = "WHAT", exclusive = true)]
    pub generate: Option<Generated>,

    /// Print nothing: write the man page and all completions where they belong below a prefix such as
    /// /usr/local
    #[arg(long, value_name = "PREFIX", exclusive = true)]
    pub generate_into: Option<PathBuf>,

    /// Print what a report of a fault needs: version, kernel, C library, CPU, the program, and how its
    /// conversion ends, with every value that is not explained. No file is written; the exit status is 0
    /// if PROG can be converted
    #[arg(long, conflicts_with_all = ["output", "force", "json", "verbose", "quiet"])]
    pub report: bool,

    /// Arguments for --verify and --trace
    #[arg(last = true, value_name = "ARGS", requires = "runs")]
    pub arguments: Vec<std::ffi::OsString>,
}

/// What `--cpu` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CpuChoice {
    /// Every CPU that PROG runs on.
    Any,
    /// CPUs that have all that this one has.
    Native,
}

/// Libraries that are not embedded.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum HostLibs {
    /// The host's are used, as ever.
    #[default]
    Allow,
    /// Opening them fails.
    Deny,
}

impl Cli {
    /// Where the program is.
    pub fn root(&self) -> statify_room::Result<Root> {
        self.root.as_deref().map_or_else(|| Ok(Root::machine()), Root::open)
    }

    /// `--with` takes all names up to the next option; where PROG is missing, the last was meant so.
    pub fn complete(mut self) -> Result<Self, clap::Error> {
        if self.program.is_none() && self.generate.is_none() && self.generate_into.is_none() {
            if self.with.len() < 2 {
                let kind = clap::error::ErrorKind::MissingRequiredArgument;
                return Err(command().error(kind, "PROG is missing"));
            }
            self.program = self.with.pop();
        }
        Ok(self)
    }

    /// What the library wants to know.
    pub fn options(&self, root: Root) -> Result<statify::Options, statify::PoolError> {
        Ok(statify::Options {
            shape: self.shape.shape(),
            force: self.force,
            preserve_privileges: self.preserve_privileges,
            cpus: match self.cpu {
                CpuChoice::Any => statify::Cpus::Any,
                CpuChoice::Native => statify::Cpus::Native,
            },
            timeout: Duration::from_secs(self.timeout),
            memory: None,
            verify: self.verify.then(|| self.arguments.clone()),
            root,
            plugins: Request {
                with: self.with.clone(),
                trace: self.trace.then(|| self.arguments.clone()),
                // Standard output is for the report.
                trace_to_stderr: self.json || self.verbose || self.report,
                host_libs: match self.host_libs {
                    HostLibs::Allow => statify_format::HostLibs::Allow,
                    HostLibs::Deny => statify_format::HostLibs::Deny,
                },
            },
            pool: self.pool.as_deref().map(statify::Pool::open).transpose()?,
            sharing: None,
            sync: true,
        })
    }
}

/// The definition itself.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_program_may_stand_before_or_behind_the_libraries() {
        let parse = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).and_then(Cli::complete)?;
            Ok::<_, clap::Error>((cli.program.unwrap_or_default(), cli.with))
        };
        let expected = (PathBuf::from("prog"), vec![PathBuf::from("a"), "b".into()]);
        for line in ["s prog --with a b -o out", "s -o out --with a --with b prog"] {
            assert_eq!(parse(line).unwrap(), expected, "{line}");
        }
        assert!(parse("s -o out --with a").is_err());
    }
}
