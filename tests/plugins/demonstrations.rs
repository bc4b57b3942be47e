//! Programs that find their plugins in their own ways, traced once and then run where there is nothing: no library, no /proc,
//! no ld.so.cache. Data files are there, with empty files in the place of shared objects.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::machine::find_program;

use crate::plugins::empty_root::EmptyRoot;

pub fn add(cases: &mut Cases) {
    let data = ["/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/hosts"];
    cases.needing(&needs("program:getent", &data)).check("demonstrations/getent", move |case| {
        // A service that is a module of its own.
        let work = ["-s", "compat", "passwd", "root"];
        demonstrate(case, &Demonstration { program: "getent", data: &data, arguments: &work })
    });
    for encoding in ["UTF-16", "SHIFT_JIS", "EUC-JP"] {
        let name = format!("demonstrations/iconv/{encoding}");
        cases.needing(&needs("program:iconv", &[])).check(&name, move |case| {
            let text = case.dir.join("text");
            fs::write(&text, "日本 kana カナ\n")?;
            let text = text.display().to_string();
            let arguments = ["-f", "UTF-8", "-t", encoding, &text];
            let data = [text.as_str()];
            demonstrate(
                case,
                &Demonstration { program: "iconv", data: &data, arguments: &arguments },
            )
        });
    }
    cases.needing(&needs("userns", &[])).check_glibc("demonstrations/converters", |case| {
        let program = case.build("convert", "convert", &["-O2"])?;
        let arguments = ["UTF-16", "SHIFT_JIS", "EUC-JP", "ISO-2022-JP"];
        let what = Demonstration { program: "", data: &[], arguments: &arguments };
        demonstrate_file(case, &program, &what)
    });
    let files = ["/etc/passwd", "/etc/group"];
    cases.needing(&needs("userns", &files)).check_glibc("demonstrations/users", move |case| {
        let program = case.build("lookup", "lookup", &["-O2"])?;
        let what = Demonstration { program: "", data: &files, arguments: &[] };
        demonstrate_file(case, &program, &what)
    });
    cases.needing(&needs("program:openssl", &[])).check("demonstrations/openssl", |case| {
        let arguments = [
            "list",
            "-provider",
            "legacy",
            "-provider",
            "default",
            "-providers",
            "-cipher-algorithms",
        ];
        demonstrate(case, &Demonstration { program: "openssl", data: &[], arguments: &arguments })
    });
    let modules = format!("python:{PYTHON_MODULES}");
    cases.needing(&needs(&modules, &[])).check("demonstrations/python3", python);
    let modules =
        "perl:POSIX,List::Util,Digest::SHA,Socket,Storable,Time::HiRes,Data::Dumper,Encode";
    cases.needing(&needs(modules, &[])).check("demonstrations/perl", perl);
    cases
        .needing(&needs("program:gdk-pixbuf-csource", &PIXBUF))
        .check("demonstrations/gdk-pixbuf", pixbuf);
    let data = ["/usr/share/glib-2.0/schemas", "/usr/lib/x86_64-linux-gnu/gio"];
    let gsettings = needs("program:gsettings", &data);
    cases.needing(&gsettings).check("demonstrations/gsettings", move |case| {
        let arguments = ["get", "org.gnome.desktop.interface", "font-name"];
        demonstrate(
            case,
            &Demonstration { program: "gsettings", data: &data, arguments: &arguments },
        )
    });
    cases
        .needing(&needs("library:libsasl2.so.2", &[SASL_MODULES]))
        .check("demonstrations/sasl", sasl);
    let pam_data = ["/lib/x86_64-linux-gnu/security/pam_permit.so", "/etc/passwd"];
    cases.needing(&needs("library:libpam.so.0", &pam_data)).check("demonstrations/pam", pam);
    let mut curl_needs = needs("program:curl", &["/etc/hosts", "/etc/nsswitch.conf"]);
    curl_needs.push("network-loopback".into());
    cases.needing(&curl_needs).check("demonstrations/curl", curl);
}

