//! `elfscan host`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use elfscan::host::{self, Answer, Certainty, Finding, Form, Kind, Name, Verdict};
use statify_printable::printable;
use statify_room::Root;

use crate::Failure;

/// What may still come from the host at run time
///
/// Tells by module which functions are imported that open libraries, read the host's files or run
/// its programs, and what they ask for where that can be seen. A program is looked at with the
/// libraries that it loads, a converted file with what is embedded in it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A dynamic program, a shared library or a converted file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
    /// Exit with status 1 if the host may give code, or anything (data, programs and what ld.so
    /// takes at start, too)
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "code")]
    deny: Option<Deny>,
    /// Look for FILE and its libraries in the directory DIR as if it were the root
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// What is not to come.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Deny {
    /// Libraries that become part of the process.
    Code,
    /// Anything.
    Any,
}

/// Examines the file and prints the verdict.
pub fn run(arguments: &Arguments) -> Result<crate::Verdict, Failure> {
    let root = arguments.root.as_deref().map_or_else(|| Ok(Root::machine()), Root::open)?;
    let verdict = host::examine(&root, &arguments.file)?;
    if arguments.json {
        statify_command_line::print_json(&verdict)?;
    } else {
        statify_command_line::print(&describe(&verdict)?)?;
    }
    let is_good = match arguments.deny {
        None => true,
        Some(Deny::Code) => verdict.clean,
        Some(Deny::Any) => verdict.is_bare(),
    };
    Ok(if is_good { crate::Verdict::Good } else { crate::Verdict::Bad })
}

/// For people: a table, and a sentence.
fn describe(verdict: &Verdict) -> Result<String, Failure> {
    let mut text = String::new();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["KIND", "CATEGORY", "ANSWERED BY", "MODULE", "CALLS", "ASKS FOR"]);
    for finding in &verdict.findings {
        table.add_row([
            kind(finding.kind).to_owned(),
            finding.category.name(),
            answer(finding.answer).to_owned(),
            printable(&finding.module),
            symbols(finding),
            names(finding),
        ]);
    }
    if !verdict.findings.is_empty() {
        for line in table.lines() {
            writeln!(text, "{}", line.trim_end())?;
        }
        writeln!(text)?;
    }
    let what = match verdict.form {
        Form::Program => "a dynamic program",
        Form::Library => "a shared library",
        Form::Converted => "a converted file",
    };
    let verdict_text = if verdict.clean { "no code" } else { "code may" };
    let verb = if verdict.clean { "comes" } else { "come" };
    writeln!(
        text,
        "{} ({what}, {} modules): {verdict_text} {verb} from the host once it runs",
        printable(&verdict.file),
        verdict.modules.len(),
    )?;
    Ok(text)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Code => "code",
        Kind::Programs => "programs",
        Kind::Data => "data",
        Kind::Start => "start",
    }
}

fn answer(answer: Answer) -> &'static str {
    match answer {
        Answer::Host => "the host",
        Answer::Loaded => "what is loaded",
        Answer::Embedded => "what is embedded",
        Answer::Denied => "nobody (denied)",
    }
}

/// The first few, and how many more there are.
fn some<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 3;
    let left = all.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = all.take(SHOWN).map(printable).collect();
    if left > 0 {
        shown.push(format!("{left} more"));
    }
    shown.join(", ")
}

fn symbols(finding: &Finding) -> String {
    let names = finding.symbols.iter().map(|symbol| symbol.name.as_str());
    some(names.collect::<Vec<_>>().into_iter())
}

fn names(finding: &Finding) -> String {
    let (sure, possible): (Vec<&Name>, Vec<&Name>) =
        finding.names.iter().partition(|name| name.certainty != Certainty::Possible);
    let mut parts = Vec::new();
    if !sure.is_empty() {
        parts.push(some(sure.iter().map(|name| name.name.as_str())));
    }
    if finding.unknown_names {
        parts.push("what is computed".to_owned());
    }
    if !possible.is_empty() {
        parts.push(format!("maybe {}", some(possible.iter().map(|name| name.name.as_str()))));
    }
    parts.join("; ")
}
