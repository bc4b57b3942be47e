//! `rootfs-tools convert`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use rootfs_tools::cache;
use rootfs_tools::packed::oci::platform::Platform;
use rootfs_tools::packed::{self, kind, room};
use rootfs_tools::pool::place::check;
use rootfs_tools::programs::find;
use rootfs_tools::run::options::{Options, Target};
use rootfs_tools::run::outcome::{Event, Outcome};
use rootfs_tools::run::reflink::Reflink;
use rootfs_tools::run::{convert, estimate};
use rootfs_tools::tree::patterns;
use statify_command_line::{ShapeArguments, signals};
use statify_files::{new_file, path_text};
use statify_printable::amount::thousands;
use statify_store::Place;

use crate::progress::Progress;
use crate::{Failure, Verdict};

/// Make every program of a root file system self-contained
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").args(["out", "in_place"]))]
#[command(group = clap::ArgGroup::new("originals").args(["backup", "no_backup"]))]
pub struct Arguments {
    /// The root file system: a directory, a tar archive (plain, gzip, zstd), or an image in an OCI
    /// layout (a directory or tar archive of one)
    #[arg(value_name = "ROOT")]
    root: PathBuf,
    /// Convert a copy of ROOT, which is made here, of the same kind; ROOT stays as it is
    #[arg(long, value_name = "PATH", required_unless_present_any = ["in_place", "dry_run"])]
    out: Option<PathBuf>,
    /// Convert ROOT itself
    #[arg(long, requires = "originals")]
    in_place: bool,
    /// Keep the originals here, for `restore`
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    backup: Option<PathBuf>,
    /// Keep no originals
    #[arg(long, conflicts_with = "out")]
    no_backup: bool,
    /// Where the programs are, in ROOT
    #[arg(long, value_name = "DIR", value_delimiter = ',', default_values = find::DIRECTORIES)]
    dirs: Vec<PathBuf>,
    /// Leave programs alone whose path in ROOT matches, such as `/usr/bin/x*`; a pattern without a
    /// slash is for names
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// How many programs at a time; as many as there are CPUs if nothing is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    #[command(flatten)]
    shape: ShapeArguments,
    /// Convert set-user-ID and set-group-ID programs and such with capabilities, too; without this
    /// option they stay as they are and count as failures
    #[arg(long)]
    preserve_privileges: bool,
    /// How long the loader of one program may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// How much address space it may have
    #[arg(long, value_name = "MIB", default_value_t = 8192, value_parser = clap::value_parser!(u64).range(64..=1 << 24))]
    memory: u64,
    /// Which image of an OCI layout
    #[arg(long, value_name = "OS/ARCH", default_value = "linux/amd64")]
    platform: Platform,
    /// Keep conversions here, and take them from here if nothing that belongs to a program has changed:
    /// in a directory, or as s3://BUCKET/PREFIX in an object store that AWS_ENDPOINT_URL, AWS_REGION,
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN say how to use; gs:// and az://
    /// are Google's and Azure's
    #[arg(long, value_name = "DIR|URL", value_parser = OsStringValueParser::new().try_map(Place::parse))]
    cache: Option<Place>,
    /// A secret, of 32 bytes at least, that all share who use the cache: entries that were made without
    /// it do not count. An object store needs it
    #[arg(long, value_name = "FILE", requires = "cache")]
    cache_key: Option<PathBuf>,
    /// Whether converted programs share the file system's blocks with the libraries in them, where
    /// these are unmodified: `auto` where it can (btrfs, XFS), `always` or not at all
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    reflink: When,
    /// Let programs map unmodified pages of libraries from DIR, a path in the converted system such as
    /// /usr/lib/statify/pool, where they are in memory once for all of them; it is made in ROOT, with a copy
    /// of each library. Programs run without it as well, and have all their pages themselves
    #[arg(long, value_name = "DIR")]
    pool: Option<PathBuf>,
    /// Write the report there as text, JSON and CSV, when all is done
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Exit status 0 even if some programs cannot be converted
    #[arg(long)]
    keep_going: bool,
    /// Write down here what is done with each program
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Say nothing but what goes wrong
    #[arg(short, long)]
    quiet: bool,
    /// Say what would be done, and about what it would cost; nothing is written, run or needed but
    /// leave to read ROOT
    #[arg(long, conflicts_with_all = ["report", "log"])]
    dry_run: bool,
    /// Say it as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
    /// ROOT may be / itself
    #[arg(long)]
    i_know: bool,
}

/// As cp(1) has it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum When {
    Auto,
    Never,
    Always,
}

impl Arguments {
    fn options(&self, command: &mut clap::Command) -> Result<Options, Failure> {
        match (&self.cache, &self.cache_key) {
            (Some(place @ Place::Web(_)), _) => {
                let error = rootfs_tools::Error::CacheOnWeb(place.to_string());
                return Err(command.error(ErrorKind::ValueValidation, error).into());
            }
            (Some(place @ Place::Bucket { .. }), None) => {
                let error = rootfs_tools::Error::NoCacheKey(place.to_string());
                return Err(command.error(ErrorKind::MissingRequiredArgument, error).into());
            }
            _ => {}
        }
        if let Some(Err(fault)) = self.pool.as_deref().map(check) {
            return Err(command
                .error(ErrorKind::ValueValidation, format!("--pool: {fault}"))
                .into());
        }
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Options {
            root: self.root.clone(),
            target: match &self.out {
                Some(out) => Target::Out(out.clone()),
                None => Target::InPlace(self.backup.clone()),
            },
            dirs: self.dirs.clone(),
            exclude: patterns::set("--exclude", &self.exclude)?,
            jobs: self.jobs.map_or(cpus, usize::from),
            shape: self.shape.shape(),
            preserve_privileges: self.preserve_privileges,
            timeout: Duration::from_secs(self.timeout),
            memory: self.memory << 20,
            cache: self
                .cache
                .clone()
                .map(|place| cache::Options { place, key: self.cache_key.clone() }),
            pool: self.pool.clone(),
            reflink: match self.reflink {
                When::Auto => Reflink::Auto,
                When::Never => Reflink::Never,
                When::Always => Reflink::Always,
            },
            i_know: self.i_know,
        })
    }
}

