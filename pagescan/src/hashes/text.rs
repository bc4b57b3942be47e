//! The comparison as a table in text.

use std::fmt::Write;

use statify_printable::printable;

use super::comparison::Comparison;

/// The table, with the paper's numbers where it has some.
pub fn text(comparison: &Comparison) -> String {
    let mut text = format!(
        "{} pages of {}, {} different; one core, {} rounds\n",
        comparison.pages,
        printable(&comparison.of),
        comparison.contents,
        comparison.rounds
    );
    if comparison.unread > 0 {
        let _ = writeln!(text, "{} pages could not be read and are left out", comparison.unread);
    }
    if comparison.hashes.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "{:<14}  {:>4}  {:>6}  {:>13}  {:>7}  {:>15}  {:>14}  {:>5}",
        "hash", "bits", "GB/s", "from - to", "s/GiB", "false positives", "mistaken pages", "paper"
    );
    for row in &comparison.hashes {
        let _ = writeln!(
            text,
            "{:<14}  {:>4}  {:>6.2}  {:>13}  {:>7.3}  {:>15}  {:>14}  {:>5}",
            row.hash,
            row.bits,
            row.gigabytes_per_second,
            format!("{:.2} - {:.2}", row.least, row.most),
            row.seconds_per_gib,
            row.false_positives,
            row.mistaken_pages,
            row.paper_false_positives.map_or("-".into(), |paper| paper.to_string()),
        );
    }
    text.push_str(
        "paper: false positives in its table 5.4 (1 GB of a guest that builds a kernel)\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::super::comparison::Row;
    use super::*;

    #[test]
    fn a_line_for_each_hash() {
        let row = |hash, paper_false_positives| Row {
            hash,
            bits: 32,
            gigabytes_per_second: 2.0,
            least: 1.5,
            most: 2.5,
            seconds_per_gib: 0.5,
            false_positives: 8,
            mistaken_pages: 16,
            paper_false_positives,
        };
        let comparison = Comparison {
            of: "process\x1b[2J 7".into(),
            pages: 100,
            contents: 90,
            unread: 1,
            rounds: 5,
            hashes: vec![row("crc32", Some(7)), row("blake3", None)],
        };
        let text = text(&comparison);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert!(lines[0].starts_with("100 pages of process\\u{1b}[2J 7, 90 different"), "{text}");
        assert!(lines[3].ends_with("8              16      7"), "{text}");
        assert!(lines[4].ends_with("-"), "{text}");
        let len = lines[2].len();
        assert!(lines[3..5].iter().all(|line| line.len() == len), "{text}");
    }
}
