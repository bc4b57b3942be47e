//! Original and converted on emulated CPUs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use statify_tests::builder;
use statify_tests::compare::{against_each_other, normalise};
use statify_tests::convert::{SYSTEM_PATH, Statify};
use statify_tests::machine::find_program;
use statify_tests::process::{self, End, Limits, Outcome};
use statify_tests::report::Done;
use statify_tests::toolchain::Toolchain;

use crate::cpus::Subject;

/// From the first 64-bit CPUs to what the emulator can do at most.
pub const MODELS: [&str; 7] =
    ["qemu64", "core2duo", "Nehalem", "SandyBridge", "Haswell-noTSX", "EPYC", "max"];

/// The same for programs of 32 bits: one of the first CPUs that Debian's run on, which has no SSE2, one that has no 64 bits,
/// a later one, and the most.
const NARROW_MODELS: [&str; 4] = ["pentium3", "n270", "Haswell-noTSX", "max"];

const EMULATOR: &str = "qemu-x86_64";
const NARROW_EMULATOR: &str = "qemu-i386";

/// How often a run is made again that the emulator says to have crashed: a crash counts if it comes
/// each time.
const REPEATS: usize = 9;

/// Fixtures that show nothing there, with the reason; with a suffix, of that kind only.
const NOT_EMULATED: &[(&str, &str)] = &[
    ("cxx-thread-cancel", "the emulator crashes now and then, with the original as well"),
    ("thread-cancel", "the emulator crashes nearly each time, with the original as well"),
    (
        "unwind-signal",
        "the emulator crashes where a signal's frame is unwound, with the original as well",
    ),
    (
        "cxx-exception-signal",
        "the emulator crashes where a signal's frame is unwound, with the original as well",
    ),
    ("fixed-addresses", "the emulator takes minutes for a program that spans a terabyte"),
    ("fixed-low-addresses", "the emulator takes minutes for a program that spans a terabyte"),
    (
        "signal-threads@m32",
        "the emulator brings a signal to the own thread too late, with the original as well",
    ),
    (
        "system-values",
        "the emulator tells no AT_MINSIGSTKSZ, as Linux before 5.14: the original computes one from \
         CPUID, the converted program has glibc's constant",
    ),
];

/// What emulates, and on which CPUs something built with `toolchain` is tried.
fn emulation(toolchain: Toolchain) -> (&'static str, &'static [&'static str]) {
    match toolchain {
        Toolchain::Narrow => (NARROW_EMULATOR, &NARROW_MODELS),
        _ => (EMULATOR, &MODELS),
    }
}

/// Why nothing can be shown here; `None` if something can.
pub fn missing(subject: &Subject) -> Option<String> {
    let emulator = match subject {
        Subject::Fixture(variant) => emulation(variant.toolchain).0,
        _ => EMULATOR,
    };
    let installed = find_program(emulator).is_some();
    (!installed).then(|| format!("{emulator} is not installed (Debian: qemu-user)"))
}

/// `command` as it is on a CPU of this model.
pub fn on(model: &str, command: &Command) -> Command {
    emulated(EMULATOR, model, command)
}

fn emulated(emulator: &str, model: &str, command: &Command) -> Command {
    let mut emulated = Command::new(emulator);
    // Warnings of features that it leaves out are none of the program's.
    emulated.args(["-cpu", model]).arg(command.get_program()).args(command.get_args());
    emulated.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            emulated.env(name, value);
        }
    }
    if let Some(directory) = command.get_current_dir() {
        emulated.current_dir(directory);
    }
    emulated
}

/// Without what the emulator says.
pub fn said_by_program(mut outcome: Outcome) -> Outcome {
    let text = String::from_utf8_lossy(&outcome.stderr);
    let own = |line: &&str| {
        ![EMULATOR, NARROW_EMULATOR].iter().any(|by| line.starts_with(&format!("{by}: warning: ")))
    };
    outcome.stderr = text.split_inclusive('\n').filter(own).collect::<String>().into_bytes();
    outcome
}

