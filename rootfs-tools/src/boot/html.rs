//! What came of a run as one web page. What it shows is what the JSON in it says; each number names its place there (a JSON
//! pointer, RFC 6901).

use chunkstore::serve::trace::statistics::{Moment, SIZES};
use maud::{Markup, html};
use statify_printable::amount::thousands;
use statify_web_page::WebPage;

use super::charts::{Line, course};
use super::options::{System, Variant};
use super::outcome::Outcome;
use super::rows::{ChunkRow, Pair, Side, TimeRow};
use super::table::{paper_chunks, paper_times};
use super::text::{chunk_number, chunk_row, time_row};
use crate::report::html::cells::brief_bytes;
use crate::report::html::charts::{self, CONVERTED, ORIGINAL, Scale, Series};
use crate::report::html::sections::{figure, section, table};
use crate::report::html::{STYLE, WRITTEN_BY};

/// Of the lines and bars.
const LEGEND: [(&str, &str); 2] = [("original", "normal"), ("converted", "converted")];

/// The page.
pub fn html(outcome: &Outcome) -> String {
    let page = WebPage {
        title: format!("rootfs-tools boot: {}", outcome.converted),
        heading: "How guests of self-contained programs boot",
        style: STYLE,
        of: html! { bdi { (outcome.normal) } " and " bdi { (outcome.converted) } },
        facts: facts(outcome),
        main: html! {
            (times_section(&outcome.times))
            (chunks_section(&outcome.chunks))
            (timeline_section(outcome))
            (memory_section(&outcome.times))
        },
        foot: html! { "Seconds are medians of " (outcome.runs) " boots each. " },
        written_by: WRITTEN_BY,
        id: "boot",
    };
    page.with(outcome)
}

/// The numbers that one looks for first.
fn facts(outcome: &Outcome) -> Markup {
    let time = outcome.times.first();
    let chunk = outcome.chunks.iter().enumerate().find(|(_, row)| row.size == Some(64 << 10));
    html! {
        dl.facts {
            @if let Some(row) = time {
                div {
                    dt { "time to the login, converted / normal (" (time_row(row)) ")" }
                    dd data-json="/times/0/times" { (times(row.times)) }
                }
            }
            @if let Some((index, row)) = chunk {
                div {
                    dt { "chunks of 64 KiB at boot, converted / normal" }
                    dd data-json=(format!("/chunks/{index}/boot/times")) { (times(row.boot.times)) }
                }
                div {
                    dt { "chunks of 64 KiB over the image" }
                    dd data-json=(format!("/chunks/{index}/whole/times")) { (times(row.whole.times)) }
                }
            }
            div {
                dt { "the machine" }
                dd {
                    (outcome.cpus) " CPUs, " (thousands(outcome.memory_mib)) " MiB, "
                    @if outcome.accelerator == "kvm" { "KVM" } @else { "emulated" }
                }
            }
        }
    }
}

fn times(value: f64) -> String {
    format!("{value:.3}×")
}

fn cell(pointer: &str, text: &str) -> Markup {
    html! { td.n data-json=(pointer) { (text) } }
}

fn plain(text: &str) -> Markup {
    html! { td.n { (text) } }
}

fn row_head(text: &str) -> Markup {
    html! { th scope="row" { (text) } }
}

/// Table 4.
fn times_section(rows: &[TimeRow]) -> Markup {
    let names: Vec<String> = rows.iter().map(time_row).collect();
    let bars = |side: fn(&TimeRow) -> &Side| -> Vec<Option<(f64, String)>> {
        let bar = |row: &TimeRow| Some((side(row).seconds, seconds(side(row).seconds)));
        rows.iter().map(bar).collect()
    };
    let series = [
        Series { color: ORIGINAL, bars: bars(|row| &row.normal) },
        Series { color: CONVERTED, bars: bars(|row| &row.converted) },
    ];
    let svg = charts::bars(&names, &series, Scale::Linear, seconds);
    let cells = html! {
        @for (index, row) in rows.iter().enumerate() {
            @let at = format!("/times/{index}");
            @let paper = paper_times(row.way, row.ksm);
            tr {
                (row_head(&time_row(row)))
                (side_cells(&format!("{at}/normal"), &row.normal))
                (side_cells(&format!("{at}/converted"), &row.converted))
                (cell(&format!("{at}/times"), &times(row.times)))
                @match paper {
                    Some([normal, converted]) => {
                        (plain(&format!("{normal} / {converted}")))
                        (plain(&times(converted / normal)))
                    }
                    None => { (plain("–")) (plain("–")) }
                }
            }
        }
    };
    let head = ["", "normal", "from – to", "converted", "from – to", "times", "paper", "times"];
    section(
        "Time to the login",
        html! {
            (figure(svg, "Bars: seconds to the login of both guests in each way.", "Seconds", &LEGEND))
            (table("Table 4: seconds", false, &head, cells))
        },
    )
}

