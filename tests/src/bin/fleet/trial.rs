//! What is tried.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::cluster::{BUCKET, Cluster};

/// Everything, in an order in which each step finds what the one before left.
pub fn run(garage: &Path, chunkstore: &Path, size: u64) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("fleet-").tempdir()?;
    let dir = dir.path();
    let cluster = step("three nodes", || Cluster::start(garage, dir))?;
    let mut trial = Trial { cluster, chunkstore: chunkstore.to_owned(), dir: dir.to_owned() };
    let one = image(&dir.join("one"), size, &[7, 1])?;
    let two = image(&dir.join("two"), size, &[7, 2])?;
    let three = image(&dir.join("three"), size, &[3, 4])?;
    step("two builders at the same time, a third node killed meanwhile", || {
        trial.two_builders(&one, &two)
    })?;
    step("both images, from two nodes", || trial.come_back(&[&one, &two], &[0, 1]))?;
    trial.restart(2)?;
    step("both images, from the node that was killed and started again", || {
        trial.come_back(&[&one, &two], &[2])
    })?;
    step("a cut whose own node is killed, and the same cut at another", || {
        trial.own_node_killed(&three)
    })?;
    trial.restart(1)?;
    step("a copy of a served image, a node killed meanwhile", || trial.serve(&one, 2))?;
    step("every byte of the store, by two nodes of three", || trial.verify())?;
    trial.restart(2)?;
    step("every byte of the store, by all nodes", || trial.verify())?;
    step("all images, from each node", || trial.come_back(&[&one, &two, &three], &[0, 1, 2]))
}

fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let since = Instant::now();
    let done = work().with_context(|| what.to_owned())?;
    println!("{what}: well, in {:.1} s", since.elapsed().as_secs_f64());
    Ok(done)
}

/// An image of `size` bytes, parts of which follow from these seeds alone.
fn image(path: &Path, size: u64, seeds: &[u64]) -> Result<PathBuf> {
    let mut file = File::create(path)?;
    let part = size / seeds.len() as u64;
    for seed in seeds {
        let mut block: [u8; 32] = Sha256::digest(seed.to_le_bytes()).into();
        let mut left = part;
        let mut bytes = Vec::new();
        while left > 0 {
            bytes.clear();
            while bytes.len() < 1 << 20 {
                block = Sha256::digest(block).into();
                bytes.extend(block);
            }
            let some = left.min(bytes.len() as u64);
            file.write_all(&bytes[..some as usize])?;
            left -= some;
        }
    }
    Ok(path.to_owned())
}

fn sha256(path: &Path) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().into())
}

fn name(image: &Path) -> &str {
    image.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

struct Trial {
    cluster: Cluster,
    chunkstore: PathBuf,
    dir: PathBuf,
}

impl Trial {
    /// A command on the store, by way of a node.
    fn command(&self, node: usize, verb: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.chunkstore);
        command.arg(verb).args(words).args(["--store", &format!("s3://{BUCKET}/images")]);
        command.env("AWS_ENDPOINT_URL", self.cluster.endpoint(node)).env("AWS_REGION", "garage");
        let (key, secret) = &self.cluster.key;
        command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
        command.stdin(Stdio::null());
        command
    }

    fn good(&self, node: usize, verb: &str, words: &[&str]) -> Result<Output> {
        let output = self.command(node, verb, words).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "chunkstore {verb}: {said}");
        Ok(output)
    }

    fn cut(&self, node: usize, image: &Path) -> Result<Child> {
        let path = image.to_str().context("a path")?;
        Ok(self.command(node, "cut", &[path, "--quiet"]).stderr(Stdio::piped()).spawn()?)
    }

    fn restart(&mut self, node: usize) -> Result<()> {
        self.cluster.start_node(node)?;
        self.cluster.connect()?;
        // They find out by and by that it is there again.
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    /// How many packs the nodes have by now.
    fn has_begun(&self, child: &mut Child) -> Result<bool> {
        let since = Instant::now();
        let begun = || -> Result<bool> {
            let said = self.command(0, "stats", &["--json"]).output()?;
            let stats: serde_json::Value = serde_json::from_slice(&said.stdout)?;
            Ok(stats["packs"].as_u64().is_some_and(|packs| packs > 0))
        };
        while child.try_wait()?.is_none() && since.elapsed() < Duration::from_secs(60) {
            if begun()? {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(false)
    }

    fn two_builders(&mut self, one: &Path, two: &Path) -> Result<()> {
        let mut first = self.cut(0, one)?;
        let second = self.cut(1, two)?;
        let is_under_way = self.has_begun(&mut first)?;
        self.cluster.kill(2);
        ensure!(is_under_way, "the images are too small: nothing was killed meanwhile (--size)");
        for child in [first, second] {
            let output = child.wait_with_output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn come_back(&self, images: &[&Path], nodes: &[usize]) -> Result<()> {
        let copy = self.dir.join("copy");
        let path = copy.to_str().context("a path")?;
        for image in images {
            for node in nodes {
                self.good(*node, "cat", &[name(image), "--quiet", "-o", path])?;
                let is_same = sha256(&copy)? == sha256(image)?;
                fs::remove_file(&copy)?;
                ensure!(is_same, "{} is another one, by node {node}", name(image));
            }
        }
        Ok(())
    }

    /// The builder hears that it did not succeed, or does; and then the same cut does, by another node.
    fn own_node_killed(&mut self, image: &Path) -> Result<()> {
        let child = self.cut(1, image)?;
        std::thread::sleep(Duration::from_millis(700));
        self.cluster.kill(1);
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() || said.lines().count() == 1, "{said}");
        println!("  the builder says: {}", said.trim());
        self.good(0, "cut", &[image.to_str().context("a path")?, "--quiet"])?;
        self.come_back(&[image], &[0, 2])
    }

    fn serve(&mut self, image: &Path, killed: usize) -> Result<()> {
        let socket = self.dir.join("socket");
        let nbd = format!("unix:{}", socket.display());
        let words = [name(image), "--nbd", &nbd, "--patience", "60"];
        let mut server = self.command(0, "serve", &words).spawn()?;
        let copied = self.copy(&socket, killed);
        let _ = server.kill();
        server.wait()?;
        let copy = copied?;
        let is_same = sha256(&copy)? == sha256(image)?;
        fs::remove_file(&copy)?;
        ensure!(is_same, "what was served is another image");
        Ok(())
    }

    fn copy(&mut self, socket: &Path, killed: usize) -> Result<PathBuf> {
        let since = Instant::now();
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            ensure!(since.elapsed() < Duration::from_secs(30), "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let copy = self.dir.join("served");
        let uri = format!("nbd+unix:///?socket={}", socket.display());
        let mut child = Command::new("nbdcopy").arg(uri).arg(&copy).spawn()?;
        std::thread::sleep(Duration::from_millis(500));
        let is_under_way = child.try_wait()?.is_none();
        self.cluster.kill(killed);
        ensure!(child.wait()?.success(), "nbdcopy did not succeed");
        ensure!(is_under_way, "the image is too small: nothing was killed meanwhile (--size)");
        Ok(copy)
    }

    fn verify(&self) -> Result<()> {
        let output = self.good(0, "verify", &["--quiet"])?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(said.contains("3 images can be had back"), "{said}");
        println!("  {}", said.trim());
        Ok(())
    }
}
