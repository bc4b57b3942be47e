//! `rootfs-tools check`: what it finds, and that what it runs can do nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;
use serde_json::Value;
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Outcome};
use statify_tests::small_root::SmallRoot;

use crate::rootfs::check_rooms::bodies;
use crate::rootfs::guest::{self, shell};
use crate::rootfs::snapshot;
use crate::rootfs::tool;

pub fn add(cases: &mut Cases) {
    cases.check("check/good", good);
    cases.check("check/in-place", in_place);
    cases.check("check/damaged", damaged);
    cases.check("check/exchanged", exchanged);
    cases.check("check/differs", differs);
    cases.check("check/malicious-files", malicious_files);
    cases.check("check/no-originals", no_originals);
    cases.check("check/no-journal", no_journal);
    cases.check("check/what-to-check", what_to_check);
    // Only root runs programs as nobody.
    cases.needing(&["root"]).check("check/not-open-to-nobody", not_open);
}

/// Runs `check ROOT --json` with more arguments. Returns the answer, and how it ended.
pub fn check(root: &Path, more: &[&str]) -> Result<(Value, Outcome)> {
    let arguments = ["check".as_ref(), root.as_os_str(), "--json".as_ref(), "--quiet".as_ref()];
    let outcome = tool::run(arguments.into_iter().chain(more.iter().map(AsRef::as_ref)))?;
    let answer = serde_json::from_slice(&outcome.stdout);
    Ok((answer.with_context(|| outcome.stderr_text())?, outcome))
}

/// The same, where nothing may be wrong.
pub fn all_well(root: &Path, more: &[&str]) -> Result<Value> {
    let (answer, outcome) = check(root, more)?;
    ensure!(outcome.end == End::Exit(0), "{}: {answer:#}", outcome.end);
    Ok(answer)
}

/// The same, where something must be wrong.
fn all_but_well(root: &Path, more: &[&str]) -> Result<Value> {
    let (answer, outcome) = check(root, more)?;
    ensure!(outcome.end == End::Exit(1), "{}: {answer:#}", outcome.end);
    Ok(answer)
}

pub fn program<'a>(answer: &'a Value, name: &str) -> Result<&'a Value> {
    let programs = answer["programs"].as_array().into_iter().flatten();
    let has = |program: &&Value| {
        program["names"].as_array().into_iter().flatten().any(|found| found == name)
    };
    let mut found = programs.filter(has);
    found.next().with_context(|| format!("no {name} in {answer:#}"))
}

/// Names of the programs for which something is wrong.
fn wrong(answer: &Value) -> Vec<&str> {
    let programs = answer["programs"].as_array().into_iter().flatten();
    let is_wrong = |program: &&Value| {
        let answers = program["answers"].as_array().into_iter().flatten();
        program["problems"] != Value::Array(Vec::new())
            || answers.into_iter().any(|answer| answer["judgement"] == "differs")
    };
    programs.filter(is_wrong).filter_map(|program| program["names"][0].as_str()).collect()
}

pub fn count(answer: &Value, what: &str) -> u64 {
    answer["counts"][what].as_u64().unwrap_or(u64::MAX)
}

/// A small guest and its converted copy.
pub fn converted(case: &Case, root: &SmallRoot) -> Result<PathBuf> {
    let out = case.dir.join("out");
    tool::good(["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()])?;
    Ok(out)
}

fn tiny(case: &Case) -> Result<(SmallRoot, PathBuf)> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let out = converted(case, &root)?;
    Ok((root, out))
}

/// Times of everything, without reading any of it; of a directory without that of its access.
fn times(dir: &Path) -> Result<BTreeMap<PathBuf, [(i64, i64); 3]>> {
    let mut all = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let stat = path.symlink_metadata()?;
        if stat.is_dir() {
            let entries: Vec<_> = fs::read_dir(&path)?.collect::<Result<_, _>>()?;
            left.extend(
                entries.iter().map(fs::DirEntry::path).filter(|p| !p.ends_with(".rootfs-tools")),
            );
        }
        let accessed = if stat.is_dir() { (0, 0) } else { (stat.atime(), stat.atime_nsec()) };
        let changed = (stat.ctime(), stat.ctime_nsec());
        all.insert(path, [accessed, (stat.mtime(), stat.mtime_nsec()), changed]);
    }
    Ok(all)
}

