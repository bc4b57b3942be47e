//! Real programs and this machine's processes: no alarm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::machine::find_program;
use statify_tests::report::Done;

use super::waiting::{Waiting, alarms, audit};

/// Programs that wait for input, with many libraries and many ways to load them.
const PROGRAMS: [(&str, &[&str]); 10] = [
    ("bash", &["-c", "read x"]),
    ("python3", &["-c", "import ssl, json, ctypes, sqlite3, decimal, curses, asyncio; input()"]),
    ("perl", &["-e", "use POSIX; use Socket; use Data::Dumper; use Encode; <STDIN>"]),
    ("node", &["-e", "process.stdin.resume()"]),
    ("gdb", &["-q", "-nx", "-batch", "-ex", "shell cat"]),
    ("curl", &["-s", "-K", "-"]),
    ("git", &["hash-object", "--stdin"]),
    ("openssl", &["dgst", "-sha256"]),
    ("c++", &["-E", "-x", "c++", "-"]),
    ("iconv", &["-f", "EUC-JP", "-t", "UTF-8"]),
];
/// Those that are audited converted, too.
const CONVERTED: [&str; 6] = ["bash", "python3", "perl", "curl", "git", "openssl"];

/// What running one of them needs.
fn needs(name: &str) -> Vec<String> {
    let mut needs = vec![format!("program:{name}")];
    needs.extend(match name {
        "python3" => Some("python:ssl, json, ctypes, sqlite3, decimal, curses, asyncio".into()),
        "perl" => Some("perl:POSIX,Socket,Data::Dumper,Encode".into()),
        "c++" => Some("c++".into()),
        _ => None,
    });
    needs
}

pub fn add(cases: &mut Cases) {
    for (name, arguments) in PROGRAMS {
        let needs = needs(name);
        cases.needing(&needs).check(&format!("audit/program-{name}"), move |case| {
            let program = find_program(name).context("not installed")?;
            silent(case.command(&program).args(arguments))
        });
    }
    for name in CONVERTED {
        let needs = needs(name);
        cases.needing(&needs).check(&format!("audit/program-{name}-converted"), move |case| {
            let program = find_program(name).context("not installed")?;
            let arguments = PROGRAMS.iter().find(|(known, _)| *known == name).map(|known| known.1);
            let arguments = arguments.unwrap_or_default();
            for flags in [&[][..], &["--force", "--fixed"]] {
                let converted = case.convert_to(&program, name, flags)?;
                silent(case.command(&converted).args(arguments))?;
            }
            Ok(())
        });
    }
    cases.add("audit/daemons", daemons);
    cases.check("audit/every-process-of-this-machine", |_| {
        let (report, _) = audit::<&str>(&[], &["--all"])?;
        let processes = report["processes"].as_array().map_or(&[][..], Vec::as_slice);
        ensure!(!processes.is_empty());
        for process in processes {
            let program = Path::new(process["program"].as_str().unwrap_or_default());
            // Other tests run programs that tamper with themselves.
            let name = program.file_name().map(|name| name.to_string_lossy().into_owned());
            let is_test = name.is_some_and(|name| name.starts_with("tampered"));
            let count = process["alarms"].as_array().map_or(0, Vec::len);
            let pid = process["pid"].as_u64().unwrap_or_default() as u32;
            ensure!(is_test || count == 0 || !alarms_for_good(pid)?, "{process:#}");
        }
        Ok(())
    });
}

/// Whether a process that nobody traces is an alarm once more. Other tests run debuggers, whose
/// breakpoints are changed code.
fn alarms_for_good(pid: u32) -> Result<bool> {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return Ok(false) };
    let mut lines = status.lines();
    let tracer = lines.find_map(|line| line.strip_prefix("TracerPid:"));
    if tracer.is_none_or(|tracer| tracer.trim() != "0") {
        return Ok(false);
    }
    let (report, _) = audit(&[pid.to_string()], &[])?;
    // It may be gone by now.
    let again = report["processes"][0]["alarms"].as_array();
    Ok(again.is_some_and(|alarms| !alarms.is_empty()))
}

trait ConvertTo {
    fn convert_to(&self, program: &Path, name: &str, flags: &[&str]) -> Result<PathBuf>;
}

impl ConvertTo for Case {
    /// Converts a program of the machine's into the test's directory.
    fn convert_to(&self, program: &Path, name: &str, flags: &[&str]) -> Result<PathBuf> {
        let out = self.dir.join(name);
        self.statify.convert(program, &out, flags)?;
        Ok(out)
    }
}

fn silent(command: &mut Command) -> Result<()> {
    let waiting = Waiting::settled(command)?;
    let (report, status) = audit(&[waiting.pid()], &[])?;
    let found = alarms(&report)?;
    ensure!(found.is_empty() && status == 0, "{command:?}: {found:#?}");
    Ok(())
}

/// As many of the daemons of a usual system as are installed.
fn daemons(case: &Case) -> Result<Done> {
    let dir = case.dir.display();
    fs::write(
        case.dir.join("nginx.conf"),
        format!(
            "daemon off; master_process off; error_log stderr; pid {dir}/nginx.pid; events {{}}\n\
             http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;\n\
             fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             server {{ listen unix:{dir}/nginx.sock; }} }}\n"
        ),
    )?;
    fs::write(
        case.dir.join("bus.conf"),
        format!("<busconfig><type>session</type><listen>unix:path={dir}/bus</listen></busconfig>"),
    )?;
    let bus = format!("--config-file={dir}/bus.conf");
    let configuration = format!("{dir}/nginx.conf");
    let key = format!("{dir}/key");
    let daemons: [(&str, &[&str]); 8] = [
        ("dbus-daemon", &["--nofork", "--nopidfile", &bus]),
        ("nginx", &["-c", &configuration, "-e", "stderr"]),
        ("sshd", &["-D", "-e", "-f", "/dev/null", "-h", &key, "-o", "ListenAddress=127.0.0.1:0"]),
        ("ssh-agent", &["-D", "-a", &format!("{dir}/agent")]),
        ("gpg-agent", &["--homedir", &format!("{dir}/gpg"), "--server"]),
        ("ntpd", &["-n", "-c", "/dev/null"]),
        ("rsyslogd", &["-n", "-i", "NONE", "-f", "/dev/null"]),
        ("snmpd", &["-f", "-C", "--rocommunity=none", "unix:/dev/null"]),
    ];
    fs::create_dir(case.dir.join("gpg"))?;
    if let Some(keygen) = find_program("ssh-keygen") {
        let arguments = ["-q", "-t", "ed25519", "-N", "", "-f", &key];
        statify_tests::case::run(case.command(keygen).args(arguments))?;
    }
    let mut audited = 0;
    for (name, arguments) in daemons {
        let Some(program) = find_program(name) else { continue };
        // What does not start here (a port, a directory, a right that is missing) is no matter.
        let Ok(waiting) = Waiting::settled(case.command(&program).args(arguments)) else {
            continue;
        };
        let (report, _) = audit(&[waiting.pid()], &[])?;
        ensure!(alarms(&report)?.is_empty(), "{name}: {report:#}");
        audited += 1;
    }
    if audited == 0 {
        Done::not_here("no daemon that can be started is installed")
    } else {
        Ok(Done::Passed)
    }
}
