//! NBD over a port: with TLS, for those who have a certificate.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::process::End;

use super::server::Server;
use super::tool::{command, cut, image, noise, refused};

pub fn add(cases: &mut Cases) {
    let libnbd = ["program:certtool", "program:nbdcopy", "program:nbdinfo"];
    cases.needing(&libnbd).check("tls/to-libnbd", libnbd_);
    cases.needing(&["program:certtool", "program:qemu-img"]).check("tls/to-qemu", qemu);
    cases.needing(&libnbd).check("tls/without-the-right-certificate", strangers);
    cases.needing(&libnbd).check("tls/garbage", garbage);
    cases.needing(&["program:certtool"]).check("tls/half-a-handshake", half_a_handshake);
    cases.check("tls/no-port-without-it", no_port);
    cases.needing(&["program:certtool"]).check("tls/unfit-certificates", unfit);
}

/// Certificates of a CA, for a server and a client.
fn certificates(dir: &Path) -> Result<PathBuf> {
    fs::create_dir(dir)?;
    let templates = [
        ("ca", "cn = \"CA\"\nca\ncert_signing_key\n"),
        ("server", "cn = \"localhost\"\ndns_name = \"localhost\"\ntls_www_server\nsigning_key\n"),
        ("client", "cn = \"client\"\ntls_www_client\nsigning_key\n"),
    ];
    for (name, template) in templates {
        let at = |end: &str| dir.join(format!("{name}{end}"));
        fs::write(at(".template"), template)?;
        let mut key = Command::new("certtool");
        output(
            key.args(["--generate-privkey", "--key-type=ed25519", "--outfile"]).arg(at("-key.pem")),
        )?;
        fs::set_permissions(at("-key.pem"), Permissions::from_mode(0o600))?;
        let mut certificate = Command::new("certtool");
        certificate.arg("--template").arg(at(".template"));
        certificate.arg("--load-privkey").arg(at("-key.pem"));
        match name {
            "ca" => certificate.arg("--generate-self-signed"),
            _ => certificate
                .arg("--generate-certificate")
                .arg("--load-ca-certificate")
                .arg(dir.join("ca-cert.pem"))
                .arg("--load-ca-privkey")
                .arg(dir.join("ca-key.pem")),
        };
        output(certificate.arg("--outfile").arg(at("-cert.pem")))?;
    }
    Ok(dir.to_owned())
}

/// A server at a port, and its image.
struct Encrypted {
    server: Server,
    port: u16,
    certificates: PathBuf,
    bytes: Vec<u8>,
}

impl Encrypted {
    fn start(case: &Case) -> Result<Self> {
        let store = case.dir.join("store");
        let parts = [(5000, &noise(1, 3_000_000)[..])];
        let path = image(&case.dir.join("image"), 4 << 20, &parts)?;
        cut(&path, &store, &[])?;
        let certificates = certificates(&case.dir.join("certificates"))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let words = ["image", "--nbd", &address, "--tls-certificates"].map(OsStr::new);
        let words = words.into_iter().chain([certificates.as_os_str()]);
        let mut command = command("serve", words, &store)?;
        command.stderr(fs::File::create(case.dir.join("log"))?);
        let server = Server::spawn(&mut command, &case.dir.join("none"))?;
        let server = server.until(|| TcpStream::connect(&address).is_ok(), "it does not listen")?;
        Ok(Self { server, port, certificates, bytes: fs::read(path)? })
    }

    fn uri(&self, certificates: &Path) -> String {
        let (port, certificates) = (self.port, certificates.display());
        format!("nbds://localhost:{port}/image?tls-certificates={certificates}")
    }

    fn comes_back(&self, case: &Case) -> Result<()> {
        let copy = case.dir.join("copy");
        let _ = fs::remove_file(&copy);
        let mut command = Command::new("nbdcopy");
        output(command.arg("--connections=3").arg(self.uri(&self.certificates)).arg(&copy))?;
        ensure!(fs::read(&copy)? == self.bytes);
        Ok(())
    }
}

fn libnbd_(case: &Case) -> Result<()> {
    let encrypted = Encrypted::start(case)?;
    encrypted.comes_back(case)?;
    let said = output(Command::new("nbdinfo").arg(encrypted.uri(&encrypted.certificates)))?;
    ensure!(said.contains("newstyle-fixed with TLS, using structured packets"), "{said}");
    Ok(())
}

fn qemu(case: &Case) -> Result<()> {
    let encrypted = Encrypted::start(case)?;
    let copy = case.dir.join("copy");
    let credentials = encrypted.certificates.display();
    let port = encrypted.port;
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-O", "raw", "--object"]);
    command.arg(format!("tls-creds-x509,id=tls,endpoint=client,dir={credentials}"));
    command.arg("--image-opts").arg(format!(
        "driver=nbd,server.type=inet,server.host=localhost,server.port={port},export=image,tls-creds=tls"
    ));
    output(command.arg(&copy))?;
    ensure!(fs::read(&copy)? == encrypted.bytes);
    Ok(())
}

