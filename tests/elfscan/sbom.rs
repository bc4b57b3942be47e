//! `elfscan sbom`: valid CycloneDX, and what it says of packages is what the package manager says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use statify_tests::case::{Case, Cases, output};
use statify_tests::machine::{find_program, test_python};
use statify_tests::process::{self, End, Limits};
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use crate::elfscan::tool::{elfscan, json};

pub fn add(cases: &mut Cases) {
    for (name, flags) in [
        ("randomised", &[][..]),
        ("fixed", &["--fixed"]),
        ("plugins", &["--with", "libm.so.6", "libz.so.1"]),
    ] {
        let library: &[&str] = if name == "plugins" { &["library:libz.so.1"] } else { &[] };
        let needs = [SCHEMAS, library].concat();
        cases.needing(&needs).check(&format!("sbom/schema/{name}"), move |case| {
            let program = case.build("greet", "greet", &["-O1"])?;
            valid(&case.convert(&program, flags)?)
        });
    }
    let needs = [SCHEMAS, &["program:curl"]].concat();
    cases.needing(&needs).check("sbom/schema/curl", |case| of_machine(case, valid));
    cases.needing(SCHEMAS).add_for(Toolchain::Musl, "sbom/schema/musl", |case| {
        let program = case.build("greet", "greet", &["-O1"])?;
        valid(&case.convert(&program, &[])?).map(|()| Done::Passed)
    });
    cases.check("sbom/reproducible", reproducible);
    cases
        .needing(&["program:curl", "program:dpkg-query"])
        .check("sbom/as-dpkg-says", |case| of_machine(case, as_dpkg_says));
    cases.check("sbom/dependencies", dependencies);
    cases.check("sbom/root/dpkg", dpkg_root);
    cases.check("sbom/root/apk", apk_root);
}

fn of_machine(case: &Case, test: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let program = find_program("curl").context("no curl")?;
    test(&case.convert(&program, &[])?)
}

fn sbom(out: &Path, arguments: &[&str]) -> Result<Value> {
    let out = out.display().to_string();
    let arguments = [&["sbom", &*out], arguments].concat();
    let (value, status) = json(arguments)?;
    ensure!(status == 0, "exit status {status}");
    Ok(value)
}

/// A Python with CycloneDX's own validator, and the schema in it.
const SCHEMAS: &[&str] = &["cyclonedx"];

/// What the validator says of each of these.
fn validate(boms: &[&Value]) -> Result<Vec<String>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/elfscan/validate_sbom.py");
    let mut command = Command::new(test_python().context("no TEST_PYTHON")?);
    command.arg(script).env_clear();
    let lines: String = boms.iter().map(|bom| format!("{bom}\n")).collect();
    let outcome = process::run(&mut command, lines.as_bytes(), Limits::seconds(60))?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
    Ok(outcome.stdout_text().lines().map(str::to_owned).collect())
}

fn valid(out: &Path) -> Result<()> {
    let bom = sbom(out, &[])?;
    check_form(&bom)?;
    let changes: [(&str, Value); 4] = [
        ("/serialNumber", "urn:uuid:1".into()),
        ("/components/0/type", "lib".into()),
        ("/components/0/hashes/0/content", "xyz".into()),
        ("/metadata/component/name", Value::Null),
    ];
    let mut wrong = Vec::new();
    for (at, value) in &changes {
        let mut bom = bom.clone();
        *bom.pointer_mut(at).with_context(|| (*at).to_owned())? = value.clone();
        wrong.push(bom);
    }
    let at_a_time = sbom(out, &["--timestamp", "now"])?;
    let boms: Vec<&Value> = [&bom, &at_a_time].into_iter().chain(&wrong).collect();
    let said = validate(&boms)?;
    let (right, wrong) = said.split_at_checked(2).context("it says less")?;
    ensure!(right == ["valid", "valid"], "{}", right.join("\n"));
    // The validator sees what is wrong.
    let seen = wrong.iter().zip(&changes).all(|(said, (at, _))| said.starts_with(at));
    ensure!(wrong.len() == changes.len() && seen, "{}", wrong.join("\n"));
    Ok(())
}