/// A line for each thing done, if it is wanted.
struct Log(Option<(PathBuf, File, Instant)>);

impl Log {
    fn open(path: Option<&PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let file = new_file::append(path);
        let file = file.map_err(rootfs_tools::Error::file("written", path))?;
        Ok(Self(Some((path.clone(), file, Instant::now()))))
    }

    fn line(&mut self, text: &str) {
        if let Some((path, file, since)) = &mut self.0 {
            let seconds = since.elapsed().as_secs_f64();
            let text = statify_printable::printable(text);
            if let Err(error) = writeln!(file, "{seconds:9.3} {text}") {
                let path = statify_printable::path(path);
                statify_command_line::say(
                    "rootfs-tools",
                    &format!("{path}: no more is logged: {error}"),
                );
                self.0 = None;
            }
        }
    }
}

/// Converts.
pub fn run(arguments: &Arguments, command: &mut clap::Command) -> Result<Verdict, Failure> {
    if arguments.dry_run {
        return dry_run(arguments, command);
    }
    let interrupted = || {
        statify::interrupt::give_up();
        let what = match room::abandon() {
            true => "nothing was written",
            false => {
                "every program is either the original or the complete converted one, and the same \
                 command goes on"
            }
        };
        statify_command_line::say("rootfs-tools", &format!("interrupted; {what}"));
    };
    signals::at_end(interrupted)?;
    let options = arguments.options(command)?;
    let mut log = Log::open(arguments.log.as_ref())?;
    let mut progress = Progress::new(arguments.quiet);
    let mut tell = |event: Event<'_>| match event {
        Event::Copying => log.line("copying the tree"),
        Event::Unpacking => log.line("unpacking"),
        Event::Packing => log.line("writing it anew"),
        Event::Recovered(count) => {
            let text = format!("{count} programs of a run that was ended are complete now");
            log.line(&text);
            progress.say(&text);
        }
        Event::Found(count) => {
            log.line(&format!("{count} programs to convert"));
            progress.begin(count);
        }
        Event::Converted(names) => {
            let names: Vec<_> = names.iter().map(|name| path_text::to_text(name)).collect();
            log.line(&format!("converted {}", names.join(" ")));
            progress.step();
        }
        Event::Failed(failure) => {
            log.line(&format!("left {}", failure.message));
            progress.say(&format!("rootfs-tools: {}", failure.message));
            progress.step();
        }
    };
    // An archive's tree goes away at the end.
    let (outcome, unpacked) = match kind::of(&options.root)? {
        None => (convert::convert(&options, &mut tell)?, None),
        Some(kind) => {
            let converted = packed::convert(kind, &options, &arguments.platform, &mut tell)?;
            (converted.outcome.clone(), Some(converted))
        }
    };
    if let Some(failures) = &outcome.cache_failures {
        log.line(failures);
        progress.say(&format!("rootfs-tools: {failures}"));
    }
    for notice in &outcome.notices {
        log.line(notice);
        progress.say(&format!("rootfs-tools: {notice}"));
    }
    drop(progress);
    let text = summary(&outcome);
    log.line(&text);
    if !arguments.quiet {
        statify_command_line::print(&format!("{text}\n"))?;
        for program in &outcome.foreign {
            let message = statify_printable::printable(&program.message);
            statify_command_line::print(&format!("  {message}\n"))?;
        }
    }
    if let Some(dir) = &arguments.report {
        let tree = unpacked.as_ref().map_or_else(|| outcome.tree.clone(), |all| all.tree());
        super::report::write(&tree, &outcome.tree, dir)?;
    }
    let all = outcome.failures.is_empty() || arguments.keep_going;
    Ok(if all { Verdict::Good } else { Verdict::Bad })
}

fn dry_run(arguments: &Arguments, command: &mut clap::Command) -> Result<Verdict, Failure> {
    if kind::of(&arguments.root)?.is_some() {
        return Err(rootfs_tools::Error::ArchiveDryRun(arguments.root.clone()).into());
    }
    let estimate = estimate::estimate(&arguments.options(command)?)?;
    match arguments.json {
        true => statify_command_line::print_json(&estimate)?,
        false => statify_command_line::print(&estimate::text(&estimate))?,
    }
    let all = estimate.failures.is_empty() || arguments.keep_going;
    Ok(if all { Verdict::Good } else { Verdict::Bad })
}

fn summary(outcome: &Outcome) -> String {
    let left: Vec<_> = outcome.left.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let left = if left.is_empty() { "none".into() } else { left.join(", ") };
    let shared = match outcome.shared {
        0 => String::new(),
        bytes => format!("; {} bytes of them shared with libraries", thousands(bytes)),
    };
    format!(
        "{}: {} programs converted, {} could not be; other files: {left}{shared}",
        statify_printable::path(&outcome.tree),
        outcome.converted,
        outcome.failures.len()
    )
}