/// Clients that do not encrypt, have no certificate, or one of somebody else.
fn strangers(case: &Case) -> Result<()> {
    let mut encrypted = Encrypted::start(case)?;
    let others = certificates(&case.dir.join("others"))?;
    // It believes the server, who is not to believe it.
    fs::copy(encrypted.certificates.join("ca-cert.pem"), others.join("ca-cert.pem"))?;
    let without = case.dir.join("without");
    fs::create_dir(&without)?;
    fs::copy(encrypted.certificates.join("ca-cert.pem"), without.join("ca-cert.pem"))?;
    let plain = format!("nbd://localhost:{}/image", encrypted.port);
    for uri in [plain, encrypted.uri(&others), encrypted.uri(&without)] {
        for program in ["nbdinfo", "nbdcopy"] {
            let mut command = Command::new(program);
            command.arg(&uri);
            if program == "nbdcopy" {
                command.arg("null:");
            }
            let outcome = run(&mut command)?;
            ensure!(outcome.end != End::Exit(0), "{uri}: {}", outcome.stdout_text());
            ensure!(!outcome.stdout_text().contains("4194304"), "it was told of the image");
        }
    }
    let said = fs::read_to_string(case.dir.join("log"))?;
    ensure!(said.contains("a client at 127.0.0.1:"), "{said}");
    encrypted.comes_back(case)?;
    ensure!(encrypted.server.is_alive()?);
    Ok(())
}

fn garbage(case: &Case) -> Result<()> {
    let mut encrypted = Encrypted::start(case)?;
    for round in 0..60u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", encrypted.port))?;
        let mut said = 3u32.to_be_bytes().to_vec();
        match round % 3 {
            0 => said = noise(round, round as usize * 9),
            1 => {
                said.extend(b"IHAVEOPT\0\0\0\x05\0\0\0\0");
                said.extend(noise(round, round as usize * 20));
            }
            _ => {
                // As TLS begins.
                said.extend(b"IHAVEOPT\0\0\0\x05\0\0\0\0\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03");
                said.extend(noise(round, round as usize * 20));
            }
        }
        let _ = stream.write_all(&said);
        if round % 2 == 0 {
            stream.set_read_timeout(Some(Duration::from_millis(50)))?;
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    encrypted.comes_back(case)?;
    ensure!(encrypted.server.is_alive()?);
    Ok(())
}

/// A record of TLS of which a byte comes now and then.
fn half_a_handshake(case: &Case) -> Result<()> {
    let encrypted = Encrypted::start(case)?;
    let mut slow = TcpStream::connect(("127.0.0.1", encrypted.port))?;
    slow.write_all(&3u32.to_be_bytes())?;
    slow.write_all(b"IHAVEOPT\0\0\0\x05\0\0\0\0\x16\x03\x01\x20\0\x01\0\x1f\xfc\x03\x03")?;
    let since = Instant::now();
    while slow.write_all(&[0]).is_ok() {
        ensure!(since.elapsed() < Duration::from_secs(40), "it still listens");
        std::thread::sleep(Duration::from_millis(500));
    }
    ensure!(since.elapsed() > Duration::from_secs(25), "{:?}", since.elapsed());
    Ok(())
}

fn no_port(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    cut(&image(&case.dir.join("image"), 9000, &[(0, b"image")])?, &store, &[])?;
    let address = format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    refused("serve", ["image", "--nbd", &address], &store, "with --tls-certificates only")?;
    let socket = format!("unix:{}", case.dir.join("socket").display());
    let words = ["image", "--nbd", &socket, "--tls-certificates", "/nowhere"];
    refused("serve", words, &store, "is not encrypted")?;
    let mut command = command("serve", ["image", "--nbd", "localhost"], &store)?;
    let outcome = run(command.stdin(Stdio::null()))?;
    ensure!(outcome.end == End::Exit(2), "{}", outcome.stderr_text());
    Ok(())
}

/// Files that are not what they should be.
fn unfit(case: &Case) -> Result<()> {
    let store = case.dir.join("store");
    cut(&image(&case.dir.join("image"), 9000, &[(0, b"image")])?, &store, &[])?;
    let dir = certificates(&case.dir.join("certificates"))?;
    let address = format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    let certificates = dir.to_str().unwrap_or_default();
    let words = ["image", "--nbd", &address, "--tls-certificates", certificates];
    let key = dir.join("server-key.pem");
    fs::set_permissions(&key, Permissions::from_mode(0o644))?;
    refused("serve", words, &store, "every user can read it")?;
    fs::set_permissions(&key, Permissions::from_mode(0o600))?;
    fs::copy(dir.join("client-key.pem"), &key)?;
    refused("serve", words, &store, "server-cert.pem: it cannot be used for TLS")?;
    fs::write(&key, "nonsense")?;
    refused("serve", words, &store, "server-key.pem: it cannot be used for TLS")?;
    fs::write(dir.join("ca-cert.pem"), "nonsense")?;
    refused("serve", words, &store, "ca-cert.pem: it cannot be used for TLS")?;
    fs::remove_file(dir.join("ca-cert.pem"))?;
    refused("serve", words, &store, "ca-cert.pem: it cannot be used for TLS")
}