fn good(case: &Case) -> Result<()> {
    let root = guest::small(case)?;
    let out = converted(case, &root)?;
    // Older than the last modification, so that any access would be written down.
    shell(&case.dir, "find guest out -type f -exec touch -a -d 2001-01-01 {} +")?;
    let before = [times(&root.dir)?, times(&out)?];
    let answer = all_well(&out, &[])?;
    ensure!([times(&root.dir)?, times(&out)?] == before, "times changed");
    let programs = count(&answer, "programs");
    ensure!(programs > 20 && count(&answer, "intact") == programs, "{}", answer["counts"]);
    ensure!(count(&answer, "compared") == programs, "{}", answer["counts"]);
    // One is not for others, nobody among them.
    let unanswered = if geteuid().is_root() { 2 } else { 0 };
    ensure!(count(&answer, "unanswered") == unanswered, "{answer:#}");
    let answered = count(&answer, "agree") + count(&answer, "vary");
    ensure!(answered == 2 * programs - unanswered, "{answer:#}");
    ensure!(
        answer["originals"][0] == root.dir.to_string_lossy().as_ref(),
        "{}",
        answer["originals"]
    );
    // What the answers are is the programs' own.
    let ls = program(&answer, "/usr/bin/ls")?;
    ensure!(
        ls["answers"][0]["end"]["exit"] == 0 && ls["answers"][0]["judgement"] == "agrees",
        "{ls}"
    );
    let gzip = program(&answer, "/usr/lib/gzip-too")?;
    ensure!(gzip["names"].as_array().is_some_and(|names| names.len() == 3), "{gzip}");
    let text = tool::good(["check".as_ref(), out.as_os_str(), "--only".as_ref(), "ls".as_ref()])?;
    ensure!(text.contains("1 programs: 1 intact, 0 damaged"), "{text}");
    ensure!(text.contains("2 answers agree, 0 vary by themselves, 0 differ"), "{text}");
    Ok(())
}

/// Originals in a backup; without it; and in another place.
fn in_place(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    let backup = case.dir.join("backup");
    tool::good([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--in-place".as_ref(),
        "--backup".as_ref(),
        backup.as_os_str(),
    ])?;
    let before = snapshot::of(&root.dir)?;
    let answer = all_well(&root.dir, &[])?;
    ensure!(count(&answer, "compared") == 3 && count(&answer, "agree") == 6, "{answer:#}");
    snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
    let moved = case.dir.join("moved");
    fs::rename(&backup, &moved)?;
    let answer = all_well(&root.dir, &[])?;
    ensure!(count(&answer, "not_compared") == 3 && count(&answer, "compared") == 0, "{answer:#}");
    let text = tool::good(["check".as_ref(), root.dir.as_os_str()])?;
    ensure!(text.contains("3 not run, only checked") && text.contains("is not there"), "{text}");
    let answer = all_well(&root.dir, &["--original", &moved.to_string_lossy()])?;
    ensure!(count(&answer, "agree") == 6, "{answer:#}");
    // An original that is another one now is none.
    fs::copy("/bin/ls", moved.join("usr/bin/one"))?;
    let answer = all_well(&root.dir, &["--original", &moved.to_string_lossy()])?;
    let why = &program(&answer, "/usr/bin/one")?["not_compared"];
    ensure!(
        why.as_str().is_some_and(|why| why.ends_with("is not the file that was converted")),
        "{why}"
    );
    Ok(())
}

/// Any byte of a converted program.
fn damaged(case: &Case) -> Result<()> {
    let (root, out) = tiny(case)?;
    let path = out.join("usr/bin/three");
    let whole = fs::read(&path)?;
    for at in [0, 18, 70, 4096 + 123, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes)?;
        let answer = all_but_well(&out, &["--no-run"])?;
        ensure!(wrong(&answer) == ["/usr/bin/three"], "byte {at}: {answer:#}");
    }
    let text = tool::run(["check".as_ref(), out.as_os_str()])?.stdout_text();
    ensure!(text.contains("1 damaged") && text.contains("/usr/bin/three /usr/sbin/four"), "{text}");
    // By other names there is something else now.
    fs::write(&path, &whole)?;
    shell(&out, "rm usr/sbin/four; rm usr/bin/one; cp usr/bin/two usr/bin/one")?;
    fs::copy(root.path("/usr/bin/two"), out.join("usr/bin/two"))?;
    let answer = all_but_well(&out, &[])?;
    ensure!(wrong(&answer) == ["/usr/bin/two", "/usr/sbin/four"], "{answer:#}");
    ensure!(program(&answer, "/usr/sbin/four")?["problems"][0] == "it is not there any more");
    ensure!(program(&answer, "/usr/bin/two")?["problems"][0] == "it is the original again");
    Ok(())
}

