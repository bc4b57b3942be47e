//! A report as text: a line for each fact. Names out of files are printable.

use std::fmt;

use statify_printable::{path, printable};

use super::{Diagnosis, Facts, Machine};
use crate::error::Error;
use crate::report::Report;
use crate::unexplained::{MOST_KEPT, Word, Words};

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "statify {}", env!("CARGO_PKG_VERSION"))?;
        machine(f, &self.machine)?;
        program(f, self)?;
        match &self.outcome {
            Ok(report) => converted(f, report),
            Err(error) => not_converted(f, error),
        }
    }
}

fn machine(f: &mut fmt::Formatter<'_>, machine: &Machine) -> fmt::Result {
    writeln!(f, "kernel: {}", printable(&machine.kernel))?;
    if let Some(system) = &machine.system {
        writeln!(f, "system: {}", printable(system))?;
    }
    writeln!(f, "C library: {}", printable(&machine.c_library))?;
    let cpu = printable(&machine.cpu);
    writeln!(f, "CPU: {cpu}; {}", machine.level)?;
    let number = |number: Option<u32>| number.map_or_else(|| "unknown".into(), |n| n.to_string());
    writeln!(
        f,
        "run as root: {}; seccomp: {}; ptrace_scope: {}",
        if machine.is_root { "yes" } else { "no" },
        number(machine.seccomp),
        number(machine.ptrace_scope)
    )
}

fn program(f: &mut fmt::Formatter<'_>, diagnosis: &Diagnosis) -> fmt::Result {
    writeln!(f, "program: {}", path(&diagnosis.program))?;
    let facts = match &diagnosis.facts {
        Ok(facts) => facts,
        Err(error) => return writeln!(f, "  it cannot be read: {}", printable(&error.to_string())),
    };
    let Facts { size, elf } = facts;
    let Some(elf) = elf else { return writeln!(f, "  {size} bytes, no ELF file") };
    let (kind, machine, bits) = elf.kind;
    writeln!(f, "  {size} bytes, ELF of {bits} bits, type {kind}, machine {machine}")?;
    writeln!(f, "  build-id: {}", elf.build_id.as_deref().unwrap_or("none"))?;
    match &elf.interpreter {
        None => writeln!(f, "  interpreter: none")?,
        Some((interpreter, None)) => writeln!(f, "  interpreter: {}", path(interpreter))?,
        Some((interpreter, Some(banner))) => {
            writeln!(f, "  interpreter: {}: {}", path(interpreter), printable(banner))?;
        }
    }
    elf.needed.iter().try_for_each(|name| writeln!(f, "  needs: {}", printable(name)))
}

/// That all went well, and what is in the output.
fn converted(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    writeln!(f, "conversion: it can be converted, into {} bytes", report.size)?;
    for file in report.manifest.iter().flat_map(|manifest| &manifest.files) {
        let id = file.build_id.as_deref().unwrap_or("none");
        writeln!(
            f,
            "  has: {}, {} bytes, build-id {}",
            path(&file.path),
            file.size,
            printable(id)
        )?;
    }
    writeln!(f, "  environment: {}", printable(report.variables))?;
    report.notices.iter().try_for_each(|notice| writeln!(f, "  note: {}", printable(notice)))
}

/// The error, and every word that is not explained.
fn not_converted(f: &mut fmt::Formatter<'_>, error: &Error) -> fmt::Result {
    writeln!(f, "conversion: it cannot be converted")?;
    writeln!(f, "  error: {}", printable(&error.to_string()))?;
    let Some(Words { count, kept }) = error.unexplained() else { return Ok(()) };
    writeln!(f, "words that are not explained: {count}")?;
    kept.iter().take(MOST_KEPT).try_for_each(|word| self::word(f, word))?;
    match count - kept.len().min(*count) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}