/// What a schema cannot say: every reference leads to a component, and each is named once.
fn check_form(bom: &Value) -> Result<()> {
    let parts = bom["components"].as_array().into_iter().flatten();
    let parts = parts.chain([&bom["metadata"]["component"]]);
    let refs: Vec<&str> = parts.filter_map(|part| part["bom-ref"].as_str()).collect();
    let unique: BTreeSet<&str> = refs.iter().copied().collect();
    ensure!(unique.len() == refs.len() && !refs.is_empty(), "{refs:?}");
    let dependencies = bom["dependencies"].as_array().context("no dependencies")?;
    ensure!(dependencies.len() == refs.len(), "not one dependency each");
    for dependency in dependencies {
        let needs = dependency["dependsOn"].as_array().into_iter().flatten();
        for part in needs.chain([&dependency["ref"]]) {
            ensure!(part.as_str().is_some_and(|part| unique.contains(part)), "{part} is no part");
        }
    }
    Ok(())
}

fn reproducible(case: &Case) -> Result<()> {
    let program = case.build("greet", "greet", &["-O1"])?;
    let out = case.convert(&program, &[])?;
    let bytes = || output(elfscan(["sbom".as_ref(), out.as_os_str()])?.current_dir(&case.dir));
    let first = bytes()?;
    ensure!(first == bytes()?, "another document");
    ensure!(!first.contains("timestamp"), "it says when it was made");
    let bom: Value = serde_json::from_str(&first)?;
    let dated = sbom(&out, &["--timestamp", "951827696"])?;
    ensure!(dated["metadata"]["timestamp"] == "2000-02-29T12:34:56Z", "{}", dated["metadata"]);
    ensure!(dated["serialNumber"] != bom["serialNumber"], "two documents of the same number");
    Ok(())
}

/// A component's property of ours.
fn property<'a>(part: &'a Value, name: &str) -> Option<&'a str> {
    let mut properties = part["properties"].as_array()?.iter();
    let name = format!("elfscan:{name}");
    properties.find(|property| property["name"] == *name)?["value"].as_str()
}

fn parts(bom: &Value) -> impl Iterator<Item = &Value> {
    let components = bom["components"].as_array().into_iter().flatten();
    components.chain([&bom["metadata"]["component"]])
}

fn part<'a>(bom: &'a Value, end: &str) -> Result<&'a Value> {
    let is_it = |part: &&Value| part["bom-ref"].as_str().is_some_and(|name| name.ends_with(end));
    parts(bom).find(is_it).with_context(|| format!("no {end} in {bom}"))
}

fn as_dpkg_says(out: &Path) -> Result<()> {
    let bom = sbom(out, &[])?;
    let mut seen = 0;
    for part in parts(&bom).filter(|part| part["purl"].is_string()) {
        let name = property(part, "package:name").context("a package without a name")?;
        let purl = part["purl"].as_str().unwrap_or_default();
        let architecture = purl.split("arch=").nth(1).and_then(|rest| rest.split('&').next());
        let full = format!("{name}:{}", architecture.unwrap_or_default());
        let mut query = Command::new("dpkg-query");
        let said = output(query.args(["-W", "-f", "${Version}\n", &full]))?;
        ensure!(part["version"] == said.trim(), "{name}: {} and {said}", part["version"]);
        let files = output(Command::new("dpkg-query").args(["-L", &full]))?;
        let path = part["bom-ref"].as_str().unwrap_or_default();
        let real = |line: &str| fs::canonicalize(line).ok();
        let lists = files.lines().any(|line| line == path || real(line) == real(path));
        ensure!(lists, "{full} does not list {path}");
        ensure!(property(part, "package:evidence") == Some("verified"), "{part}");
        let hash = Sha256::digest(fs::read(path)?);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(part["hashes"][0]["content"] == hash, "{path}: another hash");
        seen += 1;
    }
    ensure!(seen > 3, "only {seen} packages are known");
    Ok(())
}