/// Another program's conversion in the place of one.
fn exchanged(case: &Case) -> Result<()> {
    let (root, out) = tiny(case)?;
    shell(&out, "cp usr/bin/three usr/bin/one")?;
    let answer = all_but_well(&out, &[])?;
    let one = program(&answer, "/usr/bin/one")?;
    let problem = one["problems"][0].as_str().unwrap_or_default();
    ensure!(problem.contains("but a conversion of /usr/bin/three"), "{one:#}");
    ensure!(one["answers"][0]["judgement"] == "differs", "{one:#}");
    // Without a journal it is told by its original and by what it says.
    fs::remove_dir_all(out.join(".rootfs-tools"))?;
    let answer = all_but_well(&out, &["--original", &root.dir.to_string_lossy()])?;
    ensure!(wrong(&answer) == ["/usr/bin/one"], "{answer:#}");
    let one = program(&answer, "/usr/bin/one")?;
    ensure!(one["answers"][0]["judgement"] == "differs", "{one:#}");
    ensure!(one["problems"][0].as_str().is_some_and(|p| p.contains("is not the file")), "{one:#}");
    Ok(())
}

/// A program that tells whether it is converted: by what is mapped.
fn differs(case: &Case) -> Result<()> {
    let body = "FILE *f = fopen(\"/proc/self/maps\", \"r\"); char line[512]; int loaders = 0; \
        while (fgets(line, 512, f)) loaders += strstr(line, \"/ld-\") != 0; \
        if (!strcmp(argv[1], \"--help\")) return loaders ? 3 : 4; \
        printf(\"first\\nmapped \\033[1m%s\\n\", loaders ? \"loader\" : \"nothing\");";
    let (_, out) = bodies(case, &[("maps", body)])?;
    let outcome = tool::run(["check".as_ref(), out.as_os_str()])?;
    let text = outcome.stdout_text();
    ensure!(outcome.end == End::Exit(1), "{}: {text}", outcome.end);
    for words in ["- exit 3", "+ exit 4", "stdout line 2", "- mapped \\u{1b}[1mloader", "2 differ;"]
    {
        ensure!(text.contains(words), "no {words:?} in {text}");
    }
    ensure!(!text.contains('\x1b'), "{text:?}");
    // A library that the original has and that is not the embedded one may be why.
    shell(&out, "find . -name libc.so.6 -type f -exec sh -c 'printf x >> \"$0\"' {} \\;")?;
    let answer = all_but_well(&out, &["--only", "maps"])?;
    let libraries = &program(&answer, "/usr/bin/maps")?["changed_libraries"];
    ensure!(libraries.as_array().is_some_and(|list| list.len() == 1), "{libraries}");
    ensure!(libraries[0].as_str().is_some_and(|path| path.ends_with("/libc.so.6")), "{libraries}");
    Ok(())
}

