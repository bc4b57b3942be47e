//! Outputs that map pages of their libraries from a pool: `elfscan check`, `show` and `audit` of them.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use elfscan::converted::check;
use elfscan::converted::open::Converted;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use statify_format::manifest::{EmbeddedFile, FileKind};
use statify_format::parameters::Parameters;
use statify_params::{Map, Params, PoolFile, Table};
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::process::End;

use super::audit::waiting::{Waiting, alarms, audit};
use super::reseal::reseal;
use super::tool::{elfscan, json};
use crate::pool::place::Place;

const PAGE: u64 = 4096;

pub fn add(cases: &mut Cases) {
    for (name, flags) in [
        ("randomised", &[][..]),
        ("fixed", &["--fixed"]),
        ("aligned", &["--align", "65536"]),
        ("plugins", &["--with", "libm.so.6"]),
    ] {
        let mut needing = cases.needing(&["root"]);
        needing.check(&format!("pool/intact-and-shown/{name}"), move |case| {
            intact_and_shown(case, flags)
        });
    }
    let mut needing = cases.needing(&["root"]);
    needing.check("pool/what-a-start-here-would-take", on_this_machine);
    needing.check("pool/forged-records", forged_records);
    needing.check("pool/another-manifest", another_manifest);
    for (name, flags) in [("randomised", &[][..]), ("fixed", &["--fixed"])] {
        needing.check(&format!("pool/audit/{name}"), move |case| audited(case, flags));
    }
    needing.check("pool/audit/changed-under-a-running-program", changed);
    needing.check("pool/audit/another-library-of-the-same-length", exchanged);
    needing.check("pool/audit/not-to-be-trusted-any-more", untrusted);
}

/// A program that waits, with a pool of its own.
struct Pooled {
    place: Place,
    out: PathBuf,
}

impl Pooled {
    fn new(case: &Case, flags: &[&str]) -> Result<Self> {
        let place = Place::new()?;
        let pool = place.pool();
        let program = case.build("generator", "generator", &[])?;
        let path = pool.to_str().context("a path that is no text")?;
        let out = case.convert(&program, &[flags, &["--pool", path]].concat())?;
        Ok(Self { place, out })
    }

    /// The directory.
    fn pool(&self) -> PathBuf {
        self.place.pool()
    }

    fn libraries(&self) -> Result<Vec<EmbeddedFile>> {
        let bytes = fs::read(&self.out)?;
        let files = Converted::read(&bytes)?.manifest.files;
        let files: Vec<_> = files.into_iter().filter(|file| file.pooled.is_some()).collect();
        ensure!(!files.is_empty(), "nothing is in the pool");
        Ok(files)
    }

    /// The C library: its path at the conversion, and in the pool.
    fn libc(&self) -> Result<(String, PathBuf)> {
        let libraries = self.libraries()?;
        let is_it = |file: &&EmbeddedFile| file.soname.as_deref() == Some("libc.so.6");
        let file = libraries.iter().find(is_it).context("no libc.so.6 in the pool")?;
        Ok((file.path.display().to_string(), self.pool().join(&file.sha256)))
    }

    /// What `check` says, and whether it is content.
    fn check(&self) -> Result<(String, bool)> {
        let said = run(&mut elfscan([Path::new("check"), &self.out])?)?;
        Ok((said.stdout_text(), said.end == End::Exit(0)))
    }

    fn expect(&self, is_intact: bool, what: &str) -> Result<()> {
        let (text, is_content) = self.check()?;
        ensure!(is_content == is_intact && text.contains(what), "no {what:?} in {text}");
        Ok(())
    }

    fn expect_intact(&self) -> Result<()> {
        let (text, _) = self.check()?;
        ensure!(text == format!("{}: intact\n", self.out.display()), "{text}");
        Ok(())
    }

    /// Starts it; it has mapped the pool.
    fn start(&self, case: &Case) -> Result<Waiting> {
        let waiting = Waiting::start(&mut case.command(&self.out))?;
        let maps = fs::read_to_string(format!("/proc/{}/maps", waiting.pid()))?;
        let (_, libc) = self.libc()?;
        ensure!(maps.contains(&libc.display().to_string()), "it is not mapped: {maps}");
        Ok(waiting)
    }
}