/// A program that needs one library, which needs another, both of the test's directory.
fn chain(case: &Case) -> Result<PathBuf> {
    case.library("libinner.so", "int inner(void) { return 1; }", &["-Wl,-soname,libinner.so"])?;
    let linked = case.link(&["libinner.so"]);
    let mut flags = vec!["-Wl,-soname,libouter.so"];
    flags.extend(linked.iter().map(String::as_str));
    case.library("libouter.so", "int inner(void); int outer(void) { return inner(); }", &flags)?;
    let linked = case.link(&["libouter.so"]);
    let flags: Vec<&str> = ["-O1"].into_iter().chain(linked.iter().map(String::as_str)).collect();
    let program = case.build("greet", "greet", &flags)?;
    case.convert(&program, &[])
}

fn dependencies(case: &Case) -> Result<()> {
    let bom = sbom(&chain(case)?, &[])?;
    check_form(&bom)?;
    let needs = |end: &str| -> Result<Vec<String>> {
        let name = part(&bom, end)?["bom-ref"].clone();
        let found = bom["dependencies"].as_array().into_iter().flatten();
        let found = found.filter(|dependency| dependency["ref"] == name);
        let needs = found.filter_map(|dependency| dependency["dependsOn"].as_array()).flatten();
        let last = |path: &Value| path.as_str()?.rsplit('/').next().map(str::to_owned);
        Ok(needs.filter_map(last).collect())
    };
    let program = needs("/greet")?;
    for name in ["libouter.so", "libc.so.6", "ld-linux-x86-64.so.2", "statify-starter"] {
        ensure!(program.iter().any(|need| need == name), "{name} is not in {program:?}");
    }
    ensure!(!program.iter().any(|need| need == "libinner.so"), "{program:?}");
    ensure!(
        needs("/libouter.so")?.contains(&"libinner.so".to_owned()),
        "{:?}",
        needs("/libouter.so")
    );
    ensure!(needs("/libc.so.6")? == ["ld-linux-x86-64.so.2"], "{:?}", needs("/libc.so.6")?);
    Ok(())
}

/// A root with the program's files in it, and what is written there besides.
fn root(case: &Case, bom: &Value, files: &[(&str, String)]) -> Result<PathBuf> {
    let root = case.dir.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let paths = parts(bom).filter_map(|part| part["bom-ref"].as_str());
    for path in paths.filter(|path| path.starts_with('/')) {
        let to = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(to.parent().context("no parent")?)?;
        fs::copy(path, to)?;
    }
    for (path, text) in files {
        let to = root.join(path);
        fs::create_dir_all(to.parent().context("no parent")?)?;
        fs::write(to, text)?;
    }
    Ok(root)
}

/// MD5 and SHA-1, as the tools of coreutils have it.
fn sum(tool: &str, path: &Path) -> Result<String> {
    let said = output(Command::new(tool).arg(path))?;
    Ok(said.split_whitespace().next().context("no sum")?.to_owned())
}

