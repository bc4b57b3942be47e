//! Building a variant of a fixture with the C and C++ compilers of the machine.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

pub use crate::compiler::compiler;
use crate::directives::{Fixture, SharedObject};
use crate::guest;
use crate::process::{self, End, Limits};
use crate::toolchain::Toolchain;

/// A variant that has been built.
///
/// Program and converted program have the same name in directories whose names are equally long, so that neither
/// argv\[0\] nor the stack's layout tells them apart.
#[derive(Debug)]
pub struct Built {
    /// The directory: libraries and plugins lie here, programs in `orig` and `conv`.
    pub dir: PathBuf,
    /// The program as built.
    pub original: PathBuf,
    /// Where the converted program goes.
    pub converted: PathBuf,
    libraries: Vec<PathBuf>,
}

impl Built {
    /// Takes the linked libraries away (plugins stay), to show that the converted program does without.
    pub fn take_libraries_away(&self) -> Result<()> {
        for library in &self.libraries {
            fs::remove_file(library).with_context(|| format!("removing {}", library.display()))?;
        }
        Ok(())
    }
}

/// Replaces `$DIR` by the variant's directory.
pub fn expand(words: &[String], dir: &Path) -> Vec<String> {
    words.iter().map(|word| word.replace("$DIR", &dir.to_string_lossy())).collect()
}

/// Builds the program `source` and its libraries in `dir`, with `variant` added to its flags.
pub fn build(
    source: &Path,
    fixture: &Fixture,
    variant: &[String],
    toolchain: Toolchain,
    dir: &Path,
) -> Result<Built> {
    let name = source.file_stem().context("a fixture without a name")?;
    let sources = source.parent().context("a fixture without a directory")?.join("lib");
    for made in ["orig", "conv", "tmp"] {
        fs::create_dir(dir.join(made)).with_context(|| format!("creating {made}"))?;
    }
    for library in fixture.libraries.iter().chain(&fixture.plugins) {
        shared_object(library, &sources, toolchain, dir)?;
    }

    let flags = expand(&[fixture.flags.as_slice(), variant].concat(), dir);
    let mut inputs = vec![source.to_owned()];
    for (number, object) in fixture.objects.iter().enumerate() {
        let own = expand(&object.flags, dir);
        let source = sources.join(&object.source);
        let output = dir.join(format!("{number}.o"));
        let compiler = toolchain.compiler(is_cxx(&source))?;
        let flags = toolchain.flags(dir)?;
        compile_by(
            compiler,
            &[&source],
            &output,
            own.iter().chain(&flags).chain([&"-c".to_owned()]),
        )?;
        inputs.push(output);
    }
    let cxx =
        is_cxx(source) || fixture.objects.iter().any(|object| is_cxx(Path::new(&object.source)));
    let mut arguments = flags;
    arguments.extend(search(dir));
    arguments.extend(fixture.libraries.iter().map(|library| format!("-l:{}", library.file)));
    let original = dir.join("orig").join(name);
    arguments.extend(toolchain.flags(dir)?);
    compile_by(toolchain.compiler(cxx)?, &inputs, &original, &arguments)?;
    Ok(Built {
        dir: dir.to_owned(),
        original,
        converted: dir.join("conv").join(name),
        libraries: fixture.libraries.iter().map(|library| dir.join(&library.file)).collect(),
    })
}

fn shared_object(
    object: &SharedObject,
    sources: &Path,
    toolchain: Toolchain,
    dir: &Path,
) -> Result<()> {
    let inputs: Vec<_> = object.sources.iter().map(|source| sources.join(source)).collect();
    let cxx = inputs.iter().any(|source| is_cxx(source));
    let mut arguments: Vec<String> = ["-shared", "-fPIC", "-O2"].map(Into::into).into();
    arguments.extend(expand(&object.flags, dir));
    arguments.extend(search(dir));
    arguments.extend(toolchain.flags(dir)?);
    compile_by(toolchain.compiler(cxx)?, &inputs, &dir.join(&object.file), &arguments)
}

/// Lets linker and loader find the fixture's own libraries.
fn search(dir: &Path) -> [String; 2] {
    let dir = dir.display();
    [format!("-L{dir}"), format!("-Wl,-rpath-link,{dir},-rpath,{dir}")]
}

/// Whether a source is C++.
pub fn is_cxx(source: &Path) -> bool {
    source
        .extension()
        .is_some_and(|extension| ["cc", "cpp", "cxx"].iter().any(|cxx| extension == *cxx))
}

/// Runs a compiler: `inputs` first, since libraries among the arguments only serve what stands before them.
pub fn compile_by<P: AsRef<OsStr>, A: AsRef<OsStr>>(
    compiler: OsString,
    inputs: &[P],
    output: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Result<()> {
    let mut command = Command::new(&compiler);
    command.arg("-o").arg(output).args(inputs).args(arguments).env("LC_ALL", "C");
    guest::place(&mut command, Path::new("/"))?;
    let outcome = process::run(&mut command, b"", Limits::seconds(120))
        .with_context(|| format!("starting {compiler:?}"))?;
    if outcome.end != End::Exit(0) {
        bail!("the compiler failed ({}): {command:?}\n{}", outcome.end, outcome.stderr_text());
    }
    Ok(())
}