/// Files that claim to be converted ones.
fn malicious_files(case: &Case) -> Result<()> {
    let (root, out) = tiny(case)?;
    let whole = fs::read(out.join("usr/bin/three"))?;
    fs::remove_dir_all(out.join(".rootfs-tools"))?;
    let bin = out.join("usr/bin");
    // The program headers' table elsewhere, every word of the headers huge, an end that is missing.
    let mut evil = Vec::new();
    for at in (16..64).step_by(4).chain((64..64 + 56 * 8).step_by(24)) {
        let mut bytes = whole.clone();
        let end = (at + 8).min(bytes.len());
        bytes[at..end].fill(0xff);
        evil.push(bytes);
    }
    evil.extend([1, 64, 4095, 8192, whole.len() - 1].map(|len| whole[..len].to_vec()));
    for (number, bytes) in evil.iter().enumerate() {
        guest::executable(&bin.join(format!("evil-{number}")), bytes)?;
    }
    let mut sparse = fs::File::create(bin.join("evil-sparse"))?;
    std::io::Write::write_all(&mut sparse, &whole)?;
    sparse.set_len(1 << 40)?;
    nix::unistd::mkfifo(&bin.join("evil-pipe"), nix::sys::stat::Mode::S_IRWXU)?;
    std::os::unix::fs::symlink("/proc/kcore", bin.join("evil-link"))?;
    let answer = all_but_well(&out, &["--original", &root.dir.to_string_lossy()])?;
    let wrong = wrong(&answer);
    ensure!(wrong.len() > 10, "{wrong:?}");
    ensure!(wrong.iter().all(|name| name.contains("evil")), "{wrong:?}");
    // A journal that names what is none of the tree's.
    let (_, out) = {
        let dir = case.dir.join("second");
        fs::create_dir(&dir)?;
        tiny(&Case { dir, ..case.clone() })?
    };
    for target in ["/bin", "/nowhere", "../../../../../../../../../bin", "/etc"] {
        shell(&out, &format!("rm -r usr/bin; ln -s {target} usr/bin"))?;
        let answer = all_but_well(&out, &[])?;
        // The other name of one of them is still there.
        ensure!(count(&answer, "compared") == 1 && count(&answer, "damaged") == 3, "{answer:#}");
    }
    Ok(())
}

fn no_originals(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    tool::good([
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--in-place".as_ref(),
        "--no-backup".as_ref(),
    ])?;
    let text = tool::good(["check".as_ref(), root.dir.as_os_str()])?;
    ensure!(text.contains("3 programs: 3 intact, 0 damaged"), "{text}");
    ensure!(text.contains("3 not run, only checked: no original was kept"), "{text}");
    Ok(())
}

fn no_journal(case: &Case) -> Result<()> {
    let (root, out) = tiny(case)?;
    fs::remove_dir_all(out.join(".rootfs-tools"))?;
    let answer = all_well(&out, &[])?;
    ensure!(answer["journal"] == false && count(&answer, "programs") == 3, "{answer:#}");
    ensure!(count(&answer, "not_compared") == 3, "{answer:#}");
    let answer = all_well(&out, &["--original", &root.dir.to_string_lossy()])?;
    ensure!(count(&answer, "agree") == 6, "{answer:#}");
    let answer = all_well(&out, &["--dirs", "/sbin", "--no-run"])?;
    ensure!(program(&answer, "/usr/sbin/four").is_ok() && count(&answer, "programs") == 1);
    tool::refused(&tool::run(["check".as_ref(), root.dir.as_os_str()])?, "neither a journal nor")
}

fn what_to_check(case: &Case) -> Result<()> {
    let (_, out) = tiny(case)?;
    let answer = all_well(&out, &["--no-run", "--only", "one", "--only", "t*"])?;
    ensure!(count(&answer, "programs") == 3, "{answer:#}");
    let answer = all_well(&out, &["--no-run", "--exclude", "/usr/bin/t*"])?;
    ensure!(count(&answer, "programs") == 2, "{answer:#}");
    let run = |more: &[&str]| {
        tool::run(
            ["check".as_ref(), out.as_os_str()].into_iter().chain(more.iter().map(AsRef::as_ref)),
        )
    };
    tool::refused(&run(&["--only", "none"])?, "no converted program, so there is nothing")?;
    tool::refused(&run(&["--only", "["])?, "--only: ")?;
    tool::refused(&run(&["--original", "/nowhere"])?, "/nowhere")?;
    ensure!(run(&["--timeout", "0"])?.end == End::Exit(2));
    ensure!(run(&["--no-run", "--original", "/"])?.end == End::Exit(2));
    tool::refused(&tool::run(["check", "/nowhere"])?, "/nowhere")?;
    shell(&out, "sed -i '2s/a/b/' .rootfs-tools/journal")?;
    tool::refused(&run(&[])?, "of the journal is damaged")
}

fn not_open(case: &Case) -> Result<()> {
    let (_, out) = tiny(case)?;
    fs::set_permissions(&out, fs::Permissions::from_mode(0o700))?;
    tool::refused(&tool::run(["check".as_ref(), out.as_os_str()])?, "chmod o+x")?;
    all_well(&out, &["--no-run"]).map(drop)
}
