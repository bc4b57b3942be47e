//! What a start makes of a process: identity, environment and descriptors, for every way in which a program comes to have
//! privileges that its caller lacks, original and converted side by side.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::compare::{difference, said};
use statify_tests::process::{End, Outcome};

use crate::privileges::programs::{Caller, PRIVILEGED, Pair, REPORT};

/// What glibc 2.17 to 2.43 remove from the environment of a privileged program.
const UNSECURE: &[&str] = &[
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "LD_AUDIT",
    "LD_BIND_NOT",
    "LD_BIND_NOW",
    "LD_DEBUG",
    "LD_DEBUG_OUTPUT",
    "LD_DYNAMIC_WEAK",
    "LD_HWCAP_MASK",
    "LD_LIBRARY_PATH",
    "LD_ORIGIN_PATH",
    "LD_PREFER_MAP_32BIT_EXEC",
    "LD_PRELOAD",
    "LD_PROFILE",
    "LD_PROFILE_OUTPUT",
    "LD_SHOW_AUXV",
    "LD_USE_LOAD_BIAS",
    "LD_VERBOSE",
    "LD_WARN",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_ARENA_MAX",
    "MALLOC_ARENA_TEST",
    "MALLOC_CHECK_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_PERTURB_",
    "MALLOC_TOP_PAD_",
    "MALLOC_TRACE",
    "MALLOC_TRIM_THRESHOLD_",
    "NIS_PATH",
    "NLSPATH",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "TMPDIR",
    "TZDIR",
];

/// Names that are none of them, though they look like them.
const HARMLESS: &[&str] = &[
    "GIVEN",
    "PATH",
    "LD_PRELOAD_",
    "LD_PRELOA",
    "XLD_PRELOAD",
    "LD_",
    "LD_ASSUME_KERNEL",
    "TMPDI",
    "TMPDIR2",
    "TZ",
    "MALLOC_CHECK",
    "HOME",
    "ld_preload",
];

pub fn add(cases: &mut Cases) {
    let mut add = |name: &str, test: fn(&Case) -> Result<()>| {
        cases.needing(&[PRIVILEGED]).check(&format!("start/{name}"), test);
    };
    add("set-user-id", |case| {
        let pair = Pair::set_user_id(case, "report", REPORT)?;
        the_same_start(case, &pair, 1)
    });
    add("set-user-id/fixed-addresses", |case| {
        let mut pair = Pair::set_user_id(case, "report", REPORT)?;
        pair.converted = case.dir.join("conv/fixed");
        let flags = ["--preserve-privileges", "--fixed"];
        case.statify.convert(&pair.original, &pair.converted, &flags)?;
        the_same_start(case, &pair, 1)
    });
    add("set-user-id/not-position-independent", |case| {
        the_same_start(case, &Pair::set_user_id(case, "report", &["-O1", "-no-pie", "-ldl"])?, 1)
    });
    add("set-user-id/made-so-later", |case| {
        let pair = plain_pair(case)?;
        for program in [&pair.original, &pair.converted] {
            fs::set_permissions(program, Permissions::from_mode(0o4755))?;
        }
        the_same_start(case, &pair, 1)
    });
    add("set-group-id/made-so-later", |case| {
        let pair = plain_pair(case)?;
        for program in [&pair.original, &pair.converted] {
            std::os::unix::fs::chown(program, Some(0), Some(42))?;
            fs::set_permissions(program, Permissions::from_mode(0o2755))?;
        }
        the_same_start(case, &pair, 1)
    });
    add("without-privileges", |case| the_same_start(case, &plain_pair(case)?, 0));
    add("through-a-wrapper", through_a_wrapper);
    add("variables-of-malloc", variables_of_malloc);
    add("libraries-from-origin", libraries_from_origin);
    add("library-opened-from-origin", library_opened_from_origin);
    cases.needing(&[PRIVILEGED, "program:setcap"]).check("start/capabilities", |case| {
        let pair = plain_pair(case)?;
        for program in [&pair.original, &pair.converted] {
            output(Command::new("setcap").arg("cap_net_raw=ep").arg(program))?;
        }
        the_same_start(case, &pair, 1)
    });
}

