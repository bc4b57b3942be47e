//! Options that shape the outputs of a run.

use std::fs;

use anyhow::{Context, Result, ensure};
use statify_elf::ElfFile;
use statify_format::manifest::{FileKind, Manifest};
use statify_format::{Randomness, Seal};
use statify_tests::case::{Case, Cases};

use crate::rootfs::{guest, tool};

pub fn add(cases: &mut Cases) {
    cases.check("options/align-fixed-jobs", shapes);
}

fn shapes(case: &Case) -> Result<()> {
    let root = guest::tiny(case.dir.join("guest"))?;
    for (name, align, options) in [
        ("plain", 4096, &[][..]),
        ("one-job", 4096, &["--jobs", "1"]),
        ("many-jobs", 4096, &["--jobs", "16"]),
        ("fixed", 4096, &["--fixed"]),
        ("aligned", 65536, &["--align", "65536"]),
        ("kernels", 4096, &["--aslr", "kernel", "--no-seal"]),
    ] {
        let out = case.dir.join(name);
        let mut arguments =
            vec!["convert".as_ref(), root.dir.as_os_str(), "--out".as_ref(), out.as_os_str()];
        arguments.extend(options.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        let said = tool::good(arguments)?;
        ensure!(said.contains(": 3 programs converted"), "{name}: {said}");
        for program in ["one", "three"] {
            let bytes = fs::read(out.join("usr/bin").join(program))?;
            let elf = ElfFile::parse(&bytes)?;
            let manifest = Manifest::read(&elf).context("no manifest")?;
            ensure!(manifest.options.fixed == (name == "fixed"), "{name}: {program}");
            ensure!(manifest.options.align == align, "{name}: {program}");
            let (aslr, seal) = match name {
                "kernels" => (Randomness::Kernel, Seal::Never),
                _ => (Randomness::Full, Seal::Unfiltered),
            };
            ensure!(manifest.options.aslr == aslr, "{name}: {program}");
            ensure!(manifest.options.seal == seal, "{name}: {program}");
            // A small program lies with what is the output's own.
            for file in manifest.files.iter().filter(|file| file.kind != FileKind::Program) {
                let stored = file.memory.iter().filter_map(|memory| memory.stored_at).min();
                let stored = stored.context("nothing is stored")?;
                ensure!(stored % align == 0, "{name}: {} at {stored:#x}", file.path.display());
            }
            if options.first() == Some(&"--jobs") {
                let plain = fs::read(case.dir.join("plain/usr/bin").join(program))?;
                ensure!(bytes == plain, "{name}: {program} differs");
            }
        }
    }
    Ok(())
}
