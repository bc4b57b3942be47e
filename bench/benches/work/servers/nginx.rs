//! nginx, asked by wrk over loopback.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regex::Regex;

use super::place::Place;
use super::service::{Answered, Server, Service};
use crate::find;

/// How long one load takes, in seconds.
const SECONDS: &str = "2";

/// nginx and its client.
struct Nginx {
    program: PathBuf,
    client: PathBuf,
    /// Of 127.0.0.1.
    port: u16,
    /// The file that is asked for, and its size.
    file: (&'static str, usize),
    /// Headers that the client sends.
    headers: &'static [&'static str],
}

/// Small files as they are, and larger ones that it compresses.
pub fn services() -> Vec<Service> {
    let server = |file, headers| -> Result<Box<dyn Server>, Vec<String>> {
        match (find::in_any(directories(), "nginx"), find::program("wrk")) {
            (Ok(program), Ok(client)) => {
                let port = free_port().map_err(|error| vec![error.to_string()])?;
                Ok(Box::new(Nginx { program, client, port, file, headers }))
            }
            (program, client) => Err([program.err(), client.err()].into_iter().flatten().collect()),
        }
    };
    vec![
        Service {
            name: "nginx: files of 1 KiB, 16 connections",
            server: server(("small", 1 << 10), &[]),
        },
        Service {
            name: "nginx: files of 64 KiB, compressed by it",
            server: server(("large", 64 << 10), &["Accept-Encoding: gzip"]),
        },
    ]
}

/// `PATH`, and where servers are that ordinary users have not in theirs.
fn directories() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = std::env::split_paths(&path).collect();
    path.into_iter().chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
}

/// One that nobody listened to a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Server for Nginx {
    fn program(&self) -> &Path {
        &self.program
    }

    fn prepare(&self, place: &Place) -> Result<()> {
        let line = "some words that are the same in each line, and a number: ";
        let text: String = (0..self.file.1).map(|number| format!("{line}{number}\n")).collect();
        fs::write(place.dir().join(self.file.0), &text[..self.file.1])?;
        let dir = place.dir();
        let dir = dir.display();
        let text = format!(
            "daemon off; worker_processes 1; error_log stderr; pid {dir}/pid;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;\n\
             fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             keepalive_requests 1000000; gzip on; gzip_types *;\n\
             server {{ listen 127.0.0.1:{}; root {dir}; }} }}\n",
            self.port
        );
        Ok(fs::write(place.dir().join("nginx.conf"), text)?)
    }

    fn configure(&self, command: &mut Command, place: &Place) {
        command.args(["-e", "stderr", "-c"]).arg(place.dir().join("nginx.conf"));
    }

    fn answers(&self, _: &Place) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    fn load(&self, place: &Place) -> Result<Answered> {
        let mut arguments = vec!["--threads", "1", "--connections", "16", "--duration", SECONDS];
        arguments.extend(self.headers.iter().flat_map(|header| ["--header", header]));
        let url = format!("http://127.0.0.1:{}/{}", self.port, self.file.0);
        arguments.push(&url);
        let text = place.run(&self.client, &arguments)?;
        let bad = ["Non-2xx", "Socket errors"].iter().any(|words| text.contains(words));
        ensure!(!bad, "wrk: {text}{}", place.said());
        let said = Regex::new(r"(\d+) requests in ([\d.]+)s")?.captures(&text);
        let said = said.with_context(|| format!("wrk says no number of requests: {text}"))?;
        Ok(Answered { requests: said[1].parse()?, seconds: said[2].parse()? })
    }
}