fn intact_and_shown(case: &Case, flags: &[&str]) -> Result<()> {
    let pooled = Pooled::new(case, flags)?;
    pooled.expect_intact()?;
    ensure!(output(case.command(&pooled.out).stdin(std::process::Stdio::null()))? == "done\n");
    let libraries = pooled.libraries()?;
    for library in &libraries {
        let copy = fs::read(pooled.pool().join(&library.sha256))?;
        ensure!(copy == fs::read(&library.path)?, "{} is another", library.path.display());
    }
    let (shown, _) = json(["show".as_ref(), "--json".as_ref(), pooled.out.as_os_str()])?;
    let path = pooled.pool().display().to_string();
    ensure!(shown["manifest"]["options"]["pool"] == path, "{}", shown["manifest"]["options"]);
    ensure!(shown["starter"]["pool_files"] == libraries.len(), "{}", shown["starter"]);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let mut sum = 0;
    for of in shown["pages_by_file"].as_array().context("no pages")? {
        let pages = number(&of["pages"]["from_pool"]);
        let is_there =
            libraries.iter().any(|library| of["path"] == library.path.display().to_string());
        ensure!((pages > 0) == is_there && pages <= number(&of["pages"]["shared"]), "{of}");
        sum += pages;
    }
    ensure!(sum > 100 && number(&shown["pages"]["from_pool"]) == sum, "{}", shown["pages"]);
    let text = output(&mut elfscan([Path::new("show"), &pooled.out])?)?;
    let line = format!("\npool            {path}: {} libraries, {sum} pages\n", libraries.len());
    ensure!(text.contains(&line) && text.contains("FROM POOL"), "no {line:?} in {text}");
    Ok(())
}

/// What is said of files and directories of the pool that are not as they were.
fn on_this_machine(case: &Case) -> Result<()> {
    let pooled = Pooled::new(case, &[])?;
    let (path, file) = pooled.libc()?;
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode));
    let whole = fs::read(&file)?;
    for writable in [0o464, 0o446] {
        mode(&file, writable)?;
        pooled.expect(
            true,
            "it can be written to by others than root; a start here does not take it",
        )?;
    }
    mode(&file, 0o444)?;
    pooled.expect_intact()?;

    // Root may write to it all the same.
    let opened = File::options().write(true).open(&file)?;
    opened.write_all_at(&[whole[5000] ^ 1], 5000)?;
    let what =
        format!("the pool's file {} is not the library: a start would map it", file.display());
    pooled.expect(false, &format!("{path}: {what}"))?;
    let (answer, status) = json(["check".as_ref(), "--json".as_ref(), pooled.out.as_os_str()])?;
    let problem = &answer[0]["problems"][0];
    ensure!(status == 1 && problem["part"] == "pool" && problem["module"] == path, "{answer}");
    opened.write_all_at(&whole[5000..5001], 5000)?;
    pooled.expect_intact()?;

    opened.set_len(whole.len() as u64 - 1)?;
    pooled.expect(true, &format!("it has {} bytes, and not {}", whole.len() - 1, whole.len()))?;
    fs::remove_file(&file)?;
    pooled.expect(true, "it is not there; a start here does not take it")?;
    symlink(&path, &file)?;
    pooled.expect(true, "it is not a regular file")?;
    fs::remove_file(&file)?;
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::from_bits_truncate(0o444))?;
    pooled.expect(true, "it is not a regular file")?;
    fs::remove_file(&file)?;
    fs::write(&file, &whole)?;
    nix::unistd::chown(&file, Some(nix::unistd::Uid::from_raw(65534)), None)?;
    pooled.expect(true, "it does not belong to root")?;
    nix::unistd::chown(&file, Some(nix::unistd::Uid::from_raw(0)), None)?;
    pooled.expect_intact()?;

    mode(&pooled.pool(), 0o777)?;
    pooled.expect(true, "it can be written to by others than root; a start here takes nothing")?;
    mode(&pooled.pool(), 0o755)?;
    let beside = pooled.pool().with_extension("moved");
    fs::rename(pooled.pool(), &beside)?;
    let gone = pooled.expect(true, "it is not there; a start here takes nothing");
    symlink(&beside, pooled.pool())?;
    let linked = pooled.expect(true, "it is not a directory (links are not followed)");
    fs::remove_file(pooled.pool())?;
    fs::rename(&beside, pooled.pool())?;
    gone.and(linked)?;
    pooled.expect_intact()
}

