//! Programs of the machine at work: nothing is loaded that the verdict does not name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::machine::find_program;
use statify_tests::report::Done;

use super::{code, loads, verdict};

pub fn add(cases: &mut Cases) {
    cases
        .needing(&[
            "program:localedef",
            "file:/usr/share/i18n/locales/de_DE",
            "file:/usr/share/i18n/charmaps/ISO-8859-1.gz",
        ])
        .check("host/loads/locale", locale_loads);
    for (program, arguments, categories) in REAL {
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let kind = if program.contains('/') { "file" } else { "program" };
        let mut needs = vec![format!("{kind}:{program}")];
        if SET_USER_ID.contains(&program) {
            needs.push("root".into());
        }
        cases.needing(&needs).add(&format!("host/loads/{name}"), move |case| {
            real(case, program, arguments, categories)
        });
    }
}

/// Programs of the machine, work that makes them load something, and categories that are expected.
const REAL: [(&str, &[&str], &[&str]); 18] = [
    ("getent", &["-s", "compat", "passwd", "root"], &["nss"]),
    ("id", &["root"], &["nss"]),
    ("iconv", &["-f", "UTF-16", "-t", "EUC-JP", "/dev/null"], &["gconv"]),
    (
        "/usr/bin/python3",
        &["-c", "import ssl, ctypes, sqlite3; ctypes.CDLL('libz.so.1')"],
        &["python", "nss"],
    ),
    ("perl", &["-MPOSIX", "-MSocket", "-e", "getpwnam('x')"], &["perl", "nss"]),
    ("curl", &["--version"], &["nss", "openssl"]),
    ("openssl", &["list", "-providers", "-provider", "legacy"], &["openssl"]),
    ("gio", &["info", "/"], &["gio"]),
    ("gsettings", &["get", "org.gnome.desktop.interface", "font-name"], &["gio"]),
    ("gdk-pixbuf-csource", &["/no/such/picture"], &["gtk"]),
    ("sudo", &["-V"], &["dlopen", "nss"]),
    ("su", &["-c", "true"], &["pam"]),
    ("ps", &["aux"], &["dlopen"]),
    ("ssh", &["-o", "BatchMode=yes", "nobody@localhost.invalid"], &["nss", "openssl"]),
    ("git", &["--version"], &["nss"]),
    ("gdb", &["--version"], &["gconv", "python"]),
    ("vim", &["--version"], &["gconv"]),
    ("bash", &["-c", "enable -f /no/such x; : ~root"], &["nss", "dlopen"]),
];

/// What has root's privileges heeds LD_DEBUG only if root runs it.
const SET_USER_ID: [&str; 2] = ["sudo", "su"];

/// glibc opens a converter for a locale's character set.
fn locale_loads(case: &Case) -> Result<()> {
    let locale = case.dir.join("de_DE.ISO-8859-1");
    let mut command = case.command("localedef");
    output(command.args(["-i", "de_DE", "-f", "ISO-8859-1"]).arg(&locale))?;
    let program = case.build("host", "program", &["-DLOCALE", "-O2"])?;
    let mut command = case.command(&program);
    command.env("LOCPATH", &case.dir).env("LC_ALL", "de_DE.ISO-8859-1");
    let loads = loads::loads(case, &mut command)?;
    ensure!(loads.iter().any(|load| load.name.ends_with("/ISO8859-1.so")), "{loads:?}");
    let verdict = verdict(&program)?;
    for load in loads {
        ensure!(loads::is_predicted(&verdict, &load)?, "{load:?} is not in {verdict:#}");
    }
    Ok(())
}

fn real(case: &Case, program: &str, arguments: &[&str], categories: &[&str]) -> Result<Done> {
    let path = match program.contains('/') {
        true => PathBuf::from(program),
        false => find_program(program).context("not installed")?,
    };
    if !fs::read(&path)?.starts_with(b"\x7fELF") {
        return Done::not_here(format!("{program} is no ELF file"));
    }
    let verdict = verdict(&path)?;
    let found = code(&verdict);
    for category in categories {
        let named = format!("{category} ");
        ensure!(found.iter().any(|name| name.starts_with(&named)), "no {category}: {verdict:#}");
    }
    let loads = loads::loads(case, case.command(&path).args(arguments))?;
    for load in &loads {
        ensure!(loads::is_predicted(&verdict, load)?, "{load:?} is not in {verdict:#}");
    }
    Ok(Done::Passed)
}
