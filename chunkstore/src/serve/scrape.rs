//! Metrics for whoever asks for them by HTTP at a socket: `curl --unix-socket SOCKET http://localhost/metrics`.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::deadline::Deadline;
use super::metrics::{CONTENT_TYPE, Metrics};

/// How long a request and its answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before a connection is accepted again after that has failed.
const PAUSE: Duration = Duration::from_millis(100);
/// No request is longer, in bytes.
const MOST: usize = 8 << 10;
/// Nor has it more headers.
const MOST_HEADERS: usize = 64;

/// Answers everybody who connects, one after the other, for ever.
pub fn serve(listener: &UnixListener, metrics: &Metrics) {
    loop {
        match listener.accept() {
            // Who does not wait for the answer has none.
            Ok((stream, _)) => drop(answer(&stream, metrics)),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn answer(stream: &UnixStream, metrics: &Metrics) -> io::Result<()> {
    let mut stream = Deadline::new(stream, PATIENCE);
    let mut request = Vec::new();
    let status = loop {
        if let Some(status) = status(&request) {
            break status;
        }
        let mut buffer = [0; 1 << 10];
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        request.extend(&buffer[..len]);
    };
    let (kind, body) = match status {
        "200 OK" => (CONTENT_TYPE, metrics.text()),
        status => ("text/plain", format!("{status}\n")),
    };
    let len = body.len();
    let is_head = request.starts_with(b"HEAD ");
    let header = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(header.as_bytes())?;
    if !is_head {
        stream.write_all(body.as_bytes())?;
    }
    Ok(())
}

/// What a request is answered; none if it is not complete.
fn status(bytes: &[u8]) -> Option<&'static str> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Err(_) => Some("400 Bad Request"),
        Ok(httparse::Status::Partial) if bytes.len() >= MOST => Some("400 Bad Request"),
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => Some(match (request.method, request.path) {
            (Some("GET" | "HEAD"), Some("/metrics")) => "200 OK",
            (Some("GET" | "HEAD"), _) => "404 Not Found",
            _ => "405 Method Not Allowed",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        for (request, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", Some("200 OK")),
            ("GET /metrics HTTP/1.0\r\n\r\n", Some("200 OK")),
            ("GET / HTTP/1.1\r\n\r\n", Some("404 Not Found")),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some("405 Method Not Allowed")),
            ("GET /metrics HTTP/1.1\r\nHost", None),
            ("\0\r\n\r\n", Some("400 Bad Request")),
        ] {
            assert_eq!(status(request.as_bytes()), expected, "{request:?}");
        }
        let long = format!("GET /metrics HTTP/1.1\r\nA: {}", "x".repeat(MOST));
        assert_eq!(status(long.as_bytes()), Some("400 Bad Request"));
    }
}
