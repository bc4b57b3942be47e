//! `elfscan show`.

use std::path::{Path, PathBuf};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use elfscan::converted::open::{self, MappedFile};
use elfscan::converted::pages::Pages;
use elfscan::converted::show::{self, Shown};
use serde::Serialize;
use statify_format::manifest::{EmbeddedFile, Memory};
use statify_format::{Randomness, Seal};
use statify_printable::printable;
use statify_room::Root;

use crate::{Failure, Verdict};

/// What is in a converted file
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The converted file
    #[arg(value_name = "OUT")]
    file: PathBuf,
    /// Where the files are that were embedded, to be compared with
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    file: String,
    #[serde(flatten)]
    shown: &'a Shown,
}

/// Shows it.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let root = match &arguments.root {
        Some(root) => Root::open(root)?,
        None => Root::machine(),
    };
    let file = MappedFile::open(&arguments.file)?;
    let converted = open::read(&file)?;
    let shown = show::describe(&converted, file.allocated, Some(&root)).map_err(|error| {
        format!("{}: it is damaged: {error} (elfscan check tells more)", arguments.file.display())
    })?;
    if arguments.json {
        let file = arguments.file.to_string_lossy().into_owned();
        statify_command_line::print_json(&Answer { file, shown: &shown })?;
    } else {
        statify_command_line::print(&as_text(&arguments.file, &shown))?;
    }
    Ok(Verdict::Good)
}

fn as_text(path: &Path, shown: &Shown) -> String {
    let sections = [
        head(path, shown),
        modules(shown),
        memory(shown),
        starter(shown),
        pages(shown),
        sizes(shown),
    ];
    sections.join("\n")
}

/// A table without lines; columns in `right` are numbers.
fn table(headers: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(headers.to_vec()).add_rows(rows);
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.map(|line| line.strip_prefix(' ').map(str::to_owned).unwrap_or(line) + "\n").collect()
}

/// Names and values.
fn pairs(pairs: Vec<(&str, String)>) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    pairs.into_iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

fn text(path: &Path) -> String {
    statify_printable::path(path)
}

fn base_name(file: &EmbeddedFile) -> String {
    file.path.file_name().map(|name| text(Path::new(name))).unwrap_or_default()
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}

fn head(path: &Path, shown: &Shown) -> String {
    let options = &shown.manifest.options;
    let list = |names: &[String]| printable(&names.join(", "));
    let cpu = &options.cpu;
    let mut cpus = format!("{} or better", printable(&cpu.least));
    if !cpu.prepared.is_empty() {
        cpus += &format!("; prepared: {}", list(&cpu.prepared));
    }
    if cpu.chosen_at_start {
        cpus += "; chosen at start on others";
    }
    let addresses = match (options.fixed, options.aslr) {
        (true, _) => "fixed",
        (_, Randomness::Full) => "new at every start, to the page",
        (_, Randomness::Kernel) => "new at every start, as the kernel gives them",
    };
    let seals = match options.seal {
        Seal::Unfiltered => "what is constant, unless under a seccomp filter",
        Seal::Always => "what is constant, at every start",
        Seal::Never => "nothing",
    };
    let symbols = if options.bound { "all bound" } else { "bound when first used" };
    let host = serde_json::to_value(options.host_libs).unwrap_or_default();
    let mut facts = vec![
        ("file", text(path)),
        ("build-id", shown.build_id.clone().unwrap_or_default()),
        ("made by", format!("statify {}", printable(&shown.manifest.version))),
        ("addresses", addresses.into()),
        ("seals", seals.into()),
        ("alignment", format!("{} bytes", options.align)),
        ("symbols", symbols.into()),
        ("CPUs", cpus),
        ("host libraries", host.as_str().unwrap_or_default().to_owned()),
    ];
    if let Some(pool) = &options.pool {
        let (libraries, pages) = (shown.starter.pool_files, shown.pages.from_pool);
        facts.push(("pool", format!("{}: {libraries} libraries, {pages} pages", text(pool))));
    }
    pairs(facts)
}

fn modules(shown: &Shown) -> String {
    let kind = |file: &EmbeddedFile| {
        let kind = serde_json::to_value(file.kind).unwrap_or_default();
        kind.as_str().unwrap_or_default().to_owned()
    };
    let rows = shown.manifest.files.iter().map(|file| {
        vec![
            kind(file),
            hex(file.address) + if file.fixed { " (absolute)" } else { "" },
            file.size.to_string(),
            printable(file.soname.as_deref().unwrap_or("-")),
            text(&file.path),
        ]
    });
    let files = table(&["KIND", "ADDRESS", "SIZE", "SONAME", "PATH"], &[1, 2], rows.collect());
    let rows = shown.manifest.files.iter().map(|file| {
        let id = printable(file.build_id.as_deref().unwrap_or("-"));
        vec![base_name(file), id, printable(&file.sha256)]
    });
    files + "\n" + &table(&["FILE", "BUILD-ID", "SHA-256"], &[], rows.collect())
}

