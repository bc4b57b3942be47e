//! `guest`: a real guest. A Debian root is made, every program of it converted and checked, images of
//! both trees are made and booted in an emulated machine, and what commands say in both is compared.
//!
//! Each stage leaves what it found out in DIR/results, and is not done again while that is there.

mod boot;
mod check;
mod commands;
mod compare;
mod convert;
mod growth;
mod images;
mod machine;
mod needs;
mod room;
mod root;
mod static_programs;
mod stores;
mod table;
mod times;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use statify_tests::scratch::Scratch;
use statify_tests::tool;

use crate::room::Room;

/// Make a Debian guest, convert all its programs, and compare it with itself: sizes, and what it does
/// when it runs.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Where everything lies; what is there already is not made again
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Keep the trees and images, some 30 GB, when all is done; without this option only the results
    /// stay
    #[arg(long)]
    keep: bool,
    /// Boot from these file systems only
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values = boot::SYSTEMS, value_parser = boot::SYSTEMS)]
    systems: Vec<String>,
    /// How often each guest is booted in each way where that is timed: three times take half an hour
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Go no further than these stages, each with those that it needs
    #[arg(value_enum, value_name = "STAGE", default_values_t = [Stage::Table])]
    stages: Vec<Stage>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Stage {
    /// The root file system, by mmdebstrap
    Root,
    /// Its conversion, twice: without and with a cache
    Convert,
    /// `rootfs-tools check`
    Check,
    /// ext4, EROFS and btrfs; the EROFS images in one chunk store
    Images,
    /// Both guests run, and are given commands
    Boot,
    /// `rootfs-tools boot`: how long both take to the login, and what they read
    Times,
    /// The tables for docs/src/measured/guest.md
    Table,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("guest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether the guests agreed.
fn run(cli: &Cli) -> Result<bool> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root, to make a system with its owners");
    needs::check()?;
    let wanted = |stage| cli.stages.iter().any(|last| *last >= stage);
    // Its directory for small things, and the end of everything that runs when this is interrupted.
    let scratch = Scratch::new()?;
    let room = Room::open(&cli.dir)?;
    let tool = tool::locate("rootfs-tools")?;
    let machine = room.once("machine", machine::here)?;
    let root = room.once("root", || root::make(&room))?;
    room.once("static", || static_programs::fetch(&room))?;
    if !wanted(Stage::Convert) {
        return Ok(true);
    }
    let converted = room.once("convert", || convert::convert(&room, &tool))?;
    let report = room.once("report", || growth::report(&room, &tool))?;
    let aligned = room.once("aligned", || growth::aligned(&room, &tool))?;
    let mut good = converted.failed.is_empty();
    let checked = match wanted(Stage::Check) {
        true => Some(room.once("check", || check::check(&room, &tool))?),
        false => None,
    };
    good &= checked.as_ref().is_none_or(|checked| checked.holds);
    if !wanted(Stage::Images) {
        return Ok(good);
    }
    let images = room.once("images", || images::make(&room, &tool, scratch.path()))?;
    let stores = room.once("stores", || stores::make(&room, &tool::locate("chunkstore")?))?;
    if !wanted(Stage::Boot) {
        return Ok(good);
    }
    let boots = boot::boot_all(&room, &cli.systems, scratch.path())?;
    for line in &boots.differences {
        eprintln!("guest: {line}");
    }
    good &= boots.differences.is_empty();
    if !wanted(Stage::Times) {
        return Ok(good);
    }
    let times = times::measure(&room, &tool, cli, scratch.path())?;
    if !wanted(Stage::Table) {
        return Ok(good);
    }
    let facts = table::Facts {
        machine: &machine,
        root: &root,
        converted: &converted,
        report: &report,
        aligned: &aligned,
        checked: checked.as_ref(),
        images: &images,
        stores: &stores,
        boots: &boots,
        times: &times,
    };
    let text = table::markdown(&facts);
    std::fs::write(room.results().join("tables.md"), &text)?;
    print!("{text}");
    if !cli.keep {
        room.clear()?;
    }
    Ok(good)
}
