//! `kernels`: the fixtures, converted, on real kernels in an emulated machine.
//!
//! Each kernel is booted by QEMU (software emulation, so that neither KVM nor a privilege is needed)
//! with an initial file system in which every program is a converted one: process 1 (`statify-init`),
//! the shell, and the fixtures. What they do there is held against what their originals did on this
//! machine and against their directives. Other boots change one thing each about the kernel or the
//! processor and run a choice of the fixtures. A kernel for i386 runs those of 32 bits.

mod boots;
mod deb;
mod exceptions;
mod fixtures;
mod images;
mod initramfs;
mod packages;
mod table;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use regex::Regex;
use statify_tests::convert::Statify;
use statify_tests::cross::I386;
use statify_tests::scratch::Scratch;

use crate::boots::{BOOTS, Boot};
use crate::fixtures::Prepared;
use crate::images::Image;
use crate::initramfs::Tools;
use crate::table::{Cell, Table};

/// Boot kernels in an emulated machine and run the converted fixtures there.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Boot only kernels whose release matches
    #[arg(long, value_name = "REGEX")]
    kernels: Option<Regex>,
    /// Make only boots whose name matches
    #[arg(long, value_name = "REGEX")]
    boots: Option<Regex>,
    /// Run only fixtures whose name matches
    #[arg(long, value_name = "REGEX")]
    fixtures: Option<Regex>,
    /// A kernel of your own as well: a bzImage, or a Debian package with one
    #[arg(long = "kernel", value_name = "FILE")]
    own: Vec<PathBuf>,
    /// Take only the kernels given by --kernel; download none
    #[arg(long, requires = "own")]
    offline: bool,
    /// Where downloaded kernels are kept [default: kernels/ in cargo's target directory]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Fixtures in one boot
    #[arg(long, value_name = "N", default_value_t = 100)]
    batch: usize,
    /// Seconds after which an emulated machine is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kernels: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything that was run held.
fn run(cli: &Cli) -> Result<bool> {
    statify_vm::Machine::emulator(statify_vm::Kind::HERE)?;
    let cache = cli.cache.clone().map_or_else(default_cache, Ok)?;
    fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
    let cache = cache.canonicalize()?;
    let mut images = if cli.offline { Vec::new() } else { packages::download(&cache)? };
    for own in &cli.own {
        images.push(Image::open(own, &cache)?);
    }
    images.sort_by_key(|image| images::order(&image.release));
    images.retain(|image| cli.kernels.as_ref().is_none_or(|only| only.is_match(&image.release)));
    if I386.rustc().is_none() {
        for image in images.extract_if(.., |image| image.narrow) {
            eprintln!(
                "not booted: {}: TEST_RUSTC_32 names no Rust that builds its process 1",
                image.release
            );
        }
    }
    ensure!(!images.is_empty(), "no kernel to boot");

    let scratch = Scratch::new()?;
    let statify = Statify::locate()?.copied_to(scratch.path())?;
    let narrow_only = images.iter().all(|image| image.narrow);
    let prepared = fixtures::prepare(&statify, &scratch, cli.fixtures.as_ref(), narrow_only)?;
    eprintln!("{} fixtures converted", prepared.fixtures.len());
    for (name, reason) in &prepared.not_here {
        eprintln!("not run here: {name}: {reason}");
    }

    let boots: Vec<&Boot> = BOOTS
        .iter()
        .filter(|boot| cli.boots.as_ref().is_none_or(|only| only.is_match(boot.name)))
        .collect();
    let mut table = Table::default();
    let (mut wide, mut narrow) = (None, None);
    for image in &images {
        let tools = if image.narrow { &mut narrow } else { &mut wide };
        if tools.is_none() {
            let dir = scratch.path().join(if image.narrow { "tools-32" } else { "tools" });
            *tools = Some(match image.narrow {
                true => Tools::convert_narrow(&statify, &dir, &cache)?,
                false => Tools::convert(&statify, &dir)?,
            });
        }
        let tools = tools.as_ref().context("they were converted")?;
        for boot in &boots {
            let batches = batches(&prepared, image, boot, cli.batch);
            if batches.is_empty() {
                continue;
            }
            let mut cell = Cell::default();
            for batch in batches {
                let one = vm::boot(image, boot, &batch, tools, scratch.path(), cli.timeout)?;
                cell.add(one);
            }
            for line in &cell.messages {
                eprintln!("{} {}: {line}", image.release, boot.name);
            }
            eprintln!("{} {}: {cell}", image.release, boot.name);
            table.set(&image.release, boot.name, cell);
        }
    }
    let stale = exceptions::unused(&prepared, &table);
    print!("{}", if cli.markdown { table.markdown() } else { table.plain() });
    for exception in exceptions::EXCEPTIONS {
        if table.excused().any(|name| name == exception.fixture) {
            println!("not counted: {}: {}", exception.fixture, exception.reason);
        }
    }
    for exception in &stale {
        println!("an exception that nothing needs: {exception}");
    }
    Ok(table.holds())
}

/// The fixtures of a boot that the kernel can run, so many at a time.
fn batches<'a>(
    prepared: &'a Prepared,
    image: &Image,
    boot: &Boot,
    size: usize,
) -> Vec<Vec<&'a fixtures::Case>> {
    let runs = |case: &&fixtures::Case| boot.runs(&case.name) && (case.narrow || !image.narrow);
    let chosen: Vec<_> = prepared.fixtures.iter().filter(runs).collect();
    chosen.chunks(size.max(1)).map(<[_]>::to_vec).collect()
}

fn default_cache() -> Result<PathBuf> {
    // This program lies in target/PROFILE/.
    let own = env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("this program lies nowhere")?;
    Ok(target.join("kernels"))
}
