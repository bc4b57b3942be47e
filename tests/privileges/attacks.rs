//! What an unprivileged caller of a set-user-ID program tries by variables. Each attack is shown to work on a program without
//! privileges, and to do nothing to the original and to the converted program that have them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::builder;
use statify_tests::case::{Case, Cases, output};
use statify_tests::compare::said;
use statify_tests::process::{End, Outcome};
use statify_tests::sandbox::give_to_unprivileged;

use crate::privileges::programs::{Caller, PRIVILEGED, Pair};

/// Names and values.
type Variables = Vec<(&'static str, String)>;

/// One attack.
struct Attack {
    name: &'static str,
    /// The program, and its argument.
    program: (&'static str, &'static str),
    /// Puts things into the caller's directory, and tells the variables.
    prepare: fn(&Case, &Path) -> Result<Variables>,
    /// What the machine must have.
    needs: &'static [&'static str],
    /// The converted program does not heed the variables even without privileges.
    never_heeded: bool,
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "LD_PRELOAD",
        program: ("loader", ""),
        prepare: |case, dir| Ok(vec![("LD_PRELOAD", intruder(case, dir)?)]),
        needs: &[],
        never_heeded: true,
    },
    Attack {
        name: "LD_AUDIT",
        program: ("loader", ""),
        prepare: |case, dir| Ok(vec![("LD_AUDIT", intruder(case, dir)?)]),
        needs: &[],
        never_heeded: true,
    },
    Attack {
        name: "LD_LIBRARY_PATH",
        program: ("loader", ""),
        prepare: |case, dir| {
            case.library("theirs/libshared.so", "int shared = 2;", &["-Wl,-soname,libshared.so"])?;
            Ok(vec![("LD_LIBRARY_PATH", text(dir))])
        },
        needs: &[],
        never_heeded: true,
    },
    Attack {
        name: "LD_LIBRARY_PATH-later",
        program: ("effects", "by-name"),
        prepare: |case, dir| {
            intruder(case, dir)?;
            Ok(vec![("LD_LIBRARY_PATH", text(dir))])
        },
        needs: &[],
        never_heeded: true,
    },
    Attack {
        name: "LD_DEBUG",
        program: ("loader", ""),
        prepare: |_, dir| {
            let file = dir.join("debug");
            Ok(vec![("LD_DEBUG", "all".into()), ("LD_DEBUG_OUTPUT", text(&file))])
        },
        needs: &[],
        never_heeded: true,
    },
    Attack {
        name: "LD_SHOW_AUXV",
        program: ("loader", ""),
        prepare: |_, _| Ok(vec![("LD_SHOW_AUXV", "1".into())]),
        needs: &[],
        never_heeded: true,
    },
    Attack {
        name: "LD_PROFILE",
        program: ("loader", ""),
        prepare: |_, dir| {
            Ok(vec![("LD_PROFILE", "libc.so.6".into()), ("LD_PROFILE_OUTPUT", text(dir))])
        },
        needs: &[],
        never_heeded: true,
    },
    Attack {
        name: "GLIBC_TUNABLES",
        program: ("effects", "malloc"),
        prepare: |_, _| Ok(vec![("GLIBC_TUNABLES", "glibc.malloc.perturb=165".into())]),
        needs: &[],
        never_heeded: false,
    },
    Attack {
        name: "MALLOC_PERTURB_",
        program: ("effects", "malloc"),
        prepare: |_, _| Ok(vec![("MALLOC_PERTURB_", "165".into())]),
        needs: &[],
        never_heeded: false,
    },
    Attack {
        name: "GCONV_PATH",
        program: ("effects", "gconv"),
        prepare: |case, dir| {
            let functions = "int gconv(void) { return 0; } int gconv_init(void) { return 0; }";
            case.library("theirs/intruder.so", functions, &[])?;
            let modules = "module STATIFY-TEST// INTERNAL intruder 1\nmodule INTERNAL STATIFY-TEST// intruder 1\n";
            fs::write(dir.join("gconv-modules"), modules)?;
            Ok(vec![("GCONV_PATH", text(dir))])
        },
        needs: &[],
        never_heeded: false,
    },
    Attack {
        name: "LOCPATH",
        program: ("effects", "locale"),
        prepare: |_, dir| {
            let copy = Command::new("cp")
                .args(["-r", "/usr/lib/locale/C.utf8"])
                .arg(dir.join("statify"))
                .status()?;
            ensure!(copy.success(), "no copy of C.utf8");
            Ok(vec![("LOCPATH", text(dir))])
        },
        needs: &["file:/usr/lib/locale/C.utf8/LC_CTYPE"],
        never_heeded: false,
    },
    Attack {
        name: "NLSPATH",
        program: ("effects", "catalogue"),
        prepare: |_, dir| {
            fs::write(dir.join("source"), "$set 1\n1 intruder\n")?;
            output(Command::new("gencat").arg(dir.join("statify.cat")).arg(dir.join("source")))?;
            Ok(vec![("NLSPATH", format!("{}/%N.cat", dir.display()))])
        },
        needs: &["program:gencat"],
        never_heeded: false,
    },
    Attack {
        name: "HOSTALIASES",
        program: ("effects", "alias"),
        prepare: |_, dir| {
            fs::write(dir.join("aliases"), "statify-test intruder.example\n")?;
            Ok(vec![("HOSTALIASES", text(&dir.join("aliases")))])
        },
        needs: &[],
        never_heeded: false,
    },
    Attack {
        name: "RES_OPTIONS",
        program: ("effects", "resolver"),
        prepare: |_, _| Ok(vec![("RES_OPTIONS", "ndots:9".into())]),
        needs: &[],
        never_heeded: false,
    },
    Attack {
        name: "LOCALDOMAIN",
        program: ("effects", "resolver"),
        prepare: |_, _| Ok(vec![("LOCALDOMAIN", "intruder.example".into())]),
        needs: &[],
        never_heeded: false,
    },
    Attack {
        name: "TMPDIR",
        program: ("effects", "temporary"),
        prepare: |_, dir| Ok(vec![("TMPDIR", text(dir))]),
        needs: &[],
        never_heeded: false,
    },
    Attack {
        name: "TZDIR",
        program: ("effects", "zone"),
        prepare: |_, dir| {
            fs::copy("/usr/share/zoneinfo/Etc/GMT-5", dir.join("Statify"))?;
            Ok(vec![("TZDIR", text(dir)), ("TZ", "Statify".into())])
        },
        needs: &["file:/usr/share/zoneinfo/Etc/GMT-5"],
        never_heeded: false,
    },
    Attack {
        name: "TZ",
        program: ("effects", "zone"),
        prepare: |_, dir| {
            fs::copy("/usr/share/zoneinfo/Etc/GMT-5", dir.join("Statify"))?;
            Ok(vec![("TZ", text(&dir.join("Statify")))])
        },
        needs: &["file:/usr/share/zoneinfo/Etc/GMT-5"],
        never_heeded: false,
    },
];