fn seconds(value: f64) -> String {
    format!("{value:.1} s")
}

fn side_cells(at: &str, side: &Side) -> Markup {
    html! {
        (cell(&format!("{at}/seconds"), &format!("{:.1}", side.seconds)))
        (plain(&format!("{:.1} – {:.1}", side.least_seconds, side.most_seconds)))
    }
}

/// Table 3.
fn chunks_section(rows: &[ChunkRow]) -> Markup {
    let cells = html! {
        @for (index, row) in rows.iter().enumerate() {
            @let [whole, boot] = paper_chunks(row.size);
            tr {
                (row_head(&chunk_row(row)))
                (pair_cells(row, &format!("/chunks/{index}/whole"), &row.whole, whole))
                (pair_cells(row, &format!("/chunks/{index}/boot"), &row.boot, boot))
            }
        }
    };
    let head =
        ["", "image", "converted", "times", "paper", "at boot", "converted", "times", "paper"];
    section(
        "Chunks",
        html! {
            (table("Table 3: different chunks of the image, and of what is read until the login", false, &head, cells))
            p.note { "Chunks of zeros do not count. The paper's guests were of another system, on ext3." }
        },
    )
}

fn pair_cells(row: &ChunkRow, at: &str, pair: &Pair, paper: Option<[&str; 3]>) -> Markup {
    html! {
        (cell(&format!("{at}/normal"), &chunk_number(row, pair.normal)))
        (cell(&format!("{at}/converted"), &chunk_number(row, pair.converted)))
        (cell(&format!("{at}/times"), &times(pair.times)))
        (plain(&paper.map_or("–".into(), |[.., times]| format!("{times}×"))))
    }
}

/// How it came to that.
fn timeline_section(outcome: &Outcome) -> Markup {
    let lines = |system: System, value: &dyn Fn(&Moment) -> f64| -> Vec<Line> {
        let traces = outcome.traces.iter().filter(|trace| trace.system == system);
        let line = |trace: &super::outcome::Trace| Line {
            color: match trace.variant {
                Variant::Normal => ORIGINAL,
                Variant::Converted => CONVERTED,
            },
            points: trace.statistics.timeline.iter().map(|m| (m.seconds, value(m))).collect(),
        };
        traces.map(line).collect()
    };
    let count = |value: f64| thousands(value as u64);
    section(
        "The course of a boot",
        html! {
            @for system in [System::Ext4, System::Erofs] {
                @let read = course(&lines(system, &|m| m.distinct_bytes as f64), "bytes read", brief_bytes);
                (figure(read, "Lines: bytes that each guest had read, in the course of time.",
                    &format!("Different bytes read from {}", system.name()), &LEGEND))
                @for (index, size) in SIZES.iter().enumerate() {
                    @let svg = course(&lines(system, &|m| m.chunks[index] as f64), "different chunks", count);
                    (figure(svg, "Lines: chunks that each guest had needed, in the course of time.",
                        &format!("Different chunks of {} KiB, {}", size >> 10, system.name()), &LEGEND))
                }
            }
            p.note { "From one boot of each guest through the store, whose reads were written down." }
        },
    )
}

