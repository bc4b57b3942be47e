//! `elfscan extract`.

use std::fs::File;
use std::path::{Path, PathBuf};

use elfscan::converted::module;
use elfscan::extract::addends::Addends;
use elfscan::extract::anchor::Anchors;
use elfscan::extract::{Error, debug_file, file, gdb, is_plausible, originals, tree};
use memmap2::Mmap;
use serde::Serialize;
use statify_elf::ElfFile;
use statify_format::manifest::{EmbeddedFile, FileKind, Manifest};
use statify_room::Root;

use crate::{Failure, Verdict};

/// The embedded files as files again, and symbols for gdb, perf and elfutils
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The converted file
    #[arg(value_name = "OUT")]
    file: PathBuf,
    /// The embedded files to extract, by path, file name or SONAME [default: all]
    #[arg(value_name = "MODULE", requires = "directory")]
    modules: Vec<String>,
    /// Where to: each file by its path under DIR, with a debug file and gdb's commands (DIR/gdb)
    #[arg(short = 'o', long = "output", value_name = "DIR", required_unless_present = "symbols")]
    directory: Option<PathBuf>,
    /// Write a debug file with the symbols and unwinding tables of everything that is embedded
    #[arg(long, value_name = "FILE")]
    symbols: Option<PathBuf>,
    /// Copy the originals, which must be there as they were at conversion
    #[arg(long, requires = "directory")]
    exact: bool,
    /// Where the originals and their debug files are, if not on this machine
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Replace files
    #[arg(long)]
    force: bool,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

/// What was written.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// The embedded files.
    files: Vec<Extracted>,
    /// The debug file.
    #[serde(skip_serializing_if = "Option::is_none")]
    symbols: Option<PathBuf>,
    /// gdb's commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    gdb: Option<PathBuf>,
}

/// An embedded file that was written.
#[derive(Debug, Serialize)]
struct Extracted {
    kind: FileKind,
    /// Where it was at conversion.
    path: PathBuf,
    /// Where it is now.
    extracted: PathBuf,
    /// In bytes.
    size: u64,
    /// Byte for byte the original.
    exact: bool,
}

/// Writes them.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let bytes = map(&arguments.file)?;
    let elf = ElfFile::parse_known(&bytes).ok();
    let manifest = elf.as_ref().and_then(Manifest::read);
    let (Some(elf), Some(manifest)) = (elf, manifest) else {
        return Err(Error::NotConverted(arguments.file.clone()).into());
    };
    if !is_plausible(&bytes, &manifest) {
        return Err(Error::Damaged(arguments.file.clone(), "an embedded file".into()).into());
    }
    let root = arguments.root.as_deref().map_or_else(|| Ok(Root::machine()), Root::open)?;
    let symbols = make_symbols(arguments, &bytes, &manifest, &root, |_| true)?;
    let mut answer = Answer::default();
    if let Some(path) = &arguments.symbols {
        answer.symbols = Some(write_symbols(path, &symbols, arguments.force)?);
    }
    if let Some(directory) = &arguments.directory {
        let chosen = choose(arguments, &manifest)?;
        let addends = Addends::of(&bytes, &manifest);
        let tree = tree::Tree::open(directory, arguments.force)?;
        for embedded in &chosen {
            answer.files.push(extract(arguments, &tree, &bytes, (embedded, &addends), &root)?);
        }
        if arguments.modules.is_empty() {
            let id = statify_format::manifest::hex(&elf.build_id().unwrap_or_default());
            let (first, rest) = id.split_at(id.len().min(2));
            let path = format!("/.build-id/{first}/{rest}.debug");
            let path = tree.write(Path::new(&path), &symbols, 0o644)?;
            let base = elf.loads().map(|load| load.p_vaddr).min().unwrap_or(0);
            let modules = modules(&bytes, &manifest, &answer.files, &root);
            let anchors = Anchors::find(&bytes, &elf, &manifest);
            // gdb gives a file's symbols one distance: where the libraries have another, theirs come
            // from their own files only.
            let own = match anchors.words.is_empty() {
                false => {
                    let of_program = |file: &EmbeddedFile| file.kind == FileKind::Program;
                    let own = make_symbols(arguments, &bytes, &manifest, &root, of_program)?;
                    tree.write(Path::new("/gdb.symbols"), &own, 0o644)?
                }
                true => path.clone(),
            };
            let commands = gdb::commands(tree.path(), &own, base, &anchors, &modules);
            answer.gdb = Some(tree.write(Path::new("/gdb"), commands.as_bytes(), 0o644)?);
            answer.symbols.get_or_insert(path);
        }
    }
    show(arguments, &answer)?;
    Ok(Verdict::Good)
}

fn map(path: &Path) -> Result<Mmap, Failure> {
    let failed = |error| elfscan::Error::File(path.to_owned(), error);
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Err(Error::NotConverted(path.to_owned()).into());
    }
    let file = File::open(path).map_err(failed)?;
    // SAFETY: the bytes are only read as bytes; a file that shrinks meanwhile ends the process,
    // as it does for every tool that maps files.
    Ok(unsafe { Mmap::map(&file) }.map_err(failed)?)
}