fn memory(shown: &Shown) -> String {
    let row = |name: &str, memory: &Memory| {
        let offset = |offset: Option<u64>| offset.map_or("-".into(), hex);
        vec![
            name.to_owned(),
            hex(memory.address),
            hex(memory.size),
            printable(&memory.prot),
            offset(memory.file_offset),
            offset(memory.stored_at),
        ]
    };
    let mut rows = Vec::new();
    for file in &shown.manifest.files {
        let name = base_name(file);
        rows.extend(file.memory.iter().map(|memory| row(&name, memory)));
    }
    rows.extend(shown.manifest.memory.iter().map(|memory| row("(no file)", memory)));
    table(
        &["SEGMENT OF", "ADDRESS", "SIZE", "PROT", "FILE OFFSET", "STORED AT"],
        &[1, 2, 4, 5],
        rows,
    )
}

fn starter(shown: &Shown) -> String {
    let starter = &shown.starter;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: String, count: u64| rows.push(vec![what, count.to_string()]);
    for pointers in &starter.pointers {
        let into = pointers.into.as_deref().map_or("memory of no file".into(), text);
        row(format!("pointers into {into}"), pointers.count);
    }
    for (name, &count) in &starter.fixups {
        row(printable(name), count);
    }
    row("words that pages of the file do not have".into(), starter.constants);
    row("IFUNC slots".into(), starter.resolver_slots);
    row("IFUNC resolvers".into(), starter.resolvers);
    for cpu in &starter.cpus {
        row(format!("words for CPU {}", printable(&cpu.name)), cpu.words);
    }
    row(
        "kernel calls made again: ".to_owned() + &starter.calls.join(", "),
        starter.calls.len() as u64,
    );
    row("groups of libraries, each at a distance of its own".into(), starter.groups);
    row("runs of pages mapped".into(), starter.maps);
    row("runs of zero pages mapped".into(), starter.zeros);
    row("changes of permissions".into(), starter.protects);
    row("runs of pages sealed".into(), starter.seals);
    let code = if starter.is_ours { "this version's" } else { "another version's" };
    let mut facts = vec![("code", code.to_owned()), ("AT_SECURE", starter.secure.to_owned())];
    facts.push(("environment", starter.variables.to_owned()));
    if let Some(kernel) = &starter.least_kernel {
        facts.push(("least kernel", kernel.clone()));
    }
    table(&["AT START", "COUNT"], &[1], rows) + &pairs(facts)
}

fn pages(shown: &Shown) -> String {
    let row = |name: String, original: &str, pages: &Pages| {
        vec![
            name,
            pages.stored.to_string(),
            pages.zero.to_string(),
            pages.written_at_start.to_string(),
            pages.shared.to_string(),
            pages.from_pool.to_string(),
            pages.as_in_original.map_or("-".into(), |pages| pages.to_string()),
            original.to_owned(),
        ]
    };
    let mut rows: Vec<_> = shown
        .pages_by_file
        .iter()
        .map(|of| {
            let name = of.path.as_deref().map_or("(no file)".into(), text);
            row(name, of.original.unwrap_or("-"), &of.pages)
        })
        .collect();
    rows.push(row("all".into(), "", &shown.pages));
    let headers = [
        "PAGES OF",
        "STORED",
        "ZERO",
        "WRITTEN AT START",
        "SHARED",
        "FROM POOL",
        "AS IN ORIGINAL",
        "ORIGINAL",
    ];
    table(&headers, &[1, 2, 3, 4, 5, 6], rows)
}

fn sizes(shown: &Shown) -> String {
    let sizes = &shown.sizes;
    let rows = [
        ("headers", sizes.headers),
        ("starter's tables", sizes.tables),
        ("starter", sizes.starter),
        ("embedded files", sizes.modules),
        ("other memory", sizes.other_memory),
        ("not loaded (sections, payload)", sizes.unloaded),
        ("padding", sizes.padding),
        ("manifest and checksums", sizes.manifest),
        ("file", sizes.file),
        ("on its file system", sizes.allocated),
    ];
    let rows = rows.map(|(name, size)| vec![name.to_owned(), size.to_string()]);
    table(&["PART", "BYTES"], &[1], rows.to_vec())
}