/// Where the tables are in a file.
struct Places {
    block: usize,
    params: Params,
    /// The first mapping from the pool, and the first that is writable.
    mapping: usize,
    writable: Map,
}

impl Places {
    fn of(bytes: &[u8]) -> Result<Self> {
        let converted = Converted::read(bytes)?;
        let parameters = Parameters::read(&converted.elf)?;
        let block = parameters.code.start as usize - size_of::<Params>();
        let maps = || parameters.maps();
        let first = maps().position(|map| map.pool_file != 0).context("none from the pool")?;
        let params = parameters.params;
        let mapping = block - params.maps.offset as usize + first * size_of::<Map>();
        let writable = maps().find(|map| map.prot & 2 != 0).context("none is writable")?;
        Ok(Self { block, params, mapping, writable })
    }

    fn table(&self, table: Table) -> usize {
        self.block - table.offset as usize
    }
}

/// Each record changed, and every hash made anew.
fn forged_records(case: &Case) -> Result<()> {
    let pooled = Pooled::new(case, &[])?;
    let bytes = fs::read(&pooled.out)?;
    let places = Places::of(&bytes)?;
    let (mapping, file) = (places.mapping, places.table(places.params.pool_files));
    let names = places.table(places.params.pool);
    let end = names + places.params.pool.count as usize;
    let block = |field: usize| places.block + field;
    let number = mapping + offset_of!(Map, pool_file);
    let page = mapping + offset_of!(Map, pool_page);
    let count =
        u32::from_le_bytes(bytes[block(offset_of!(Params, pool_files) + 4)..][..4].try_into()?);
    ensure!(count > 1, "only one library is in the pool");
    let other = if bytes[number] == 1 { 2 } else { 1 };
    let library = "pages from the pool are not the library's that belongs there";
    let digest = "its length or its fs-verity digest in the pool are not the manifest's";
    let directory = "the pool's directory is not the manifest's";
    let name = "a name that leads to the pool is none of a directory";
    let forgeries: Vec<(usize, Vec<u8>, &str)> = vec![
        (number, vec![0xff, 0xff], "pages are of a file of the pool that there is not"),
        (number, vec![other, 0], library),
        (
            page,
            vec![bytes[page] ^ 1],
            "pages from the pool are not those that the manifest has there",
        ),
        (page, vec![0xff; 4], "pages from the pool are of behind the library's end"),
        (
            mapping + offset_of!(Map, prot),
            vec![3, 0],
            "pages from the pool are writable while the starter works",
        ),
        (file + offset_of!(PoolFile, sha256), vec![bytes[file] ^ 1], "is no embedded file"),
        (
            file + offset_of!(PoolFile, sha256),
            vec![bytes[file] ^ 1],
            "the manifest says that it is in the pool, and the starter does not look for it",
        ),
        (file + offset_of!(PoolFile, verity), vec![0; 32], digest),
        (file + offset_of!(PoolFile, len), vec![1, 0, 0], digest),
        (names, vec![b'w'], directory),
        (names, vec![0], name),
        (names + 1, vec![b'/'], name),
        (names, b"..\0".to_vec(), name),
        (end - 1, vec![b'x'], "names of the pool's directories do not end with a NUL"),
        (
            block(offset_of!(Params, pool)),
            vec![0xff; 4],
            "table of names of the pool's directories lies outside of its bounds",
        ),
        (
            block(offset_of!(Params, pool_files) + 4),
            vec![0xff; 4],
            "table of files of the pool lies outside of its bounds",
        ),
        (block(offset_of!(Params, pool) + 4), vec![0; 4], directory),
        // One file fewer.
        (
            block(offset_of!(Params, pool_files) + 4),
            (count - 1).to_le_bytes().to_vec(),
            "pages are of a file of the pool that there is not",
        ),
    ];
    for (at, new, what) in forgeries {
        let mut forged = bytes.clone();
        forged[at..at + new.len()].copy_from_slice(&new);
        // Where the tables cannot be read, there is nothing to seal.
        reseal(&mut forged)?;
        fs::write(&pooled.out, &forged)?;
        pooled.expect(false, what).with_context(|| format!("{new:x?} at {at:#x}"))?;
    }
    // A mapping that is writable cannot be from the pool.
    let mut forged = bytes.clone();
    let writable = Parameters::read(&Converted::read(&bytes)?.elf)?
        .maps()
        .position(|map| map == places.writable)
        .context("it is gone")?;
    let at = places.table(places.params.maps) + writable * size_of::<Map>();
    forged[at + offset_of!(Map, pool_file)] = 1;
    reseal(&mut forged)?;
    fs::write(&pooled.out, &forged)?;
    pooled.expect(false, "pages from the pool are")?;
    fs::write(&pooled.out, &bytes)?;
    pooled.expect_intact()
}

