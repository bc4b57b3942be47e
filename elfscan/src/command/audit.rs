//! `elfscan audit`.

use std::fmt::Write as _;
use std::time::Duration;

use elfscan::audit::{self, Kind, Options, ProcessReport, Refused as Refusal};
use rayon::prelude::*;
use serde::Serialize;
use statify_printable::printable;

use crate::{Failure, Verdict};

/// A live process against its files: code, constants, RELRO and every relocated word
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The processes
    #[arg(value_name = "PID", required_unless_present = "all", value_parser = clap::value_parser!(u32).range(1..))]
    pids: Vec<u32>,
    /// Audit every process that may be read
    #[arg(long, conflicts_with = "pids")]
    all: bool,
    /// Take executable memory of no file, and memory that is writable and executable, for an alarm
    #[arg(long)]
    strict: bool,
    /// How long the audit of one process may take
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Audit one process here, and print what the audit of several takes from that
    #[arg(long, hide = true)]
    apart: bool,
}

/// So many processes are audited at once at least.
const LEAST_AT_ONCE: usize = 8;

/// The JSON output.
#[derive(Debug, Serialize)]
struct Answer {
    /// What was audited.
    processes: Vec<ProcessReport>,
    /// What could not be.
    refused: Vec<Refused>,
    /// The number of alarms.
    alarms: usize,
}

/// A process that could not be audited, and why.
#[derive(Debug, Serialize)]
struct Refused {
    pid: u32,
    reason: String,
}

/// Audits, and prints what it found.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let options = Options { strict: arguments.strict, ..Options::default() };
    let limit = Duration::from_secs(arguments.timeout);
    if arguments.apart {
        for &pid in &arguments.pids {
            audit::answer(pid, options, limit, &mut std::io::stdout().lock())?;
        }
        return Ok(Verdict::Good);
    }
    let pids = if arguments.all { audit::all()? } else { arguments.pids.clone() };
    // Processes that make an audit wait must not keep others from theirs.
    let threads = rayon::current_num_threads().max(LEAST_AT_ONCE);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let results: Vec<(u32, Result<Box<ProcessReport>, Refusal>)> = pool.install(|| {
        pids.into_par_iter().map(|pid| (pid, audit::audit_apart(pid, options, limit))).collect()
    });
    let mut answer = Answer { processes: Vec::new(), refused: Vec::new(), alarms: 0 };
    let mut is_incomplete = false;
    for (pid, result) in results {
        match result {
            Ok(report) => {
                answer.alarms += report.alarms.len();
                answer.processes.push(*report);
            }
            // Of all processes some are threads of the kernel, some end meanwhile.
            Err(refusal) if arguments.all && refusal.kind == Kind::Over => {}
            Err(refusal) => {
                is_incomplete |= !arguments.all || refusal.kind == Kind::Unbounded;
                answer.refused.push(Refused { pid, reason: printable(&refusal.reason) });
            }
        }
    }
    if arguments.json {
        statify_command_line::print_json(&answer)?;
    } else {
        statify_command_line::print(&text(&answer, arguments.all))?;
        for refused in answer.refused.iter().filter(|_| !arguments.all) {
            statify_command_line::say("elfscan", &refused.reason);
        }
    }
    Ok(if answer.alarms > 0 || is_incomplete { Verdict::Bad } else { Verdict::Good })
}

fn text(answer: &Answer, all: bool) -> String {
    let mut text = String::new();
    for report in &answer.processes {
        for alarm in &report.alarms {
            let _ = writeln!(text, "{}: ALARM: {alarm}", report.pid);
        }
        for information in report.information.iter().filter(|_| !all) {
            let _ = writeln!(text, "{}: {information}", report.pid);
        }
        let _ = writeln!(text, "{}", summary(report));
    }
    if all {
        let converted = answer.processes.iter().filter(|report| report.converted).count();
        let _ = writeln!(
            text,
            "{} processes audited ({converted} of converted programs), {} could not be, {}",
            answer.processes.len(),
            answer.refused.len(),
            alarms(answer.alarms),
        );
        for refused in &answer.refused {
            let _ = writeln!(text, "not audited: {}", refused.reason);
        }
    }
    text
}

fn summary(report: &ProcessReport) -> String {
    let counts = &report.counts;
    format!(
        "{} ({}){}: {}; {} modules, {} pages compared ({} private{}), {} entries checked, {:.3} s",
        report.pid,
        printable(&report.name),
        if report.converted { ", converted" } else { "" },
        alarms(report.alarms.len()),
        counts.modules,
        counts.pages,
        counts.private_pages,
        match counts.pool_pages {
            0 => String::new(),
            pages => format!(", {pages} from a pool"),
        },
        counts.entries,
        report.seconds,
    )
}

fn alarms(number: usize) -> String {
    match number {
        0 => "no alarm".to_owned(),
        1 => "1 alarm".to_owned(),
        _ => format!("{number} alarms"),
    }
}