fn plain_pair(case: &Case) -> Result<Pair> {
    for dir in ["orig", "conv"] {
        fs::create_dir(case.dir.join(dir))?;
    }
    let original = case.build("report", "orig/program", REPORT)?;
    let converted = case.dir.join("conv/program");
    case.statify.convert::<&str>(&original, &converted, &[])?;
    Ok(Pair { original, converted })
}

/// All of them, and what is not to be removed between them.
fn variables() -> Vec<(String, String)> {
    // Values that have no effect on a program without privileges: the loader would stop or speak.
    let value = |name: &str| match name {
        "LD_DEBUG" | "LD_VERBOSE" | "LD_WARN" | "LD_BIND_NOT" | "LD_PROFILE" | "LD_AUDIT"
        | "LD_PRELOAD" => "",
        "LD_SHOW_AUXV" => "",
        "GLIBC_TUNABLES" => "glibc.malloc.check=0:glibc.malloc.perturb=0",
        _ => "1",
    };
    let mut variables: Vec<_> =
        UNSECURE.iter().map(|name| ((*name).to_owned(), value(name).to_owned())).collect();
    for (index, name) in HARMLESS.iter().enumerate() {
        variables.insert(3 * index, ((*name).to_owned(), "kept".to_owned()));
    }
    variables
}

/// Both are started by an unprivileged caller, and report the same, but for the environment: of that, the converted
/// program has no more than the original, and no less but for names that some glibc removes.
fn the_same_start(case: &Case, pair: &Pair, secure: i32) -> Result<()> {
    let caller = Caller::new(case)?;
    // What a loader that heeds it shows, and the converted program does not.
    let heeded = |name: &str| secure == 0 && ["LD_SHOW_AUXV", "LD_PROFILE_OUTPUT"].contains(&name);
    let variables: Vec<_> = variables().into_iter().filter(|(name, _)| !heeded(name)).collect();
    let report = |program: &Path| -> Result<Report> {
        let outcome = caller.run(&[], &variables, program, &["one", "two words"])?;
        ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, said(&outcome));
        Ok(Report::of(&outcome))
    };
    let (original, converted) = (report(&pair.original)?, report(&pair.converted)?);
    original.has(&format!("flag: {secure}"))?;
    ensure!(
        original.rest == converted.rest,
        "{}",
        difference("report", original.rest.as_bytes(), converted.rest.as_bytes())
            .unwrap_or_default()
    );
    let given: Vec<_> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if secure == 0 {
        ensure!(original.environment == converted.environment, "{:?}", converted.environment);
        return Ok(());
    }
    let is_unsecure =
        |line: &str| UNSECURE.iter().any(|name| line.split('=').next() == Some(*name));
    let expected: Vec<_> = given.iter().filter(|line| !is_unsecure(line)).cloned().collect();
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    ensure!(
        sorted(converted.environment.clone()) == sorted(expected),
        "the converted program's environment is {:?}",
        converted.environment
    );
    let of_original: Vec<_> =
        original.environment.iter().filter(|line| !is_unsecure(line)).cloned().collect();
    ensure!(of_original == converted.environment, "the original keeps {of_original:?}");
    Ok(())
}

/// What the fixture says.
pub struct Report {
    /// The environment, `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The other lines.
    pub rest: String,
}

impl Report {
    /// Reads it.
    pub fn of(outcome: &Outcome) -> Self {
        let (mut environment, mut rest) = (Vec::new(), String::new());
        for line in outcome.stdout_text().lines() {
            match line.strip_prefix("environment: ") {
                Some(entry) => environment.push(entry.to_owned()),
                None => rest.push_str(&format!("{line}\n")),
            }
        }
        Self { environment, rest }
    }

    /// Fails unless it has this line.
    pub fn has(&self, line: &str) -> Result<()> {
        ensure!(self.rest.lines().any(|other| other == line), "no `{line}` in:\n{}", self.rest);
        Ok(())
    }
}