fn word(f: &mut fmt::Formatter<'_>, word: &Word) -> fmt::Result {
    let Word { module, offset, section, symbol, first, second } = word;
    write!(f, "  {}+{offset:#x}: {first:#x} {second:#x}", printable(module))?;
    for name in [section, symbol].into_iter().flatten() {
        write!(f, " {}", printable(name))?;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::program::ElfFacts;
    use std::path::{Path, PathBuf};

    fn machine() -> Machine {
        Machine {
            kernel: "Linux 6.1.0 x86_64".into(),
            system: Some("Debian".into()),
            c_library: "glibc 2.36".into(),
            cpu: "AuthenticAMD, family 25, model 1, stepping 2".into(),
            level: "x86-64-v3",
            is_root: false,
            seccomp: Some(2),
            ptrace_scope: None,
        }
    }

    fn facts() -> Facts {
        let elf = ElfFacts {
            kind: (3, 62, 64),
            build_id: Some("00ff".into()),
            interpreter: Some(("/lib/ld.so".into(), Some("ld.so version 2.36.".into()))),
            needed: vec!["libc.so.6".into(), "lib\u{1b}[2J.so".into()],
        };
        Facts { size: 4096, elf: Some(elf) }
    }

    fn diagnosis(outcome: Result<Report, Error>) -> Diagnosis {
        Diagnosis { machine: machine(), program: "/bin/x".into(), facts: Ok(facts()), outcome }
    }

    #[test]
    fn words_that_are_not_explained_are_told_up_to_64() {
        let word = |offset| Word {
            module: "/lib/a.so".into(),
            offset,
            section: Some(".data".into()),
            symbol: (offset == 0).then(|| "a\nb".into()),
            first: 1,
            second: 0x20,
        };
        let kept: Vec<Word> = (0..64).map(|index| word(8 * index)).collect();
        let words = Box::new(Words { count: 70, kept });
        let error = Error::Unexplained(PathBuf::from("/bin/x"), words);
        let text = diagnosis(Err(error)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "kernel: Linux 6.1.0 x86_64",
            "system: Debian",
            "C library: glibc 2.36",
            "CPU: AuthenticAMD, family 25, model 1, stepping 2; x86-64-v3",
            "run as root: no; seccomp: 2; ptrace_scope: unknown",
            "program: /bin/x",
            "  4096 bytes, ELF of 64 bits, type 3, machine 62",
            "  build-id: 00ff",
            "  interpreter: /lib/ld.so: ld.so version 2.36.",
            "  needs: libc.so.6",
            "  needs: lib\\u{1b}[2J.so",
            "conversion: it cannot be converted",
        ];
        assert!(lines[0].starts_with("statify "), "{text}");
        assert_eq!(lines[1..13], expected);
        assert!(lines[13].starts_with("  error: /bin/x: 70 word(s) differ"), "{text}");
        assert_eq!(lines[14], "words that are not explained: 70");
        assert_eq!(lines[15], "  /lib/a.so+0x0: 0x1 0x20 .data a\\nb");
        assert_eq!(lines[16], "  /lib/a.so+0x8: 0x1 0x20 .data");
        assert_eq!(lines[15 + 64..], ["  and 6 more"]);
    }

    #[test]
    fn a_program_that_is_none_is_reported_as_well() {
        let mut diagnosis = diagnosis(Err(Error::Interrupted));
        diagnosis.facts = Err(std::io::Error::other("no\nsuch file"));
        let text = diagnosis.to_string();
        assert!(text.contains("\n  it cannot be read: no\\nsuch file\nconversion: "), "{text}");
        diagnosis.facts = Ok(Facts { size: 3, elf: None });
        assert!(diagnosis.to_string().contains("\n  3 bytes, no ELF file\n"));
    }

    #[test]
    fn success_is_said() {
        let mut report = Report::new(Path::new("/bin/x"), Path::new("/tmp/room/converted"));
        report.size = 5000;
        report.variables = "as they are";
        report.notices.push("a\u{7}b".into());
        let text = diagnosis(Ok(report)).to_string();
        let end = "conversion: it can be converted, into 5000 bytes\n  \
                   environment: as they are\n  note: a\\u{7}b\n";
        assert!(text.ends_with(end) && !text.contains("/tmp/room"), "{text}");
    }
}
