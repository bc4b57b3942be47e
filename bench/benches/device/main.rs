//! `cargo bench -p statify-bench --bench device`: how fast a block device answers that is served over NBD, by chunkstore and by
//! others, from memory: random reads of 4 KiB, one and sixteen at a time.

mod fio;
mod servers;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use statify_bench::style::Style;
use statify_bench::{binary, machine};

use fio::Figures;
use servers::{Kind, Server};

/// Reads at once.
const DEPTHS: [u32; 2] = [1, 16];

/// Random reads of 4 KiB from servers of the same image over NBD, all of it in memory.
///
/// All servers run all the time and are asked in turn. A ratio is the median of those of the rounds.
#[derive(Parser)]
#[command(name = "device", bin_name = "cargo bench -p statify-bench --bench device --")]
struct Arguments {
    /// Rounds of measurements
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// How long each measurement takes, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    seconds: u32,

    /// The image to serve; if nothing is said, one of 256 MiB is made
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,

    /// Print Markdown, as it stands in docs/src/measured/device.md
    #[arg(long)]
    markdown: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for program in ["fio", "nbdkit", "qemu-nbd", "nbdcopy"] {
        ensure!(binary::is_installed(program), "{program} is not installed");
    }
    let chunkstore = binary::of_workspace("chunkstore", "chunkstore")?;
    let dir = tempfile::tempdir()?;
    let image = match &arguments.image {
        Some(image) => std::path::absolute(image)?,
        None => servers::make_image(dir.path())?,
    };
    let machine = machine::describe()?;
    println!(
        "{}: {}, {} cores, Linux {}, {}; {} rounds of {} s each; {}.\n",
        machine.date,
        machine.cpu,
        machine.cores,
        machine.kernel,
        machine.glibc,
        arguments.rounds,
        arguments.seconds,
        servers::versions()?.join(", "),
    );
    let servers = start(&chunkstore, &image, dir.path())?;
    let style = if arguments.markdown { Style::Markdown } else { Style::Terminal };
    let mut table = style.table(
        ["server", "at once", "p50, us", "p99, us", "IOPS", "p50 / nbdkit's", "IOPS / nbdkit's"]
            .map(String::from)
            .to_vec(),
    );
    for depth in DEPTHS {
        let rounds = (0..arguments.rounds)
            .map(|_| servers.iter().map(|server| measure(server, depth, &arguments)).collect())
            .collect::<Result<Vec<Vec<Figures>>>>()?;
        let peer = servers.iter().position(|server| server.kind == Kind::Nbdkit);
        let peer = peer.context("nbdkit is one of them")?;
        for (index, server) in servers.iter().enumerate() {
            let of = |value: fn(&Figures) -> f64| {
                median(rounds.iter().map(|round| value(&round[index])).collect())
            };
            let over = |value: fn(&Figures) -> f64| {
                let ratios = rounds.iter().map(|round| value(&round[index]) / value(&round[peer]));
                format!("{:.2}", median(ratios.collect()))
            };
            table.add_row([
                server.kind.name().to_owned(),
                depth.to_string(),
                format!("{:.1}", of(|figures| figures.p50)),
                format!("{:.1}", of(|figures| figures.p99)),
                format!("{:.0}", of(|figures| figures.iops)),
                over(|figures| figures.p50),
                over(|figures| figures.iops),
            ]);
        }
    }
    println!("{table}");
    Ok(())
}

/// All servers, each with the whole image in memory, and found to serve what is in it.
fn start(chunkstore: &Path, image: &Path, dir: &Path) -> Result<Vec<Server>> {
    let expected = servers::checksum_of_file(image)?;
    let mut servers = Vec::new();
    for kind in Kind::ALL {
        let server = Server::start(kind, chunkstore, image, dir)?;
        // The first time it is fetched, the second time it is there.
        for _ in 0..2 {
            if server.checksum()? != expected {
                bail!("{}: its device is not the image", kind.name());
            }
        }
        servers.push(server);
    }
    Ok(servers)
}

fn measure(server: &Server, depth: u32, arguments: &Arguments) -> Result<Figures> {
    fio::random_reads(&server.uri(), depth, arguments.seconds)
        .with_context(|| server.kind.name().to_owned())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
