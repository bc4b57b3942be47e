//! The command.

mod cli;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use statify::Report;
use statify_format::manifest::FileKind;

use cli::Cli;
use progress::Progress;

fn main() -> ExitCode {
    let cli = match Cli::try_parse().and_then(Cli::complete) {
        Ok(cli) => cli,
        Err(error) => return statify_command_line::usage(&error),
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => statify_command_line::failed("statify", &message),
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    if let Some(generated) = cli.generate {
        let text = generated.text(cli::command()).map_err(|error| error.to_string())?;
        return statify_command_line::print_bytes(&text).map_err(|error| error.to_string());
    }
    if let Some(prefix) = &cli.generate_into {
        let written = statify_command_line::write_all(&cli::command(), prefix);
        return written.map_err(|error| error.to_string());
    }
    let (Some(program), Some(output)) = (&cli.program, &cli.output) else {
        return Err("PROG and -o OUT are required".into());
    };
    let interrupted = || {
        statify_command_line::say("statify", &statify::Error::Interrupted.to_string());
        std::process::exit(1);
    };
    statify::interrupt::clean_up_on_signals(interrupted).map_err(|error| error.to_string())?;
    let root = cli.root().map_err(|error| error.to_string())?;
    let program = statify_program::find(&root, program, std::env::var_os("PATH").as_deref())
        .map_err(|error| error.to_string())?;
    // A program that is traced has the terminal for itself.
    let progress = Progress::new(cli.quiet || cli.json || cli.trace);
    let report =
        statify::convert(&program, output, &cli.options(root), |phase| progress.enter(phase));
    drop(progress);
    let report = report.map_err(|error| error.to_string())?;
    if !cli.quiet {
        for notice in &report.notices {
            statify_command_line::say("statify", &format!("note: {notice}"));
        }
    }
    if cli.json {
        statify_command_line::print_json(&report).map_err(|error| error.to_string())?;
    } else if cli.verbose {
        statify_command_line::print(&describe(&report)).map_err(|error| error.to_string())?;
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
