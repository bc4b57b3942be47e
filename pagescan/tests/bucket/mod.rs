//! A bucket of an S3 server of its own, on a free port of the loopback interface: `tests/src/s3_server.py`, which refuses requests
//! that are not signed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const KEY: &str = "AKIDTEST";
const SECRET: &str = "a-secret-that-nobody-sees";
const BUCKET: &str = "pages";

/// A bucket; its server ends with this.
pub struct Bucket {
    server: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: usize,
}

impl Bucket {
    /// Starts one, by a Python with moto.
    pub fn start(python: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/src/s3_server.py");
        let mut command = Command::new(python);
        command.arg(script).args([KEY, SECRET, BUCKET]).env_clear();
        // Of its own accounts, not of this machine's.
        command.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "x");
        let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = server.stdin.take().unwrap();
        let answers = BufReader::new(server.stdout.take().unwrap());
        let mut bucket = Self { server, orders, answers, port: 0 };
        bucket.port = bucket.answer();
        bucket
    }

    fn answer(&mut self) -> usize {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    fn order(&mut self, order: &str) -> usize {
        writeln!(self.orders, "{order}").unwrap();
        self.answer()
    }

    /// Puts all files of a directory into it, with these letters before their paths. How many.
    pub fn put(&mut self, dir: &Path, prefix: &str) -> usize {
        self.order(&format!("put {} {prefix}", dir.to_str().unwrap()))
    }

    /// How many objects were asked for, wholly or in part, or listed.
    pub fn requests(&mut self) -> usize {
        self.order("sent GET") + self.order("sent HEAD")
    }

    /// What is below a name.
    pub fn place(&self, name: &str) -> String {
        format!("s3://{BUCKET}/{name}")
    }

    /// Who may use it and where it is, as S3's tools have it in their environment.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ACCESS_KEY_ID", KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
        ]
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
