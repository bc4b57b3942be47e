//! For people: a table that fits a terminal, and is whole on a pipe.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use elfscan::scan::{Counts, Privilege, Relro, Row, Totals, Verdict};
use indicatif::{HumanBytes, HumanCount};
use statify_printable::printable;

const COLUMNS: [&str; 9] =
    ["path", "kind", "machine", "interpreter", "libs", "size", "hardening", "glibc", "verdict"];
const PATH: usize = 0;
const VERDICT: usize = 8;
const NUMBERS: [usize; 2] = [4, 5];
/// What is left out first where there is no room.
const DISPENSABLE: [usize; 6] = [3, 2, 7, 6, 4, 5];
/// A path and a verdict are not cut to less than this, in columns of the terminal.
const LEAST: [(usize, usize); 2] = [(PATH, 24), (VERDICT, 14)];

/// The table and its totals.
pub fn text(rows: &[Row], totals: &Totals, counts: &Counts) -> String {
    let cells: Vec<[String; 9]> = rows.iter().map(cells).collect();
    let mut text = String::new();
    if !cells.is_empty() {
        let width = width_of_terminal();
        text = lay_out(cells, width);
    }
    let _ = write!(text, "{}", sums(totals, counts));
    text
}

fn width_of_terminal() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout.as_fd()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

fn cells(row: &Row) -> [String; 9] {
    let facts = &row.facts;
    let verdict = match row.verdict {
        Verdict::Convertible | Verdict::AlreadyStatic => row.verdict.name().to_owned(),
        Verdict::Refused => format!("refused: {}", row.short_reason().unwrap_or_default()),
        Verdict::NoProgram => "-".into(),
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    [
        statify_printable::path(&row.path),
        row.kind().name().into(),
        or_none(facts.machine.map(|machine| machine.to_string())),
        or_none(facts.interpreter.as_deref().map(printable)),
        or_none(facts.libraries.map(|count| count.to_string())),
        HumanBytes(row.size).to_string(),
        hardening(row),
        or_none(facts.glibc.as_ref().map(ToString::to_string)),
        printable(&verdict),
    ]
}

/// What it has of RELRO, NX, canary, fortify and marks of branches; its privileges and relocations in its code are
/// no hardening, but are seen best there.
fn hardening(row: &Row) -> String {
    let hardening = &row.facts.hardening;
    let mut words = Vec::new();
    words.extend(row.privileges.iter().copied().map(Privilege::name));
    match (hardening.relro, hardening.bind_now) {
        (Some(Relro::None), Some(true)) => words.push("now"),
        (Some(Relro::Partial), _) => words.push("partial-relro"),
        (Some(Relro::Full), _) => words.push("relro"),
        _ => {}
    }
    let flags = [
        (hardening.nx, "nx"),
        (hardening.canary, "canary"),
        (hardening.fortify, "fortify"),
        (hardening.ibt, "ibt"),
        (hardening.shstk, "shstk"),
        (hardening.bti, "bti"),
        (hardening.pac, "pac"),
        (hardening.gcs, "gcs"),
        (hardening.text_relocations, "textrel"),
    ];
    words.extend(flags.iter().filter(|(has, _)| *has == Some(true)).map(|(_, word)| *word));
    if words.is_empty() { "-".into() } else { words.join(" ") }
}

/// RELRO in a word.
pub fn relro(relro: Relro) -> &'static str {
    match relro {
        Relro::None => "none",
        Relro::Partial => "partial",
        Relro::Full => "full",
    }
}

/// Lines with columns one below the other; not longer than `width`, in columns of a terminal.
fn lay_out(mut cells: Vec<[String; 9]>, width: Option<usize>) -> String {
    let mut shown: Vec<usize> = (0..COLUMNS.len()).collect();
    if let Some(width) = width {
        let mut widths = COLUMNS.map(str::len);
        for row in &cells {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(cell.chars().count());
            }
        }
        let least = |column: usize| {
            let bound = LEAST.iter().find(|bound| bound.0 == column);
            bound.map_or(widths[column], |bound| bound.1.min(widths[column]))
        };
        let room = |shown: &[usize]| {
            let needed: usize = shown.iter().map(|&column| least(column) + 2).sum();
            width.checked_sub(needed.saturating_sub(2))
        };
        for column in DISPENSABLE {
            if room(&shown).is_none() {
                shown.retain(|&other| other != column);
            }
        }
        // The path gets what it needs, the verdict the rest.
        let left = room(&shown).unwrap_or(0);
        let path = widths[PATH].min(least(PATH) + left);
        let verdict = least(VERDICT) + left - (path - least(PATH));
        for row in &mut cells {
            row[PATH] = cut_middle(&row[PATH], path);
            row[VERDICT] = cut_end(&row[VERDICT], verdict);
        }
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(shown.iter().map(|&column| COLUMNS[column]));
    for row in &cells {
        table.add_row(shown.iter().map(|&column| row[column].as_str()));
    }
    for (place, column) in shown.iter().enumerate() {
        let Some(setting) = table.column_mut(place) else { continue };
        setting.set_padding((if place == 0 { 0 } else { 1 }, 1));
        if NUMBERS.contains(column) {
            setting.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn cut_end(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

/// The file's name is worth more than its directories.
fn cut_middle(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let head = width / 3;
    let tail = width.saturating_sub(head + 1);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{start}…{end}")
}

fn sums(totals: &Totals, counts: &Counts) -> String {
    let files = |count: u64| match count {
        1 => "1 ELF file".to_owned(),
        count => format!("{} ELF files", HumanCount(count)),
    };
    let mut text = format!("{}, {}", files(totals.all.files), HumanBytes(totals.all.bytes));
    let kinds = totals.kinds.iter().map(|(kind, sum)| (kind.name(), sum));
    let verdicts = totals.verdicts.iter().map(|(verdict, sum)| (verdict.name(), sum));
    let list = |text: &mut String, sums: &mut dyn Iterator<Item = (&str, &elfscan::scan::Sum)>| {
        for (place, (name, sum)) in sums.enumerate() {
            let start = if place == 0 { "\n  " } else { ", " };
            let _ =
                write!(text, "{start}{} {name} ({})", HumanCount(sum.files), HumanBytes(sum.bytes));
        }
    };
    list(&mut text, &mut { kinds });
    list(&mut text, &mut { verdicts });
    let value = |count: &std::sync::atomic::AtomicU64| HumanCount(count.load(Ordering::Relaxed));
    let (scripts, others) = (value(&counts.scripts), value(&counts.others));
    let _ = writeln!(text, "\nnot ELF: {scripts} scripts, {others} others");
    text
}