fn make_symbols(
    arguments: &Arguments,
    bytes: &[u8],
    manifest: &Manifest,
    root: &Root,
    wanted: impl Fn(&EmbeddedFile) -> bool,
) -> Result<Vec<u8>, Failure> {
    if arguments.symbols.is_none() && !arguments.modules.is_empty() {
        return Ok(Vec::new());
    }
    let tables = |embedded: &EmbeddedFile| {
        let original = originals::original(root, embedded).map(|original| original.bytes);
        [originals::debug_file(root, embedded), original].into_iter().flatten().collect()
    };
    let damaged = || Error::Damaged(arguments.file.clone(), "the program".into());
    Ok(debug_file::make(bytes, manifest, wanted, tables).ok_or_else(damaged)?)
}

fn write_symbols(path: &Path, symbols: &[u8], force: bool) -> Result<PathBuf, Error> {
    let failed = |error| Error::Write(path.to_owned(), error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let tree = tree::Tree::open(directory.unwrap_or(Path::new(".")), force)?;
    let name = path.file_name().ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
    tree.write(&Path::new("/").join(name), symbols, 0o644)
}

/// The embedded files that were asked for.
fn choose<'a>(
    arguments: &Arguments,
    manifest: &'a Manifest,
) -> Result<Vec<&'a EmbeddedFile>, Error> {
    let matches = |embedded: &&EmbeddedFile, name: &str| {
        embedded.path == Path::new(name)
            || embedded.path.file_name().is_some_and(|own| own == name)
            || embedded.soname.as_deref() == Some(name)
    };
    let mut chosen: Vec<&EmbeddedFile> = Vec::new();
    for name in &arguments.modules {
        let found = manifest.files.iter().find(|embedded| matches(embedded, name));
        let no_such = || Error::NoSuchModule(arguments.file.clone(), name.clone());
        chosen.push(found.ok_or_else(no_such)?);
    }
    if arguments.modules.is_empty() {
        chosen.extend(&manifest.files);
    }
    // Before anything is written.
    let mut paths = Vec::new();
    for embedded in &chosen {
        paths.push(tree::names(&embedded.path)?);
    }
    paths.sort();
    let twice = paths.windows(2).find(|pair| pair[0] == pair[1]);
    match twice {
        Some(pair) => {
            let path: PathBuf = pair[0].iter().collect();
            Err(Error::Twice(path.to_string_lossy().into_owned()))
        }
        None => Ok(chosen),
    }
}

fn extract(
    arguments: &Arguments,
    tree: &tree::Tree,
    bytes: &[u8],
    (embedded, addends): (&EmbeddedFile, &Addends),
    root: &Root,
) -> Result<Extracted, Failure> {
    let done = |extracted, size: usize, exact| Extracted {
        kind: embedded.kind,
        path: embedded.path.clone(),
        extracted,
        size: size as u64,
        exact,
    };
    if arguments.exact {
        let original = originals::original(root, embedded);
        let original = original.ok_or_else(|| Error::NoOriginal(embedded.path.clone()))?;
        let path = tree.write(&embedded.path, &original.bytes, original.mode)?;
        return Ok(done(path, original.bytes.len(), true));
    }
    let path = embedded.path.to_string_lossy().into_owned();
    let damaged = || Error::Damaged(arguments.file.clone(), path);
    let made = file::rebuild(bytes, embedded, addends).ok_or_else(damaged)?;
    let path = tree.write(&embedded.path, &made, 0o644)?;
    Ok(done(path, made.len(), embedded.kind == FileKind::Plugin))
}

/// What gdb is to be told of: the originals where they are, because they may have more than what is loaded.
fn modules(
    bytes: &[u8],
    manifest: &Manifest,
    files: &[Extracted],
    root: &Root,
) -> Vec<gdb::Module> {
    let describe = |(embedded, file): (&EmbeddedFile, &Extracted)| {
        let addresses = module::rebuild(bytes, embedded)?.addresses?;
        let original = originals::original(root, embedded).filter(|_| root.directory().is_none());
        let path = original.map_or(&file.extracted, |_| &embedded.path).clone();
        let (bias, fixed) = (addresses.in_output(0), addresses.absolute);
        Some(gdb::Module { path, bias, fixed, address: embedded.address })
    };
    manifest.files.iter().zip(files).filter_map(describe).collect()
}

fn show(arguments: &Arguments, answer: &Answer) -> Result<(), Failure> {
    if arguments.json {
        return Ok(statify_command_line::print_json(answer)?);
    }
    let mut text = String::new();
    for file in &answer.files {
        let exact = if file.exact { "  the original" } else { "" };
        text +=
            &format!("{:>10}  {}{exact}\n", file.size, statify_printable::path(&file.extracted));
    }
    if let Some(symbols) = &answer.symbols {
        text += &format!("symbols: {}\n", statify_printable::path(symbols));
    }
    if let Some(gdb) = &answer.gdb {
        // To be copied into a shell.
        let [program, commands] =
            [&arguments.file, gdb].map(|path| statify_printable::shell_word(path));
        text += &format!("gdb {program} CORE -x {commands}\n");
    }
    Ok(statify_command_line::print(&text)?)
}
