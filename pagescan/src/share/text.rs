//! The answer for a terminal.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use statify_printable::amount::{bytes, thousands};

use super::answer::Answer;
use super::class::{Class, Count, Sides};

/// So many domains, pairs and files are shown; `--json` and `--csv` have all.
const MOST: usize = 20;

/// The tables, in lines.
pub fn text(answer: &Answer) -> String {
    let mut text = String::new();
    for snapshot in &answer.snapshots {
        for lack in &snapshot.lacks {
            let lack = statify_printable::printable(lack);
            let _ = writeln!(text, "{}: it lacks: {lack}", snapshot.file);
        }
    }
    let by = answer.by.name();
    let _ =
        writeln!(text, "Pages by class; internal is within one {by}, external between several\n");
    text += &classes(answer);
    text += &savings(answer);
    if !answer.domains.is_empty() {
        let _ = writeln!(text, "\nBy {by}, in pages; savable is within each, in frames\n");
        text += &domains(answer);
        text += &more(answer.domains.len(), by);
    }
    if answer.matrix.pairs.iter().any(|pair| pair.a != pair.b) {
        let _ = writeln!(text, "\nWho shares with whom, in frames\n");
        text += &pairs(answer);
    }
    if !answer.largest.is_empty() {
        let _ = writeln!(text, "\nThe largest duplicates\n");
        text += &largest(answer);
    }
    if answer.files.iter().any(|file| file.count.frames > 0) {
        let _ = writeln!(text, "\nFiles in memory, in pages\n");
        text += &files(answer);
    }
    text += &effect(answer);
    text
}

fn classes(answer: &Answer) -> String {
    let mut table = table(&["", "pages", "frames", "internal", "external", "bytes"]);
    let mut row = |name: &str, sides: Sides| {
        let all = sides.all();
        table.add_row([
            name.to_owned(),
            thousands(all.pages),
            thousands(all.frames),
            thousands(sides.internal.pages),
            thousands(sides.external.pages),
            bytes(all.frames.saturating_mul(answer.page_size.into())),
        ]);
    };
    for class in Class::ALL {
        let sides = answer.classes.of(class);
        if sides.all() != Count::default() {
            row(class.name(), sides);
        }
    }
    row("all", Sides { internal: answer.classes.all(), external: Count::default() });
    lines(table)
}

fn savings(answer: &Answer) -> String {
    let mut text = String::new();
    let of = |frames: u64| {
        let bytes = bytes(frames.saturating_mul(answer.page_size.into()));
        format!("{} frames ({bytes})", thousands(frames))
    };
    let savable = &answer.savable;
    let _ = writeln!(
        text,
        "\nsavable at most: {}, if each content were there once",
        of(savable.at_most)
    );
    let _ = writeln!(text, "  within one {}: {}", answer.by.name(), of(savable.internal));
    let _ = writeln!(text, "  between several: {}", of(savable.external));
    let _ = writeln!(
        text,
        "attainable by KSM: {}; {} if only within one {}",
        of(savable.attainable),
        of(savable.attainable_internal),
        answer.by.name()
    );
    let (all, ours) = (of(savable.zero), of(savable.zero_attainable));
    let _ = writeln!(text, "zeros besides: {all}; anonymous ones, which KSM can merge: {ours}");
    if answer.ksm.count.frames > 0 {
        let _ = writeln!(
            text,
            "merged by KSM: {} pages in {}, which saves {}",
            thousands(answer.ksm.count.pages),
            of(answer.ksm.count.frames),
            of(answer.ksm.saved)
        );
    }
    if answer.free_frames > 0 {
        let _ = writeln!(text, "free: {}", of(answer.free_frames));
    }
    text
}

fn domains(answer: &Answer) -> String {
    let head = [
        answer.by.name(),
        "pages",
        "frames",
        "own",
        "shared",
        "opportunity",
        "private",
        "zero",
        "savable",
        "by KSM",
    ];
    let mut table = table(&head);
    for domain in answer.domains.iter().take(MOST) {
        let mut row = vec![domain.name.clone()];
        let numbers = [
            domain.count.pages,
            domain.count.frames,
            domain.own_frames,
            domain.shared,
            domain.opportunity,
            domain.private,
            domain.zero,
            domain.savable,
            domain.attainable,
        ];
        row.extend(numbers.map(thousands));
        table.add_row(row);
    }
    lines(table)
}

fn pairs(answer: &Answer) -> String {
    let mut pairs: Vec<_> = answer.matrix.pairs.iter().filter(|pair| pair.a != pair.b).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse((pair.could, pair.shared)));
    let mut table = table(&["", "and", "could", "do"]);
    for pair in pairs.iter().take(MOST) {
        let name = |domain: usize| answer.domains[domain].name.clone();
        table.add_row([name(pair.a), name(pair.b), thousands(pair.could), thousands(pair.shared)]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    lines(table) + &more(pairs.len(), "pairs")
}

fn largest(answer: &Answer) -> String {
    let mut text = String::new();
    for duplicate in &answer.largest {
        let _ = writeln!(
            text,
            "{}  {} frames, {} pages, {}: {}",
            duplicate.hash,
            thousands(duplicate.count.frames),
            thousands(duplicate.count.pages),
            duplicate.kind,
            duplicate.places.join(", ")
        );
    }
    text
}

fn files(answer: &Answer) -> String {
    let mut table = table(&["file", "processes", "pages", "frames", "pages/frame", "copies"]);
    let in_memory = || answer.files.iter().filter(|file| file.count.frames > 0);
    for file in in_memory().take(MOST) {
        let machine = file
            .machine
            .as_ref()
            .map_or(String::new(), |name| format!("{}: ", statify_printable::printable(name)));
        table.add_row([
            format!("{machine}{}", file.path),
            thousands(file.processes),
            thousands(file.count.pages),
            thousands(file.count.frames),
            format!("{:.2}", file.sharing),
            thousands(file.copies),
        ]);
    }
    lines(table) + &more(in_memory().count(), "files")
}

fn effect(answer: &Answer) -> String {
    let effect = &answer.effect;
    let mut text = String::new();
    if let Some(times) = effect.resident_effect {
        let _ = writeln!(
            text,
            "\neffect of sharing, of pages in memory: ({} - {unique}) / ({} - {unique}) = {times:.2}",
            thousands(effect.resident_pages),
            thousands(effect.real_frames),
            unique = thousands(effect.unique_frames),
        );
    }
    if let Some(times) = effect.address_effect {
        let _ = writeln!(
            text,
            "effect of shared libraries, of address space: {} / {} = {times:.2}",
            thousands(effect.library_address_pages),
            thousands(effect.library_frames),
        );
    }
    text
}

fn more(count: usize, what: &str) -> String {
    match count.checked_sub(MOST) {
        None | Some(0) => String::new(),
        Some(more) => format!("({} more, {what}; --json has all)\n", thousands(more as u64)),
    }
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head);
    for index in 0..head.len() {
        let Some(column) = table.column_mut(index) else { continue };
        column.set_padding((if index == 0 { 0 } else { 1 }, 1));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn lines(table: Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
