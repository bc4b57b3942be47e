//! Three nodes of Garage on the loopback interface (Garage documentation, "Deployment on a cluster").

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The bucket.
pub const BUCKET: &str = "fleet";
/// Of the nodes among one another; it protects nothing here.
const SECRET: &str = "1799bccfd7411eddcf9ebd316bc1f5287ad12a68094e1c6ac6abde7e6feae1ec";
/// How long to wait for a node.
const PATIENCE: Duration = Duration::from_secs(60);

/// The nodes.
pub struct Cluster {
    garage: PathBuf,
    dir: PathBuf,
    nodes: Vec<Node>,
    /// Key and secret of the bucket.
    pub key: (String, String),
}

struct Node {
    rpc: u16,
    s3: u16,
    id: String,
    child: Option<Child>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for number in 0..self.nodes.len() {
            self.kill(number);
        }
    }
}

impl Cluster {
    /// Starts them in `dir`, and makes a bucket.
    pub fn start(garage: &Path, dir: &Path) -> Result<Self> {
        let nodes = (0..3).map(|_| {
            Ok(Node { rpc: free_port()?, s3: free_port()?, id: String::new(), child: None })
        });
        let nodes = nodes.collect::<Result<_>>()?;
        let key = (String::new(), String::new());
        let mut cluster = Self { garage: garage.to_owned(), dir: dir.to_owned(), nodes, key };
        for number in 0..3 {
            cluster.configure(number)?;
            cluster.start_node(number)?;
            let id = cluster.garage(number, &["node", "id", "-q"])?;
            cluster.nodes[number].id = id.trim().to_owned();
        }
        cluster.connect()?;
        for number in 0..3 {
            let id = cluster.nodes[number].id.split('@').next().unwrap_or_default().to_owned();
            let zone = format!("z{number}");
            cluster.garage(0, &["layout", "assign", "-z", &zone, "-c", "8G", &id])?;
        }
        cluster.garage(0, &["layout", "apply", "--version", "1"])?;
        cluster.retry(&["bucket", "create", BUCKET])?;
        let said = cluster.retry(&["key", "create", BUCKET])?;
        cluster.garage(
            0,
            &["bucket", "allow", "--read", "--write", "--owner", BUCKET, "--key", BUCKET],
        )?;
        let shown = cluster.garage(0, &["key", "info", BUCKET, "--show-secret"]).unwrap_or(said);
        let field = |name: &str| {
            let line = shown.lines().find_map(|line| line.trim().strip_prefix(name));
            line.map(|value| value.trim().to_owned()).with_context(|| format!("{name} {shown}"))
        };
        cluster.key = (field("Key ID:")?, field("Secret key:")?);
        Ok(cluster)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.dir.join(format!("node{number}.toml"))
    }

    fn configure(&self, number: usize) -> Result<()> {
        let (dir, Node { rpc, s3, .. }) = (self.dir.display(), &self.nodes[number]);
        let admin = free_port()?;
        let text = format!(
            "metadata_dir = \"{dir}/meta{number}\"\ndata_dir = \"{dir}/data{number}\"\n\
             db_engine = \"sqlite\"\nreplication_factor = 3\nrpc_secret = \"{SECRET}\"\n\
             rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
             [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{s3}\"\n\
             [admin]\napi_bind_addr = \"127.0.0.1:{admin}\"\n"
        );
        Ok(fs::write(self.path(number), text)?)
    }

    /// Starts a node, and waits until it listens.
    pub fn start_node(&mut self, number: usize) -> Result<()> {
        let log = File::create(self.dir.join(format!("node{number}.log")))?;
        let child = Command::new(&self.garage)
            .arg("-c")
            .arg(self.path(number))
            .arg("server")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.nodes[number].child = Some(child);
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.nodes[number].s3)).is_err() {
            ensure!(since.elapsed() < PATIENCE, "node {number} does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Has the nodes know one another: after a restart as well.
    pub fn connect(&self) -> Result<()> {
        let first = (0..3).find(|number| self.nodes[*number].child.is_some()).unwrap_or(0);
        for node in self.nodes.iter().filter(|node| node.child.is_some()) {
            if node.id != self.nodes[first].id {
                self.garage(first, &["node", "connect", &node.id])?;
            }
        }
        Ok(())
    }

    /// SIGKILL, as a machine's end would.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.nodes[number].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where a node answers as S3 does.
    pub fn endpoint(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}", self.nodes[number].s3)
    }

    /// The same once more until it succeeds: a layout takes its time.
    fn retry(&self, words: &[&str]) -> Result<String> {
        let since = Instant::now();
        loop {
            match self.garage(0, words) {
                Err(error) if since.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(500)),
                done => return done,
            }
        }
    }

    fn garage(&self, number: usize, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.garage);
        let output = command.arg("-c").arg(self.path(number)).args(words).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "garage {}: {said}", words.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