/// What is read and kept in memory.
fn memory_section(rows: &[TimeRow]) -> Markup {
    let mega = |bytes: f64| format!("{:.1}", bytes / 1e6);
    let maybe = |number: Option<String>| number.unwrap_or("–".into());
    let cells = html! {
        @for (index, row) in rows.iter().enumerate() {
            @for (name, side) in [("normal", &row.normal), ("converted", &row.converted)] {
                @let at = format!("/times/{index}/{name}");
                tr {
                    (row_head(&format!("{}, {name}", time_row(row))))
                    (cell(&format!("{at}/read_bytes"), &mega(side.read_bytes)))
                    (cell(&format!("{at}/requests"), &thousands(side.requests as u64)))
                    (cell(&format!("{at}/fetched_bytes"), &maybe(side.fetched_bytes.map(mega))))
                    (cell(&format!("{at}/guest_resident"), &mega(side.guest_resident)))
                    (cell(&format!("{at}/guest_proportional"), &mega(side.guest_proportional)))
                    (cell(&format!("{at}/merged_pages"), &thousands(side.merged_pages as u64)))
                    (cell(&format!("{at}/settled"), &maybe(side.settled.map(|s| format!("{s:.0}")))))
                }
            }
        }
    };
    let head = [
        "",
        "MB read",
        "requests",
        "MB fetched",
        "guest memory, MB",
        "merged once, MB",
        "merged pages",
        "settled after s",
    ];
    section(
        "Reads and memory",
        table("Until the login; with KSM, memory when it had settled", false, &head, cells),
    )
}

#[cfg(test)]
mod tests {
    use chunkstore::serve::trace::{Read, statistics::statistics};
    use serde_json::Value;

    use super::super::outcome::{Image, Trace};
    use super::super::table::{self, tests::boot};
    use super::super::{csv, text};
    use super::*;

    fn outcome(name: &str) -> Outcome {
        let reads = [0, 1, 2].map(|n| Read { time: n * 1_000_000, offset: n << 20, length: 4096 });
        let mut statistics = statistics(&reads, None).unwrap();
        for of in &mut statistics.chunks {
            of.distinct = Some(of.positions);
        }
        let (variants, system) = (Variant::BOTH, System::Ext4);
        let images = variants.map(|variant| {
            let (bytes, data_bytes, chunks) = (4 << 20, 3 << 20, Vec::new());
            Image { variant, system, bytes, data_bytes, chunks }
        });
        let traces = variants.map(|variant| {
            let (file, statistics) = (name.to_owned(), statistics.clone());
            Trace { variant, system, file, statistics }
        });
        let boots = variants.map(|variant| boot(1, true, variant, 12.5));
        Outcome {
            normal: name.into(),
            converted: name.into(),
            accelerator: "software",
            memory_mib: 1024,
            cpus: 2,
            until: name.into(),
            chunk_size: 65536,
            runs: 1,
            chunks: table::chunks(&images, &traces),
            times: table::times(&boots),
            images: images.into(),
            traces: traces.into(),
            boots: boots.into(),
        }
    }

    #[test]
    fn each_number_names_its_place_in_the_json() {
        let outcome = outcome("/srv/guest");
        let page = html(&outcome);
        let json = page.split("id=\"boot\">").nth(1).unwrap().split("</script").next().unwrap();
        let read: Value = serde_json::from_str(json).unwrap();
        assert_eq!(read, serde_json::to_value(&outcome).unwrap());
        let pointers: Vec<&str> =
            page.split("data-json=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(pointers.len() > 30, "{pointers:?}");
        for pointer in pointers {
            assert!(read.pointer(pointer).is_some(), "{pointer}");
        }
        // Seconds, bytes, and chunks of three sizes.
        assert_eq!(page.matches("<svg").count(), 5);
    }

    #[test]
    fn hostile_names_stay_names() {
        let name = "</script><script>alert(1)</script><img src=x>\"&amp;\x1b[31m\u{202e}";
        let outcome = outcome(name);
        let page = html(&outcome);
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
        assert!(!page.contains("<img"));
        assert!(page.chars().all(|letter| letter == '\n' || statify_printable::is_shown(letter)));
        let text = text::text(&outcome);
        assert!(text.contains("store-cold, KSM") && text.contains("1.130x"), "{text}");
        assert!(text.chars().all(|letter| letter == '\n' || statify_printable::is_shown(letter)));
        for (table, _) in csv::Table::ALL {
            assert!(csv::csv(&outcome, table).lines().count() >= 3, "{table:?}");
        }
    }
}
