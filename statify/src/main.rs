//! The command.

mod cli;
mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use statify::Report;
use statify::diagnosis::Diagnosis;
use statify_command_line::signals;
use statify_format::manifest::FileKind;
use statify_room::Root;

use cli::Cli;
use progress::Progress;

fn main() -> ExitCode {
    let cli = match Cli::try_parse().and_then(Cli::complete) {
        Ok(cli) => cli,
        Err(error) => return statify_command_line::usage(&error),
    };
    match run(&cli) {
        Ok(code) => code,
        Err(message) => statify_command_line::failed("statify", &message),
    }
}

fn run(cli: &Cli) -> Result<ExitCode, String> {
    if let Some(generated) = cli.generate {
        let text = generated.text(cli::command()).map_err(text_of)?;
        statify_command_line::print_bytes(&text).map_err(text_of)?;
    } else if let Some(prefix) = &cli.generate_into {
        statify_command_line::write_all(&cli::command(), prefix).map_err(text_of)?;
    } else if cli.report {
        return report(cli);
    } else {
        convert(cli)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An error as a sentence.
fn text_of(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// From now on, Ctrl-C and the like do what is to be done before the end, say so, and end this.
fn end_on_signals(last: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let interrupted = move || {
        statify::interrupt::give_up();
        last();
        statify_command_line::say("statify", &statify::Error::Interrupted.to_string());
    };
    signals::at_end(interrupted).map_err(text_of)
}

fn find(root: &Root, program: &Path) -> statify_program::Result<PathBuf> {
    statify_program::find(root, program, std::env::var_os("PATH").as_deref())
}

/// What `--report` does: everything but writing OUT. Whatever cannot be done is a part of the answer.
fn report(cli: &Cli) -> Result<ExitCode, String> {
    let Some(program) = &cli.program else { return Err("PROG is required".into()) };
    let root = cli.root().map_err(text_of)?;
    // Nobody else may put a file of theirs in the output's place.
    let room = tempfile::Builder::new().prefix("statify-report-").tempdir().map_err(text_of)?;
    let path = room.path().to_owned();
    end_on_signals(move || drop(std::fs::remove_dir_all(path)))?;
    let program = find(&root, program).unwrap_or_else(|_| program.clone());
    let progress = Progress::new(cli.trace);
    let enter = |phase| progress.enter(phase);
    let options = cli.options(root).map_err(text_of)?;
    let diagnosis = Diagnosis::make(&program, room.path(), &options, enter);
    drop(progress);
    statify_command_line::print(&diagnosis.to_string()).map_err(text_of)?;
    Ok(ExitCode::from(u8::from(diagnosis.outcome.is_err())))
}

fn convert(cli: &Cli) -> Result<(), String> {
    let (Some(program), Some(output)) = (&cli.program, &cli.output) else {
        return Err("PROG and -o OUT are required".into());
    };
    end_on_signals(|| ())?;
    let root = cli.root().map_err(text_of)?;
    let program = find(&root, program).map_err(text_of)?;
    let options = cli.options(root).map_err(text_of)?;
    // A program that is traced has the terminal for itself.
    let progress = Progress::new(cli.quiet || cli.json || cli.trace);
    let report = statify::convert(&program, output, &options, |phase| progress.enter(phase));
    drop(progress);
    let report = report.map_err(text_of)?;
    if !cli.quiet {
        for notice in &report.notices {
            statify_command_line::say("statify", &format!("note: {notice}"));
        }
    }
    if cli.json {
        statify_command_line::print_json(&report).map_err(text_of)?;
    } else if cli.verbose {
        statify_command_line::print(&describe(&report)).map_err(text_of)?;
    }
    if cli.verify && !cli.quiet && !cli.json {
        statify_command_line::say("statify", "original and converted agree");
    }
    Ok(())
}

/// What `-v` prints.
fn describe(report: &Report) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} -> {}: {} bytes",
        statify_printable::path(&report.program),
        statify_printable::path(&report.output),
        report.size
    );
    for file in report.manifest.iter().flat_map(|manifest| &manifest.files) {
        let plugin = if file.kind == FileKind::Plugin { ", plugin" } else { "" };
        let _ = writeln!(
            text,
            "  {} ({} bytes{plugin})",
            statify_printable::path(&file.path),
            file.size
        );
    }
    let fixups: Vec<String> = report.fixups.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let _ = writeln!(text, "  fix-ups: {}", fixups.join(", "));
    let _ = writeln!(text, "  environment: {}", report.variables);
    let _ = writeln!(
        text,
        "  {} program headers, {} mappings made at start, {} bytes of starter",
        report.loads, report.mapped, report.starter
    );
    let times: Vec<String> =
        report.milliseconds.iter().map(|(p, ms)| format!("{} {ms:.1} ms", p.name())).collect();
    let _ = writeln!(text, "  {}", times.join(", "));
    text
}
