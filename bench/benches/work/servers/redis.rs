//! Redis, asked by redis-benchmark over a socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use super::place::Place;
use super::service::{Answered, Server, Service};
use crate::find;

/// Redis and its client.
struct Redis {
    program: PathBuf,
    client: PathBuf,
    /// How many requests.
    requests: u32,
    /// Further arguments of the client.
    load: &'static [&'static str],
    /// How many commands it names: each is sent so many times.
    commands: u32,
}

/// One request at a time, many at a time, and a script.
pub fn services() -> Vec<Service> {
    let server = |requests, load, commands| -> Result<Box<dyn Server>, Vec<String>> {
        match (find::program("redis-server"), find::program("redis-benchmark")) {
            (Ok(program), Ok(client)) => {
                Ok(Box::new(Redis { program, client, requests, load, commands }))
            }
            (program, client) => Err([program.err(), client.err()].into_iter().flatten().collect()),
        }
    };
    vec![
        Service {
            name: "Redis: SET and GET, 20 connections",
            server: server(100_000, &["-t", "set,get"], 2),
        },
        Service {
            name: "Redis: SET and GET, 16 at once in each",
            server: server(800_000, &["-P", "16", "-t", "set,get"], 2),
        },
        Service {
            name: "Redis: a script in Lua",
            server: server(100_000, &["-P", "16", "eval", SCRIPT, "0"], 1),
        },
    ]
}

const SCRIPT: &str = "local sum = 0 for number = 1, 100 do sum = sum + number end return sum";

fn socket(place: &Place) -> PathBuf {
    place.dir().join("redis.sock")
}

impl Server for Redis {
    fn program(&self) -> &Path {
        &self.program
    }

    fn prepare(&self, _: &Place) -> Result<()> {
        Ok(())
    }

    fn configure(&self, command: &mut Command, place: &Place) {
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        command.arg(socket(place));
    }

    fn answers(&self, place: &Place) -> bool {
        let mut answer = [0; 5];
        UnixStream::connect(socket(place)).is_ok_and(|mut stream| {
            let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
            asked.is_ok() && answer == *b"+PONG"
        })
    }

    fn load(&self, place: &Place) -> Result<Answered> {
        let socket = socket(place).display().to_string();
        let requests = self.requests.to_string();
        let mut arguments = vec!["-s", &socket, "-q", "-c", "20", "-n", &requests];
        arguments.extend(self.load);
        let since = Instant::now();
        place.run(&self.client, &arguments)?;
        let seconds = since.elapsed().as_secs_f64();
        Ok(Answered { requests: f64::from(self.requests * self.commands), seconds })
    }
}
