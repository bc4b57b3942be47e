//! A server under a load, and the pairs of its runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use statify_bench::convert;

use super::place::Place;
use super::process::Running;
use crate::results::{Comparison, Row, Run};

/// What a client got.
pub struct Answered {
    /// Requests.
    pub requests: f64,
    /// In how many seconds.
    pub seconds: f64,
}

/// A kind of server, with the programs that are needed for it.
pub trait Server {
    /// The program that is converted.
    fn program(&self) -> &Path;

    /// What statify is told to embed in it.
    fn plugins(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Makes what it serves, once.
    fn prepare(&self, place: &Place) -> Result<()>;

    /// Its arguments.
    fn configure(&self, command: &mut Command, place: &Place);

    /// What tells it to end.
    fn stop(&self) -> Signal {
        Signal::SIGTERM
    }

    /// Whether it answers yet.
    fn answers(&self, place: &Place) -> bool;

    /// Sends the requests of a load, after what must be done before that does not count.
    fn load(&self, place: &Place) -> Result<Answered>;
}

/// A row of the table.
pub struct Service {
    /// For people.
    pub name: &'static str,
    /// The server, or what is not installed.
    pub server: Result<Box<dyn Server>, Vec<String>>,
}

impl Service {
    /// Runs original and converted server in turn, after one of each that does not count.
    pub fn measure(&self, statify: &Path, runs: u32) -> Result<Row> {
        let name = self.name.to_owned();
        let server = match &self.server {
            Ok(server) => server.as_ref(),
            Err(missing) => return Ok(Row { name, missing: missing.clone(), measured: None }),
        };
        let pairs = pairs(server, statify, runs).context(self.name)?;
        Ok(Row { name, missing: Vec::new(), measured: Some(Comparison::of(&pairs[1..])) })
    }
}

fn pairs(server: &dyn Server, statify: &Path, runs: u32) -> Result<Vec<[Run; 2]>> {
    let place = Place::new()?;
    let converted = place.converted();
    let plugins = server.plugins();
    let plugins = plugins.iter().map(|path| path.to_str().context("a path that is not UTF-8"));
    let plugins = plugins.collect::<Result<Vec<_>>>()?;
    let options: Vec<&str> = plugins.iter().flat_map(|plugin| ["--with", plugin]).collect();
    convert::convert(statify, server.program(), &converted, &options)?;
    // Nothing that is measured shall wait for the disk.
    fs::File::open(&converted)?.sync_all()?;
    server.prepare(&place)?;
    let run = |program: &Path| run(server, program, &place);
    (0..=runs).map(|_| Ok([run(server.program())?, run(&converted)?])).collect()
}

/// Starts a server, sends it the load, and ends it.
fn run(server: &dyn Server, program: &Path, place: &Place) -> Result<Run> {
    let mut command = place.command(program)?;
    server.configure(&mut command, place);
    let running = Running::start(command, server.stop(), place, || server.answers(place))?;
    let answered = server.load(place)?;
    let usage = running.end()?;
    Ok(Run {
        elapsed: answered.seconds / answered.requests,
        cpu: usage.cpu.as_secs_f64() / answered.requests,
        peak: usage.peak_rss as f64,
    })
}