fn dpkg_root(case: &Case) -> Result<()> {
    let out = chain(case)?;
    let here = sbom(&out, &[])?;
    let dir = case.dir.display().to_string();
    let (outer, inner) = (format!("{dir}/libouter.so"), format!("{dir}/libinner.so"));
    let stanza = |name: &str, version: &str, status: &str| {
        format!("Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: {version}\n\n")
    };
    let installed = "install ok installed";
    let status = stanza("outer", "1:2+b~3", installed)
        + &stanza("inner", "7", installed)
        + &stanza("thief", "9", installed)
        + &stanza("gone", "8", "deinstall ok config-files");
    let md5 = sum("md5sum", Path::new(&outer))?;
    let info = "var/lib/dpkg/info";
    let files = [
        ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n".to_owned()),
        ("var/lib/dpkg/status", status),
        // The file at that path is `inner`'s, whose list has it under another name.
        ("var/lib/dpkg/diversions", format!("{dir}/libinner.so.real\n{inner}\nthief\n")),
        (&format!("{info}/outer:amd64.list"), format!("/.\n{outer}\n")),
        (&format!("{info}/outer:amd64.md5sums"), format!("{md5}  {}\n", &outer[1..])),
        (&format!("{info}/inner.list"), format!("{dir}/libinner.so.real\n")),
        (
            &format!("{info}/inner.md5sums"),
            format!("{}  {}/libinner.so.real\n", "0".repeat(32), &dir[1..]),
        ),
        (&format!("{info}/thief.list"), format!("{dir}/libinner.so.real\n")),
        (&format!("{info}/gone.list"), format!("{dir}/greet\n")),
    ];
    let root = root(case, &here, &files)?;
    let ask = || sbom(&out, &["--root", &root.display().to_string()]);
    let bom = ask()?;
    check_form(&bom)?;
    let found = part(&bom, "/libouter.so")?;
    let purl = "pkg:deb/debian/outer@1:2%2Bb~3?arch=amd64&distro=debian-12";
    ensure!(found["purl"] == purl && found["version"] == "1:2+b~3", "{found}");
    ensure!(property(found, "package:evidence") == Some("verified"), "{found}");
    let found = part(&bom, "/libinner.so")?;
    ensure!(property(found, "package:name") == Some("inner"), "{found}");
    ensure!(property(found, "package:evidence") == Some("modified"), "{found}");
    let found = part(&bom, "/greet")?;
    ensure!(property(found, "package") == Some("unknown"), "{found}");
    // An update of the package since the conversion.
    fs::write(root.join(&outer[1..]), "another file")?;
    let bom = ask()?;
    let found = part(&bom, "/libouter.so")?;
    ensure!(property(found, "package:evidence") == Some("changed"), "{found}");
    ensure!(found["version"].is_null() && found["purl"].is_null(), "{found}");
    // A database that is a hole of terabytes.
    let status = fs::read(root.join("var/lib/dpkg/status"))?;
    fs::File::options().write(true).open(root.join("var/lib/dpkg/status"))?.set_len(4 << 40)?;
    let bom = ask()?;
    let why = property(&bom["metadata"], "package:database").unwrap_or_default();
    ensure!(why.contains("dpkg/status: it has") && why.contains("not read"), "{why}");
    fs::write(root.join("var/lib/dpkg/status"), status)?;
    fs::remove_file(root.join(&outer[1..]))?;
    let bom = ask()?;
    ensure!(property(part(&bom, "/libouter.so")?, "package:evidence") == Some("missing"), "{bom}");
    Ok(())
}

fn apk_root(case: &Case) -> Result<()> {
    let out = chain(case)?;
    let here = sbom(&out, &[])?;
    let dir = case.dir.display().to_string();
    let sha1 = sum("sha1sum", &case.dir.join("libouter.so"))?;
    let digits = sha1.as_bytes().chunks(2).map(|pair| {
        u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16).unwrap_or_default()
    });
    let database = format!(
        "P:outer\nV:1.2-r0\nA:x86_64\nL:MIT AND Zlib\no:outer-src\nF:{}\nR:libouter.so\na:0:0:755\n\
         Z:Q1{}\nR:libinner.so\nZ:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
        &dir[1..],
        base64(&digits.collect::<Vec<u8>>())
    );
    let files = [
        ("etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\n".to_owned()),
        ("lib/apk/db/installed", database),
    ];
    let root = root(case, &here, &files)?;
    let bom = sbom(&out, &["--root", &root.display().to_string()])?;
    let found = part(&bom, "/libouter.so")?;
    let purl = "pkg:apk/alpine/outer@1.2-r0?arch=x86_64&distro=alpine-3.20.1";
    ensure!(found["purl"] == purl, "{found}");
    ensure!(found["licenses"][0]["expression"] == "MIT AND Zlib", "{found}");
    ensure!(property(found, "package:evidence") == Some("verified"), "{found}");
    let found = part(&bom, "/libinner.so")?;
    ensure!(property(found, "package:evidence") == Some("modified"), "{found}");
    Ok(())
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        let word = word << (8 * (3 - three.len()));
        for digit in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * digit)) as usize & 63];
            text.push(if digit <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