const PYTHON_MODULES: &str =
    "decimal, hashlib, json, sys, ctypes, sqlite3, ssl, readline, lzma, bz2, uuid";
const PIXBUF: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0", "/usr/share/mime"];
const SASL_MODULES: &str = "/usr/lib/x86_64-linux-gnu/sasl2";

/// What a demonstration needs that shows `what` in an empty root with `files`.
fn needs(what: &str, files: &[&str]) -> Vec<String> {
    let files = files.iter().map(|file| format!("file:{file}"));
    ["userns".to_owned(), what.to_owned()].into_iter().chain(files).collect()
}

struct Demonstration<'a> {
    program: &'a str,
    data: &'a [&'a str],
    arguments: &'a [&'a str],
}

/// Traces the program, and runs it in an empty root: the output is the traced run's.
fn demonstrate(case: &Case, what: &Demonstration<'_>) -> Result<()> {
    demonstrate_file(case, &find_program(what.program).context("not installed")?, what)
}

fn demonstrate_file(case: &Case, program: &Path, what: &Demonstration<'_>) -> Result<()> {
    let out = case.dir.join("converted");
    let mut command = case.statify.command([program, "-o".as_ref(), &out]);
    command.args(["--quiet", "--host-libs", "deny", "--trace", "--"]).args(what.arguments);
    command.env("LANG", "C");
    let original = output(&mut command)?;
    let root = EmptyRoot::new(case, &out)?;
    for data in what.data {
        root.add(Path::new(data))?;
    }
    let converted = output(&mut root.command(what.arguments)?)?;
    ensure!(!original.is_empty(), "the original said nothing");
    ensure!(converted == original, "original:\n{original}\nconverted:\n{converted}");
    Ok(())
}

fn python(case: &Case) -> Result<()> {
    let script = format!(
        "import {PYTHON_MODULES}\n\
        print(json.dumps([1, 2]), decimal.Decimal('1.1') + 1, hashlib.sha256(b'x').hexdigest())\n\
        print(sqlite3.connect(':memory:').execute('select 6 * 7').fetchone())\n\
        print(len(lzma.decompress(lzma.compress(b'y' * 1000))), len(bz2.compress(b'z')) > 0)\n\
        print(ctypes.CDLL(None).getpid() > 0, ssl.OPENSSL_VERSION)\n\
        print('日本'.encode('shift_jis'))"
    );
    let program = find_program("python3").context("no python3")?;
    let mut command = Command::new(&program);
    let where_from = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let library = command.args(["-c", where_from]).stderr(Stdio::null()).output()?;
    let library = String::from_utf8(library.stdout)?;
    let data = [library.trim()];
    let arguments = ["-S", "-c", &script];
    demonstrate_file(
        case,
        &program,
        &Demonstration { program: "", data: &data, arguments: &arguments },
    )
}

fn perl(case: &Case) -> Result<()> {
    let script = case.dir.join("script.pl");
    fs::write(
        &script,
        "use POSIX; use List::Util qw(sum); use Digest::SHA qw(sha1_hex); use Socket; use Storable qw(dclone);\n\
         use Time::HiRes; use Data::Dumper; use Encode;\n\
         print floor(3.7), \" \", sum(1..4), \" \", sha1_hex('x'), \" \", inet_ntoa(INADDR_LOOPBACK), \"\\n\";\n\
         print scalar(@{dclone([1, 2])}), \" \", length(encode('UTF-16', 'abc')), \"\\n\";",
    )?;
    let program = find_program("perl").context("no perl")?;
    let include =
        Command::new(&program).args(["-e", "print join \"\\n\", grep { -d } @INC"]).output()?;
    let include = String::from_utf8(include.stdout)?;
    let script = script.display().to_string();
    let data: Vec<&str> =
        include.lines().filter(|line| line.starts_with("/usr/")).chain([script.as_str()]).collect();
    demonstrate_file(
        case,
        &program,
        &Demonstration { program: "", data: &data, arguments: &[&script] },
    )
}