/// A set-user-ID program that executes others with its privileges: the file executed has none itself.
fn through_a_wrapper(case: &Case) -> Result<()> {
    let pair = plain_pair(case)?;
    let wrapper = case.build("wrapper", "wrapper", &["-O1"])?;
    fs::set_permissions(&wrapper, Permissions::from_mode(0o4755))?;
    let caller = Caller::new(case)?;
    let report = |program: &Path| {
        let variables =
            [("GIVEN".to_owned(), "1".to_owned()), ("TZDIR".to_owned(), "/".to_owned())];
        let program = program.display().to_string();
        let outcome = caller.run(&[], &variables, &wrapper, &[&program])?;
        ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, said(&outcome));
        Ok(outcome)
    };
    let (original, converted) = (report(&pair.original)?, report(&pair.converted)?);
    Report::of(&original).has("flag: 1")?;
    ensure!(original.stdout == converted.stdout, "{}", said(&converted));
    Ok(())
}

/// What tunes malloc counts where the caller has all the rights that the process has, and not where it lacks some.
fn variables_of_malloc(case: &Case) -> Result<()> {
    let original = case.build("malloc", "program", &["-O1"])?;
    let converted = case.convert(&original, &[])?;
    let caller = Caller::new(case)?;
    let variables = [
        ("MALLOC_MMAP_THRESHOLD_", "1000000"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1000000"),
    ];
    for (name, value) in variables {
        let variables = [(name.to_owned(), value.to_owned())];
        for (mode, mapped) in [(0o755, 0), (0o4755, 1)] {
            for program in [&original, &converted] {
                fs::set_permissions(program, Permissions::from_mode(mode))?;
                let outcome = caller.run(&[], &variables, program, &[])?;
                let expected = format!("a large block is mapped: {mapped}\n");
                ensure!(
                    outcome.stdout_text() == expected,
                    "{}, mode {mode:o}, {name}: {}",
                    program.display(),
                    said(&outcome)
                );
            }
        }
    }
    Ok(())
}

/// ld.so does not expand $ORIGIN for a privileged program, so that the original does not find its library; nor must the
/// converted program run with what was found so.
fn libraries_from_origin(case: &Case) -> Result<()> {
    case.library("libshared.so", "int shared = 1;", &["-Wl,-soname,libshared.so"])?;
    let dir = format!("-L{}", case.dir.display());
    let flags = ["-O1", &dir, "-l:libshared.so", "-Wl,-rpath,$ORIGIN"];
    let original = case.build("loader", "program", &flags)?;
    let converted = case.convert(&original, &[])?;
    let caller = Caller::new(case)?;
    for (mode, status) in [(0o755, 0), (0o4755, 127)] {
        for program in [&original, &converted] {
            fs::set_permissions(program, Permissions::from_mode(mode))?;
            let outcome = caller.run(&[], &[], program, &[])?;
            let end = (outcome.end, outcome.stdout.is_empty(), outcome.stderr.is_empty());
            ensure!(
                end == (End::Exit(status), status != 0, status == 0),
                "{}, mode {mode:o}: {}\n{}",
                program.display(),
                outcome.end,
                said(&outcome)
            );
        }
    }
    Ok(())
}

/// Nor does the loader expand it for what a privileged program opens later.
fn library_opened_from_origin(case: &Case) -> Result<()> {
    let pair = Pair::set_user_id(case, "effects", &["-O1", "-lresolv", "-ldl"])?;
    case.library("orig/intruder.so", "int intruder;", &[])?;
    case.library("conv/intruder.so", "int intruder;", &[])?;
    let caller = Caller::new(case)?;
    for (mode, said) in [(0o755, "loaded\n"), (0o4755, "not loaded\n")] {
        for program in [&pair.original, &pair.converted] {
            fs::set_permissions(program, Permissions::from_mode(mode))?;
            let outcome = caller.run(&[], &[], program, &["origin"])?;
            ensure!(outcome.stdout_text() == said, "{}, mode {mode:o}", program.display());
        }
    }
    Ok(())
}
