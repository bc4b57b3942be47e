//! PostgreSQL, asked by pgbench over a socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::place::Place;
use super::service::{Answered, Server, Service};
use crate::find;

/// Connections at once.
const CONNECTIONS: u32 = 4;
/// Modules that it opens by dlopen, embedded if they are there.
const MODULES: [&str; 2] = ["plpgsql.so", "dict_snowball.so"];
/// A function in PL/pgSQL, and a transaction that calls it.
const FUNCTION: &str = "create or replace function total(n int) returns bigint language plpgsql as
$$ declare sum bigint := 0; begin for i in 1 .. n loop sum := sum + i % 7; end loop; return sum; end $$";
const CALL: &str = "select total(2000);\n";

/// The server with its programs, of one version.
struct Postgresql {
    program: PathBuf,
    initdb: PathBuf,
    is_ready: PathBuf,
    client: PathBuf,
    psql: PathBuf,
    /// Transactions of each connection.
    transactions: u32,
    /// Further arguments of pgbench.
    load: &'static [&'static str],
}

/// Reading, writing, a connection for each transaction, and a plugin.
pub fn services() -> Vec<Service> {
    let server = |transactions, load| -> Result<Box<dyn Server>, Vec<String>> {
        let mut missing = Vec::new();
        let mut find = |name| {
            find::in_any(directories().into_iter(), name).unwrap_or_else(|name| {
                missing.push(name);
                PathBuf::new()
            })
        };
        let server = Postgresql {
            program: find("postgres"),
            initdb: find("initdb"),
            is_ready: find("pg_isready"),
            client: find("pgbench"),
            psql: find("psql"),
            transactions,
            load,
        };
        if missing.is_empty() { Ok(Box::new(server)) } else { Err(missing) }
    };
    vec![
        Service {
            name: "PostgreSQL: select by key, 4 connections",
            server: server(10_000, &["-S"]),
        },
        Service {
            name: "PostgreSQL: 5 statements that read and write",
            server: server(1_000, &[]),
        },
        Service {
            name: "PostgreSQL: a connection for each select",
            server: server(200, &["-S", "-C"]),
        },
        Service {
            name: "PostgreSQL: a function in PL/pgSQL",
            server: server(1_000, &["-f", "call"]),
        },
    ]
}

/// Where its programs are: Debian keeps versions beside each other; the newest is first. Else in `PATH`.
fn directories() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let mut all: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    all.sort_by_key(|path| std::cmp::Reverse(version(path)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    all.into_iter().map(|path| path.join("bin")).chain(std::env::split_paths(&path)).collect()
}

impl Postgresql {
    /// How clients reach it.
    fn connection(place: &Place) -> [String; 4] {
        ["-h".into(), place.dir().display().to_string(), "-U".into(), "bench".into()]
    }

    fn ask(&self, place: &Place, program: &Path, arguments: &[&str]) -> Result<String> {
        let connection = Self::connection(place);
        let all = connection.iter().map(String::as_str).chain(arguments.iter().copied());
        place.run(program, &all.collect::<Vec<_>>())
    }
}

impl Server for Postgresql {
    fn program(&self) -> &Path {
        &self.program
    }

    fn plugins(&self) -> Vec<PathBuf> {
        let library = self.program.parent().and_then(Path::parent).map(|dir| dir.join("lib"));
        let modules = library.into_iter().flat_map(|dir| MODULES.map(|name| dir.join(name)));
        modules.filter(|path| path.is_file()).collect()
    }

    fn prepare(&self, place: &Place) -> Result<()> {
        fs::write(place.dir().join("call"), CALL)?;
        let arguments =
            ["-D", "data", "-U", "bench", "-A", "trust", "--no-locale", "-E", "UTF8", "-N"];
        place.run(&self.initdb, &arguments).map(drop)
    }

    fn configure(&self, command: &mut Command, place: &Place) {
        command.args([
            "-D",
            "data",
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "autovacuum=off",
        ]);
        command.args(["-c", "shared_buffers=64MB", "-k"]).arg(place.dir());
    }

    fn stop(&self) -> Signal {
        // Does not wait until all clients have gone.
        Signal::SIGINT
    }

    fn answers(&self, place: &Place) -> bool {
        self.ask(place, &self.is_ready, &["-q"]).is_ok()
    }

    fn load(&self, place: &Place) -> Result<Answered> {
        self.ask(place, &self.client, &["-i", "-q", "-s", "4", "postgres"])?;
        self.ask(place, &self.psql, &["-q", "-c", FUNCTION, "postgres"])?;
        let connections = CONNECTIONS.to_string();
        let transactions = self.transactions.to_string();
        let mut arguments = vec!["-n", "-c", &connections, "-t", &transactions];
        arguments.extend(self.load);
        arguments.push("postgres");
        let since = Instant::now();
        let text = self.ask(place, &self.client, &arguments)?;
        let seconds = since.elapsed().as_secs_f64();
        let requests = CONNECTIONS * self.transactions;
        ensure!(text.contains(&format!("{requests}/{requests}")), "pgbench: {text}");
        Ok(Answered { requests: f64::from(requests), seconds })
    }
}