/// A picture, read by a loader that is a module.
fn pixbuf(case: &Case) -> Result<()> {
    let picture = case.dir.join("picture.bmp");
    let mut bytes = b"BM".to_vec();
    for word in [70u32, 0, 54, 40, 2, 2, 1 | 24 << 16, 0, 16, 2835, 2835, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0]);
    fs::write(&picture, bytes)?;
    let picture = picture.display().to_string();
    let data = [PIXBUF[0], PIXBUF[1], &picture];
    let arguments = ["--raw", &picture];
    let program = "gdk-pixbuf-csource";
    demonstrate(case, &Demonstration { program, data: &data, arguments: &arguments })
}

/// libsasl2 looks into a directory for its modules.
fn sasl(case: &Case) -> Result<()> {
    let program = case.build("mechanisms", "mechanisms", &["-O2", "-l:libsasl2.so.2"])?;
    demonstrate_file(
        case,
        &program,
        &Demonstration { program: "", data: &[SASL_MODULES], arguments: &[] },
    )
}

/// A service that lets everybody in.
fn pam(case: &Case) -> Result<()> {
    let program = case.build("service", "service", &["-O2", "-l:libpam.so.0"])?;
    let dir = case.dir.join("pam.d");
    fs::create_dir(&dir)?;
    let rules =
        "auth required pam_permit.so\nauth required pam_warn.so\naccount required pam_permit.so\n";
    fs::write(dir.join("test"), rules)?;
    let dir = dir.display().to_string();
    let (data, arguments) = ([dir.as_str(), "/etc/passwd"], [dir.as_str()]);
    demonstrate_file(
        case,
        &program,
        &Demonstration { program: "", data: &data, arguments: &arguments },
    )
}

/// curl sends mail to a server that asks for a user by SASL. Both find the server by its name.
fn curl(case: &Case) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let server = std::thread::spawn(move || -> Result<Vec<String>> {
        (0..2).map(|_| serve_mail(listener.accept()?.0)).collect()
    });
    let mail = case.dir.join("mail");
    fs::write(&mail, "Subject: test\r\n\r\ntext\r\n")?;
    let (mail, url) = (mail.display().to_string(), format!("smtp://localhost:{port}/client"));
    let arguments = [
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--url",
        &url,
        "--user",
        "user:secret",
        "--login-options",
        "AUTH=CRAM-MD5",
        "--mail-from",
        "a@b",
        "--mail-rcpt",
        "c@d",
        "--upload-file",
        &mail,
        "--write-out",
        "%{response_code} %{exitcode}\n",
    ];
    let data = ["/etc/hosts", "/etc/nsswitch.conf", &mail];
    // Where it fails, nobody will connect any more.
    demonstrate(case, &Demonstration { program: "curl", data: &data, arguments: &arguments })?;
    let said = server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    ensure!(said[0] == said[1] && said[0].contains("AUTH CRAM-MD5"), "{said:?}");
    Ok(())
}

/// Receives one mail; what the client said.
fn serve_mail(stream: TcpStream) -> Result<String> {
    let mut to = stream.try_clone()?;
    let mut said = String::new();
    let mut lines = BufReader::new(stream).lines();
    let mut say = |text: &str| to.write_all(text.as_bytes());
    say("220 test\r\n")?;
    while let Some(line) = lines.next() {
        let line = line?;
        let word = line.split(' ').next().unwrap_or_default().to_owned();
        said.push_str(&line);
        said.push('\n');
        match word.as_str() {
            "EHLO" => say("250-test\r\n250 AUTH CRAM-MD5 PLAIN\r\n")?,
            "AUTH" => {
                say("334 PDE+\r\n")?;
                said.push_str(&lines.next().context("no answer")??);
                say("235 welcome\r\n")?;
            }
            "DATA" => {
                say("354 go on\r\n")?;
                for line in lines.by_ref() {
                    if line? == "." {
                        break;
                    }
                }
                say("250 taken\r\n")?;
            }
            "QUIT" => {
                say("221 bye\r\n")?;
                break;
            }
            _ => say("250 fine\r\n")?,
        }
    }
    Ok(said)
}