pub fn add(cases: &mut Cases) {
    for attack in ATTACKS {
        let needs = [&[PRIVILEGED], attack.needs].concat();
        cases.needing(&needs).check(&format!("attack/{}", attack.name), |case| attack.run(case));
    }
}

/// A library that makes itself known when it is loaded, and that passes for an auditor, too.
fn intruder(case: &Case, dir: &Path) -> Result<String> {
    let text_of_it = r#"
        #include <unistd.h>
        __attribute__((constructor)) static void intrude(void) { if (write(1, "intruder\n", 9) != 9) _exit(9); }
        unsigned la_version(unsigned version) { return version; }
    "#;
    case.library("theirs/intruder.so", text_of_it, &[])?;
    Ok(text(&dir.join("intruder.so")))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

impl Attack {
    fn run(&self, case: &Case) -> Result<()> {
        let dir = case.dir.join("theirs");
        fs::create_dir(&dir)?;
        give_to_unprivileged(&dir)?;
        case.library("libshared.so", "int shared = 1;", &["-Wl,-soname,libshared.so"])?;
        let mut flags = vec!["-O1".to_owned()];
        if self.program.0 == "loader" {
            // DT_RUNPATH, since LD_LIBRARY_PATH comes before it and after DT_RPATH.
            flags.extend(case.link(&["libshared.so"]));
            flags.push("-Wl,--enable-new-dtags".into());
        } else {
            flags.extend(["-lresolv".into(), "-ldl".into()]);
        }
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let pair = Pair::set_user_id(case, self.program.0, &flags)?;
        let source = case.sources.join(self.program.0).with_extension("c");
        let unprivileged = case.dir.join("plain");
        builder::compile_by(builder::compiler(false), &[source], &unprivileged, &flags)?;
        let plainly_converted = case.convert(&unprivileged, &[])?;
        let variables: Vec<_> = (self.prepare)(case, &dir)?
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let before = files(&dir)?;
        let caller = Caller::new(case)?;
        let does = |program: &Path, variables: &[(String, String)]| -> Result<Did> {
            let outcome = caller.run(&[], variables, program, &[self.program.1])?;
            let did = Did::of(&outcome, files(&dir)?);
            for file in files(&dir)?.iter().filter(|file| !before.contains(file)) {
                fs::remove_file(dir.join(file))?;
            }
            ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, said(&outcome));
            Ok(did)
        };
        let unharmed = does(&unprivileged, &[])?;
        let harmed = does(&unprivileged, &variables)?;
        ensure!(harmed != unharmed, "the attack has no effect on any program: {harmed:?}");
        let original = does(&pair.original, &variables)?;
        ensure!(original == unharmed, "the original falls to it: {original:?}");
        let converted = does(&pair.converted, &variables)?;
        ensure!(converted == unharmed, "the converted program falls to it: {converted:?}");
        let plain = does(&plainly_converted, &variables)?;
        let expected = if self.never_heeded { &unharmed } else { &harmed };
        ensure!(plain == *expected, "without privileges, the converted program: {plain:?}");
        Ok(())
    }
}

/// What a run did: its standard output, and the files in the caller's directory afterwards.
#[derive(Debug, PartialEq, Eq)]
struct Did {
    stdout: String,
    files: usize,
}

impl Did {
    fn of(outcome: &Outcome, files: Vec<String>) -> Self {
        Self { stdout: outcome.stdout_text(), files: files.len() }
    }
}

fn files(dir: &Path) -> Result<Vec<String>> {
    fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}
