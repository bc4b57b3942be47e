//! The page's sections, each a chart and the table with its numbers.

use maud::{Markup, PreEscaped, html};
use statify_printable::amount::thousands;

use super::cells::{
    brief_bytes, factor, factor_text, growth as growth_cells, key, maybe_factor, maybe_number,
    number, percent, row_name,
};
use super::charts::{self, CONVERTED, ORIGINAL, STATIC, Scale, Series};

use crate::report::contents::{Class, Report};
use crate::report::figures::Growth;
use crate::report::measured::ChunkTable;
use crate::report::statics::{self, Sizes};

/// Libraries in the chart.
const LIBRARIES: usize = 15;
/// Programs in the chart of Table 2.
const PAIRS: usize = 25;

/// A chart, for those who do not see it in words; its colours mean what `legend` says.
pub(crate) fn figure(svg: String, words: &str, caption: &str, legend: &[(&str, &str)]) -> Markup {
    html! {
        @if !svg.is_empty() {
            figure {
                figcaption { (caption) }
                @if !legend.is_empty() {
                    ul.legend { @for (class, name) in legend { li class=(class) { (name) } } }
                }
                div role="img" aria-label=(words) { (PreEscaped(svg)) }
            }
        }
    }
}

/// A table that may be wider or higher than the page.
pub(crate) fn table(caption: &str, long: bool, head: &[&str], rows: Markup) -> Markup {
    html! {
        div.scroll.long[long] tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for (index, name) in head.iter().enumerate() {
                            th scope="col" class=[(index > 0).then_some("n")] { (name) }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

pub(crate) fn section(title: &str, contents: Markup) -> Markup {
    html! { section { h2 { (title) } (contents) } }
}

/// The colours of both in words.
pub(crate) const BEFORE_AFTER: [(&str, &str); 2] =
    [("original", "original"), ("converted", "converted")];

/// A bar for a number of bytes.
fn byte_bar(bytes: u64) -> Option<(f64, String)> {
    Some((bytes as f64, brief_bytes(bytes as f64)))
}

/// Table 1.
pub fn programs(report: &Report) -> Markup {
    let all = &report.table;
    let mut rows = vec![
        ("total", "", "/table/total", all.total),
        ("average", "", "/table/average", all.average),
    ];
    if let Some(named) = &all.largest {
        rows.push(("maximum", &named.name, "/table/largest", named.growth));
    }
    if let Some(named) = &all.smallest {
        rows.push(("minimum", &named.name, "/table/smallest", named.growth));
    }
    let names: Vec<_> = rows.iter().map(|(what, name, ..)| label(what, name)).collect();
    let bars = |size: fn(&Growth) -> u64| rows.iter().map(|row| byte_bar(size(&row.3))).collect();
    let series = [
        Series { color: ORIGINAL, bars: bars(|growth| growth.original) },
        Series { color: CONVERTED, bars: bars(|growth| growth.converted) },
    ];
    let svg = charts::bars(&names, &series, Scale::Log, brief_bytes);
    let words = format!(
        "Bars: {} programs had {} bytes and have {}, {} as much.",
        all.programs,
        thousands(all.total.original),
        thousands(all.total.converted),
        factor_text(all.total.times)
    );
    let cells = html! {
        @for (what, name, pointer, growth) in &rows {
            tr { (row_name(what, name)) (growth_cells(pointer, growth)) }
        }
    };
    section(
        "Programs before and after",
        html! {
            (figure(svg, &words, "Bytes, on a logarithmic scale", &BEFORE_AFTER))
            (table("Table 1: sizes in bytes", false, &["", "original", "converted", "increase"], cells))
        },
    )
}

fn label(what: &str, name: &str) -> String {
    match name.rsplit('/').next() {
        Some(last) if !last.is_empty() => format!("{what}: {last}"),
        _ => what.to_owned(),
    }
}

/// How much each program grew.
pub fn growth(report: &Report) -> Markup {
    let times: Vec<_> = report.programs.iter().map(|program| program.growth.times).collect();
    let words = format!(
        "A rising line, on a logarithmic scale: each of {} programs by how much it grew, from {} to {}.",
        times.len(),
        factor_text(times.iter().copied().reduce(f64::min).unwrap_or_default()),
        factor_text(times.iter().copied().reduce(f64::max).unwrap_or_default()),
    );
    let classes = html! {
        @for (index, class) in report.distribution.iter().enumerate() {
            tr {
                (row_name(&class_name(class), ""))
                (number(&format!("/distribution/{index}/programs"), class.programs as u64))
            }
        }
    };
    let programs = html! {
        @for (index, program) in report.programs.iter().enumerate() {
            tr {
                (row_name("", &program.names.join(" ")))
                (growth_cells(&format!("/programs/{index}"), &program.growth))
                (number(&format!("/programs/{index}/libraries"), program.libraries as u64))
            }
        }
    };
    let head = ["", "original", "converted", "increase", "libraries"];
    section(
        "Growth by program",
        html! {
            (figure(charts::growths(&times), &words, "Each program's increase, on a logarithmic scale", &[]))
            (table("How many programs grew how much", false, &["increase", "programs"], classes))
            details {
                summary { "Every program" }
                (table("Every program: sizes in bytes", true, &head, programs))
            }
        },
    )
}

fn class_name(class: &Class) -> String {
    match (class.from, class.below) {
        (1, Some(below)) => format!("below {below}×"),
        (from, Some(below)) => format!("{from}× to {below}×"),
        (from, None) => format!("{from}× and more"),
    }
}

/// The whole tree.
pub fn image(report: &Report) -> Markup {
    let image = &report.image;
    let physical = &image.physical;
    let rows = html! {
        tr {
            (row_name("apparent size", ""))
            (number("/image/original/apparent", image.original.apparent))
            (number("/image/converted/apparent", image.converted.apparent))
            (factor("/image/apparent_times", image.apparent_times))
        }
        tr {
            (row_name("blocks on this file system", ""))
            (number("/image/original/allocated", image.original.allocated))
            (number("/image/converted/allocated", image.converted.allocated))
            (factor("/image/allocated_times", image.allocated_times))
        }
        @if let Some(pool) = &report.pool {
            tr {
                (row_name("of it the pool", &pool.path))
                (maybe_number("/pool/size", None))
                (number("/pool/size", pool.size))
                (maybe_factor("/pool/size", None))
            }
        }
        @if physical.converted.is_some() {
            tr {
                (row_name("blocks, what is shared counted once", ""))
                (maybe_number("/image/physical/original", physical.original))
                (maybe_number("/image/physical/converted", physical.converted))
                (maybe_factor("/image/physical/times", physical.times))
            }
        }
    };
    let head = ["", "original", "converted", "increase"];
    section("The whole tree", table("All files: bytes", false, &head, rows))
}

/// By directory.
pub fn directories(report: &Report) -> Markup {
    let rows = html! {
        @for (path, table) in &report.directories {
            @let pointer = format!("/directories/{}", key(path));
            tr {
                (row_name("", path))
                (number(&format!("{pointer}/programs"), table.programs as u64))
                (growth_cells(&format!("{pointer}/total"), &table.total))
            }
        }
    };
    let head = ["", "programs", "original", "converted", "increase"];
    section("By directory", table("Programs of each directory: bytes", false, &head, rows))
}

/// What is embedded.
pub fn libraries(report: &Report) -> Markup {
    let most = &report.libraries[..report.libraries.len().min(LIBRARIES)];
    let file = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let mut names: Vec<_> =
        most.iter().map(|library| statify_printable::printable(&file(&library.path))).collect();
    let bar = |percent: f64| Some((percent, format!("{percent:.1} %")));
    let mut bars: Vec<_> = most.iter().map(|library| bar(library.percent)).collect();
    let others = &report.libraries[most.len()..];
    if !others.is_empty() {
        names.push(format!("{} others", others.len()));
        bars.push(bar(others.iter().map(|library| library.percent).sum()));
    }
    let words = format!(
        "Bars, the longest first: {}.",
        names
            .iter()
            .zip(&bars)
            .map(|(name, bar)| {
                format!("{name} {}", bar.as_ref().map_or("", |(_, label)| label))
            })
            .collect::<Vec<_>>()
            .join(", ")
    );
    let series = [Series { color: CONVERTED, bars }];
    let svg = charts::bars(&names, &series, Scale::Linear, |percent| format!("{percent:.0} %"));
    let rows = html! {
        @for (index, library) in report.libraries.iter().enumerate() {
            @let pointer = format!("/libraries/{index}");
            tr {
                (row_name("", &library.path))
                (number(&format!("{pointer}/programs"), library.programs as u64))
                (number(&format!("{pointer}/embedded"), library.embedded))
                (percent(&format!("{pointer}/percent"), library.percent))
            }
        }
    };
    let head = ["", "programs", "bytes", "share"];
    section(
        "Libraries",
        html! {
            (figure(svg, &words, "Share of each in all bytes embedded besides the programs", &[]))
            (table("Libraries and loaders by bytes embedded", true, &head, rows))
        },
    )
}

/// Table 3.
pub fn chunks(report: &Report) -> Markup {
    let tables = [
        ("chunks", "cut for each file", &report.chunks),
        ("image_chunks", "cut over an ext4 image", &report.image_chunks),
    ];
    html! {
        @for (field, cut, table) in tables {
            @if let Some(table) = table { (chunk_table(field, cut, table)) }
        }
        @if let Some(sentence) = &report.originals_missing {
            p.note {
                "Nothing is known of the original files: " bdi { (statify_printable::printable(sentence)) }
            }
        }
    }
}

fn chunk_table(field: &str, cut: &str, chunks: &ChunkTable) -> Markup {
    let kib = |size: u64| format!("{} KiB", size >> 10);
    let names: Vec<_> = chunks.sizes.iter().map(|row| kib(row.size)).collect();
    let original = |row: &crate::report::measured::ChunkRow| byte_bar(row.original?.unique_bytes);
    let converted = |row: &crate::report::measured::ChunkRow| {
        let bytes = row.converted.unique_bytes;
        let times = row.byte_times.map(|times| format!(" ({})", factor_text(times)));
        let text = format!("{}{}", brief_bytes(bytes as f64), times.unwrap_or_default());
        Some((bytes as f64, text))
    };
    let series = [
        Series { color: ORIGINAL, bars: chunks.sizes.iter().map(original).collect() },
        Series { color: CONVERTED, bars: chunks.sizes.iter().map(converted).collect() },
    ];
    let words = chunks.sizes.iter().map(|row| {
        let times = row.byte_times.map(|times| format!(", {} as much", factor_text(times)));
        let bytes = thousands(row.converted.unique_bytes);
        format!("at {} {bytes} unique bytes{}", kib(row.size), times.unwrap_or_default())
    });
    let words = format!("Bars: {}.", words.collect::<Vec<_>>().join("; "));
    let rows = html! {
        @for (index, row) in chunks.sizes.iter().enumerate() {
            @let pointer = format!("/{field}/sizes/{index}");
            @let original = row.original.as_ref();
            tr {
                (row_name(&kib(row.size), ""))
                (maybe_number(&format!("{pointer}/original/unique_chunks"), original.map(|u| u.unique_chunks)))
                (number(&format!("{pointer}/converted/unique_chunks"), row.converted.unique_chunks))
                (maybe_factor(&format!("{pointer}/chunk_times"), row.chunk_times))
                (maybe_number(&format!("{pointer}/original/unique_bytes"), original.map(|u| u.unique_bytes)))
                (number(&format!("{pointer}/converted/unique_bytes"), row.converted.unique_bytes))
                (maybe_factor(&format!("{pointer}/byte_times"), row.byte_times))
            }
        }
    };
    let head = [
        "size",
        "chunks, original",
        "chunks, converted",
        "increase",
        "bytes, original",
        "bytes, converted",
        "increase",
    ];
    section(
        &format!("Unique chunks, {cut}"),
        html! {
            (figure(
                charts::bars(&names, &series, Scale::Linear, brief_bytes),
                &words,
                "Bytes that a store keeps in which equal chunks are kept once, by the size of chunks",
                &BEFORE_AFTER,
            ))
            (table("Table 3: different chunks without those of zeros, and their bytes", false, &head, rows))
            @if chunks.unread > 0 {
                p.note { (thousands(chunks.unread)) " files could not be read and are left out." }
            }
        },
    )
}

/// Table 2.
pub fn statics(report: &Report) -> Markup {
    let Some(all) = &report.statics else {
        return html! {};
    };
    let mut rows: Vec<(&str, &str, String, &Sizes)> = Vec::new();
    for (index, pair) in all.programs.iter().enumerate() {
        rows.push(("", &pair.name, format!("/statics/programs/{index}"), &pair.sizes));
    }
    rows.push(("total", "", "/statics/total".into(), &all.total));
    rows.push(("average", "", "/statics/average".into(), &all.average));
    if let Some(pair) = &all.largest {
        rows.push(("maximum", &pair.name, "/statics/largest".into(), &pair.sizes));
    }
    if let Some(pair) = &all.smallest {
        rows.push(("minimum", &pair.name, "/statics/smallest".into(), &pair.sizes));
    }
    let cells = html! {
        @for (what, name, pointer, sizes) in &rows {
            tr {
                (row_name(what, name))
                (number(&format!("{pointer}/dynamic"), sizes.dynamic))
                (number(&format!("{pointer}/static"), sizes.linked))
                (factor(&format!("{pointer}/static_times"), sizes.static_times))
                (number(&format!("{pointer}/converted"), sizes.converted))
                (factor(&format!("{pointer}/converted_times"), sizes.converted_times))
                (factor(&format!("{pointer}/converted_over_static"), sizes.converted_over_static))
            }
        }
    };
    let head = ["", "dynamic", "static", "increase", "converted", "increase", "converted / static"];
    section(
        "Programs that are also linked statically",
        html! {
            (statics_figure(all))
            (table("Table 2: sizes in bytes", true, &head, cells))
        },
    )
}

fn statics_figure(all: &statics::Table) -> Markup {
    let mut rows = vec![("average".to_owned(), all.average)];
    if all.programs.len() <= PAIRS {
        rows.extend(all.programs.iter().map(|pair| (label("", &pair.name), pair.sizes)));
    } else {
        let ends = [("maximum", &all.largest), ("minimum", &all.smallest)];
        rows.extend(ends.iter().filter_map(|(what, pair)| {
            pair.as_ref().map(|pair| (label(what, &pair.name), pair.sizes))
        }));
    }
    let names: Vec<_> =
        rows.iter().map(|(name, _)| name.trim_start_matches(": ").to_owned()).collect();
    let bars = |size: fn(&Sizes) -> u64| rows.iter().map(|row| byte_bar(size(&row.1))).collect();
    let series = [
        Series { color: ORIGINAL, bars: bars(|sizes| sizes.dynamic) },
        Series { color: STATIC, bars: bars(|sizes| sizes.linked) },
        Series { color: CONVERTED, bars: bars(|sizes| sizes.converted) },
    ];
    let words = format!(
        "Bars: {} programs have {} bytes dynamic, {} static, {} converted.",
        all.programs.len(),
        thousands(all.total.dynamic),
        thousands(all.total.linked),
        thousands(all.total.converted)
    );
    let legend =
        [("original", "dynamic"), ("static", "statically linked"), ("converted", "converted")];
    let svg = charts::bars(&names, &series, Scale::Log, brief_bytes);
    figure(svg, &words, "Bytes, on a logarithmic scale", &legend)
}

/// What was not converted, and why.
pub fn failures(report: &Report) -> Markup {
    let reasons = html! {
        @for (reason, count) in &report.failure_reasons {
            tr {
                (row_name("", reason))
                (number(&format!("/failure_reasons/{}", key(reason)), *count as u64))
            }
        }
    };
    let failures = html! {
        @for failure in &report.failures {
            tr {
                (row_name("", &failure.names.join(" ")))
                td { (failure.reason) }
                td { bdi { (statify_printable::printable(&failure.message)) } }
            }
        }
    };
    let left = html! {
        @for (kind, count) in &report.left {
            tr { (row_name("", kind)) (number(&format!("/left/{}", key(kind)), *count)) }
        }
    };
    section(
        "Not converted",
        html! {
            @if report.failures.is_empty() {
                p { "Every program that was to be converted has been." }
            } @else {
                (table("Programs by reason", false, &["reason", "programs"], reasons))
                details {
                    summary { "Every one of them" }
                    (table("Programs that could not be converted", true, &["", "reason", "sentence"], failures))
                }
            }
            @if !report.left.is_empty() {
                (table("What was left as it is", false, &["kind", "files"], left))
            }
        },
    )
}
