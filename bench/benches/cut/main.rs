//! `cargo bench -p statify-bench --bench cut`: how long it takes to cut an image, with chunks that are all new to the store, and
//! with chunks that are all there; beside casync and desync.

mod tools;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::wait::WaitStatus;
use statify_bench::spawn::{Launch, wait_usage};
use statify_bench::style::Style;
use statify_bench::{binary, machine};

use tools::Tool;

/// Files begin at multiples of this, as in a file system.
const BLOCK: u64 = 4096;

/// Time that cutting an image takes.
///
/// All tools take turns. Each cuts the image into an empty store, and then once more into the same one. Figures are
/// medians; the rate is that of one core: the image's size by user and system time of all threads.
#[derive(Parser)]
#[command(name = "cut", bin_name = "cargo bench -p statify-bench --bench cut --")]
struct Arguments {
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// How large the image is, in MiB: files of /usr, one after another
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    size: u64,

    /// An image of one's own in its place
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,

    /// Where image and stores lie meanwhile [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Print Markdown, as it stands in docs/src/measured/cut.md
    #[arg(long)]
    markdown: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// One run.
#[derive(Clone, Copy)]
struct Run {
    /// From its start to its end, in seconds.
    elapsed: f64,
    /// User and system time, in seconds.
    cpu: f64,
    /// The largest resident set, in bytes.
    peak: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let chunkstore = binary::of_workspace("chunkstore", "chunkstore")?;
    let dir = match &arguments.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let image = match arguments.image.clone() {
        Some(image) => image,
        None => make_image(&dir.path().join("image"), arguments.size << 20)?,
    };
    let len = image.metadata().with_context(|| image.display().to_string())?.len();
    let machine = machine::describe()?;
    println!(
        "{}: {}, {} cores, Linux {}, {}; an image of {} MiB, {} rounds.\n",
        machine.date,
        machine.cpu,
        machine.cores,
        machine.kernel,
        machine.glibc,
        len >> 20,
        arguments.runs
    );
    let tools = tools::tools(&chunkstore);
    let mut runs: Vec<[Vec<Run>; 2]> = tools.iter().map(|_| Default::default()).collect();
    for _ in 0..arguments.runs {
        for (tool, runs) in tools.iter().zip(&mut runs) {
            let Some(program) = &tool.program else { continue };
            let store = dir.path().join("store");
            std::fs::create_dir(&store)?;
            for runs in runs {
                runs.push(run(tool, program, &image, &store, &dir.path().join("index.caibx"))?);
            }
            std::fs::remove_dir_all(store)?;
        }
    }
    print_table(&arguments, &tools, &runs, len);
    Ok(())
}

fn print_table(arguments: &Arguments, tools: &[Tool], runs: &[[Vec<Run>; 2]], len: u64) {
    let style = if arguments.markdown { Style::Markdown } else { Style::Terminal };
    let header = ["", "chunks", "time, s", "CPU time, s", "MB/s, a core", "peak memory, MiB"];
    let mut table = style.table(header.map(String::from).to_vec());
    for (what, kind) in ["new", "known"].into_iter().enumerate() {
        for (tool, runs) in tools.iter().zip(runs) {
            let runs = &runs[what];
            if runs.is_empty() {
                table.add_row([tool.name, kind, "not installed"]);
                continue;
            }
            let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
            let cpu = of(|run| run.cpu);
            table.add_row([
                tool.name.to_owned(),
                kind.to_owned(),
                format!("{:.2}", of(|run| run.elapsed)),
                format!("{cpu:.2}"),
                format!("{:.0}", len as f64 / cpu / 1e6),
                format!("{:.0}", of(|run| run.peak) / f64::from(1 << 20)),
            ]);
        }
    }
    println!("{table}");
}

fn run(tool: &Tool, program: &Path, image: &Path, store: &Path, index: &Path) -> Result<Run> {
    let words = tool.words(image, store, index);
    let words: Vec<&OsStr> = words.iter().map(|word| word.as_os_str()).collect();
    let launch = Launch::new(program, &words)?;
    let since = Instant::now();
    let (status, usage) = wait_usage(launch.start()?)?;
    let elapsed = since.elapsed().as_secs_f64();
    match status {
        WaitStatus::Exited(_, 0) => {
            Ok(Run { elapsed, cpu: usage.cpu.as_secs_f64(), peak: usage.peak_rss as f64 })
        }
        other => bail!("{}: {other:?}", tool.name),
    }
}

/// An image of files of this machine: each begins at a block, and zeros are behind it.
fn make_image(path: &Path, len: u64) -> Result<PathBuf> {
    let mut image = BufWriter::new(File::create(path)?);
    let mut written = 0;
    let mut left = vec![PathBuf::from("/usr")];
    while let Some(next) = left.pop() {
        let Ok(stat) = next.symlink_metadata() else { continue };
        if stat.is_dir() {
            let entries = std::fs::read_dir(&next).into_iter().flatten().flatten();
            let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            entries
                .sort_by(|one, other| other.as_os_str().as_bytes().cmp(one.as_os_str().as_bytes()));
            left.extend(entries);
        } else if stat.is_file() {
            // In pieces: what this process holds in memory would count as that of those it starts.
            let Ok(file) = File::open(&next) else { continue };
            written += std::io::copy(&mut file.take(len - written), &mut image)?;
            let padding = (written.next_multiple_of(BLOCK) - written).min(len - written);
            written += std::io::copy(&mut std::io::repeat(0).take(padding), &mut image)?;
            if written == len {
                image.into_inner()?.sync_all()?;
                return Ok(path.to_owned());
            }
        }
    }
    bail!("/usr has not so many bytes; --size says how many are wanted")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