/// A fixture on every model: what its original does there, whatever that is.
pub fn fixture(statify: &Statify, dir: &Path, subject: &Subject) -> Result<Done> {
    let Subject::Fixture(variant) = subject else { return Ok(Done::Passed) };
    let fixture = &variant.fixture;
    if let Some(reason) = variant.lacking()? {
        return Done::not_here(reason);
    }
    let name = variant.name.split(['/', '@']).next().unwrap_or_default();
    let of_its_kind = format!("{name}{}", variant.toolchain.suffix());
    let fits = |&&(fixture, _): &&(&str, &str)| fixture == name || fixture == of_its_kind;
    if let Some((_, reason)) = NOT_EMULATED.iter().find(fits) {
        return Done::not_here(*reason);
    }
    let built = builder::build(&variant.source, fixture, &variant.flags, variant.toolchain, dir)?;
    statify.convert(&built.original, &built.converted, &builder::expand(&fixture.statify, dir))?;
    let (emulator, models) = emulation(variant.toolchain);
    let runs = || models.iter().flat_map(|&m| fixture.runs.iter().map(move |run| (m, run)));
    let run = |program: &Path, model, arguments: &[String]| -> Result<Outcome> {
        let mut left = REPEATS;
        loop {
            let command = variant.command(&built, program, arguments);
            let mut command = emulated(emulator, model, &command);
            let outcome = variant.run_command(&built, program, &mut command)?;
            // The emulator crashes now and then where threads are cancelled.
            if left == 0 || !outcome.stderr_text().contains("qemu: uncaught target signal") {
                return Ok(said_by_program(outcome));
            }
            left -= 1;
        }
    };
    let mut originals = Vec::new();
    for (model, arguments) in runs() {
        originals.push(run(&built.original, model, arguments)?);
    }
    built.take_libraries_away()?;
    let mut crashed = BTreeSet::new();
    for ((model, arguments), original) in runs().zip(&originals) {
        // Not what it does anywhere else, and each time.
        if original.end == End::Signal(Signal::SIGSEGV) && original.end != fixture.end {
            crashed.insert(model);
            continue;
        }
        let converted = run(&built.converted, model, arguments)
            .with_context(|| format!("{model}, called with {arguments:?}"))?;
        ensure!(
            converted.end != End::Signal(Signal::SIGILL) || original.end == converted.end,
            "{model}: SIGILL"
        );
        if fixture.varies.is_none() || original.end != converted.end {
            let wrong = against_each_other(original, &converted);
            let what = wrong.join("\n    ");
            ensure!(wrong.is_empty(), "{model}, called with {arguments:?}:\n    {what}");
        }
    }
    if crashed.is_empty() {
        return Ok(Done::Passed);
    }
    let models = crashed.into_iter().collect::<Vec<_>>().join(", ");
    Done::not_here(format!("the emulator crashes with the original on {models}"))
}

/// A program of this machine on every model.
pub fn program(statify: &Statify, dir: &Path, subject: &Subject) -> Result<Done> {
    let Subject::Program(name) = subject else { return Ok(Done::Passed) };
    let Some(original) = find_program(name) else { return Done::not_here("not installed") };
    // Some say their own name.
    let converted = dir.join(name);
    statify.convert(&original, &converted, &[] as &[&str])?;
    for model in MODELS {
        let run = |program: &Path| -> Result<Outcome> {
            let mut command = Command::new(program);
            command.arg("--version").env("PATH", SYSTEM_PATH).env("LC_ALL", "C");
            let mut emulated = on(model, &command);
            let outcome = process::run(&mut emulated, b"", Limits::seconds(120))?;
            let mut outcome = said_by_program(outcome);
            for stream in [&mut outcome.stdout, &mut outcome.stderr] {
                *stream = normalise(stream, program, "$EXE");
            }
            Ok(outcome)
        };
        let wrong = against_each_other(&run(&original)?, &run(&converted)?);
        ensure!(wrong.is_empty(), "{model}: {}", wrong.join("\n    "));
    }
    Ok(Done::Passed)
}