/// The same tables under manifests that say something else.
fn another_manifest(case: &Case) -> Result<()> {
    let pooled = Pooled::new(case, &[])?;
    let bytes = fs::read(&pooled.out)?;
    let all = 0..bytes.len() as u64;
    type Change = fn(&mut Converted<'_>);
    let changes: Vec<(Change, &str)> = vec![
        (|it| it.manifest.options.pool = None, "it has a pool that the manifest does not name"),
        (
            |it| it.manifest.options.pool = Some("relative".into()),
            "the pool's directory is not the manifest's",
        ),
        (
            |it| it.manifest.options.pool = Some("/".into()),
            "the pool's directory is not the manifest's",
        ),
        (
            |it| it.manifest.files[0].pooled = Some("00".repeat(32)),
            "the program is said to be in the pool",
        ),
        (
            |it| it.manifest.files.iter_mut().for_each(|file| file.pooled = None),
            "its length or its fs-verity digest in the pool are not the manifest's",
        ),
        (
            |it| it.manifest.files.iter_mut().for_each(|file| file.size += 1),
            "its length or its fs-verity digest in the pool are not the manifest's",
        ),
        (
            |it| {
                let memory = it.manifest.files.iter_mut().flat_map(|file| &mut file.memory);
                memory
                    .for_each(|memory| memory.file_offset = memory.file_offset.map(|at| at + PAGE));
            },
            "pages from the pool are not those that the manifest has there",
        ),
        (
            |it| {
                let memory = it.manifest.files.iter_mut().flat_map(|file| &mut file.memory);
                memory.for_each(|memory| memory.file_offset = None);
            },
            "pages from the pool are not those that the manifest has there",
        ),
        (
            |it| {
                let is_library = |file: &EmbeddedFile| file.kind == FileKind::Library;
                it.manifest.files.retain(|file| !is_library(file));
            },
            "is no embedded file",
        ),
    ];
    for (change, what) in changes {
        let mut converted = Converted::read(&bytes)?;
        change(&mut converted);
        let found = check::check(&converted, std::slice::from_ref(&all)).problems;
        ensure!(
            found.iter().any(|problem| problem.what.contains(what)),
            "no {what:?} in {found:?}"
        );
    }
    Ok(())
}

fn audited(case: &Case, flags: &[&str]) -> Result<()> {
    let pooled = Pooled::new(case, flags)?;
    let waiting = pooled.start(case)?;
    let pool = pooled.pool().display().to_string();
    let silent = |waiting: &Waiting| -> Result<Value> {
        let (report, status) = audit(&[waiting.pid()], &[])?;
        ensure!(status == 0 && alarms(&report)?.is_empty(), "{report:#}");
        let process = &report["processes"][0];
        let information = process["information"].to_string();
        ensure!(!information.contains(&pool), "{information}");
        let pages = process["pool_pages"].as_u64().unwrap_or_default();
        ensure!(pages > 100 && process["converted"] == true, "{report:#}");
        Ok(process.clone())
    };
    let process = silent(&waiting)?;
    ensure!(process["modules"] == 3, "{process:#}");
    // Without a pool, as many modules, entries and pages.
    let other = case.dir.join("plain");
    case.statify.convert(&case.dir.join("generator"), &other, flags)?;
    let plain = Waiting::start(&mut case.command(&other))?;
    let (report, _) = audit(&[plain.pid()], &[])?;
    for field in ["modules", "entries", "pages"] {
        let (own, theirs) = (&process[field], &report["processes"][0][field]);
        ensure!(own == theirs, "{field}: {own} and {theirs}");
    }
    let text = output(&mut elfscan(["audit", &waiting.pid()])?)?;
    ensure!(text.contains(" from a pool), "), "{text}");
    // Another pool takes its place, or a file of it goes.
    let moved = pooled.pool().with_extension("moved");
    fs::rename(pooled.pool(), &moved)?;
    let found = silent(&waiting);
    fs::rename(&moved, pooled.pool())?;
    found?;
    fs::remove_file(pooled.libc()?.1)?;
    silent(&waiting).map(|_| ())
}

/// Alarms, by kind and module.
fn by_module(waiting: &Waiting) -> Result<BTreeMap<(String, String), Vec<Value>>> {
    let (report, status) = audit(&[waiting.pid()], &[])?;
    let mut found: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for alarm in alarms(&report)? {
        let text = |field: &str| alarm[field].as_str().unwrap_or_default().to_owned();
        found.entry((text("kind"), text("module"))).or_default().push(alarm.clone());
    }
    ensure!((status == 1) != found.is_empty(), "exit status {status}");
    Ok(found)
}

/// Where the code of a library begins, in its file: an offset that is an address, too.
fn code_of(library: &[u8]) -> Result<u64> {
    let elf = goblin::elf::Elf::parse(library)?;
    let code = elf.program_headers.iter().find(|segment| segment.is_executable());
    let code = code.context("no code")?;
    ensure!(code.p_offset == code.p_vaddr, "code whose offset is not its address");
    Ok(code.p_offset)
}

/// One byte of code and one of constants, changed in the pool's file by root.
fn changed(case: &Case) -> Result<()> {
    let pooled = Pooled::new(case, &[])?;
    let (path, libc) = pooled.libc()?;
    let waiting = pooled.start(case)?;
    ensure!(by_module(&waiting)?.is_empty());
    let whole = fs::read(&libc)?;
    let file = File::options().write(true).open(&libc)?;
    for (at, kind) in [(code_of(&whole)? + 70 * PAGE + 9, "code"), (0x7b, "constants")] {
        file.write_all_at(&[whole[at as usize] ^ 0x10], at)?;
        let found = by_module(&waiting)?;
        file.write_all_at(&whole[at as usize..][..1], at)?;
        let alarms = found.get(&(kind.to_owned(), path.clone())).map(Vec::as_slice);
        let [alarm] = alarms.unwrap_or_default() else { anyhow::bail!("{found:#?}") };
        ensure!(found.len() == 1 && alarm["offset"] == format!("{at:#x}"), "{found:#?}");
        ensure!(alarm["expected_bytes"] == format!("{:02x}", whole[at as usize]), "{alarm}");
    }
    ensure!(by_module(&waiting)?.is_empty());
    Ok(())
}

/// Every byte of it is another.
fn exchanged(case: &Case) -> Result<()> {
    let pooled = Pooled::new(case, &[])?;
    let (path, libc) = pooled.libc()?;
    let file = File::options().write(true).open(&libc)?;
    let whole = fs::read(&libc)?;
    let waiting = pooled.start(case)?;
    let other: Vec<u8> = whole.iter().map(|byte| !byte).collect();
    // None of this is to be executed.
    stop(&waiting)?;
    file.write_all_at(&other, 0)?;
    let found = by_module(&waiting)?;
    drop(waiting);
    for kind in ["code", "constants"] {
        let alarms = found.get(&(kind.to_owned(), path.clone()));
        ensure!(alarms.is_some_and(|alarms| !alarms.is_empty()), "no {kind}: {found:#?}");
    }
    let is_its = |(_, module): &(String, String)| *module == path;
    ensure!(found.keys().all(is_its), "{:?}", found.keys());
    pooled.expect(false, "is not the library: a start would map it")
}

/// Stops the process, and waits until it is.
fn stop(waiting: &Waiting) -> Result<()> {
    let pid = waiting.pid();
    kill(Pid::from_raw(pid.parse()?), Signal::SIGSTOP)?;
    for _ in 0..1000 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    anyhow::bail!("process {pid} does not stop")
}

/// What anybody can write to by now is no file of the pool.
fn untrusted(case: &Case) -> Result<()> {
    let pooled = Pooled::new(case, &[])?;
    let (path, libc) = pooled.libc()?;
    let waiting = pooled.start(case)?;
    fs::set_permissions(&libc, Permissions::from_mode(0o666))?;
    let found = by_module(&waiting)?;
    let kinds: Vec<_> = found.keys().collect();
    ensure!(kinds == [&("other_file".to_owned(), path)], "{found:#?}");
    let said = run(&mut elfscan(["audit", &waiting.pid()])?)?.stdout_text();
    let what = format!(
        "are mapped from {}, which is neither the converted file nor the module in a pool that only root can write to",
        libc.display()
    );
    ensure!(said.contains(&what), "{said}");
    Ok(())
}
