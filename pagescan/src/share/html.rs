//! The answer as one web page.

mod charts;

use maud::{Markup, PreEscaped, html};
use statify_printable::amount::{bytes, thousands};
use statify_web_page::WebPage;

use self::charts::{Bar, CLASSES, LEGEND, bars, heat};
use super::answer::Answer;
use super::class::{Class, Count};

const STYLE: &str = include_str!("html/style.css");
/// So many domains and files are in the charts.
const MOST: usize = 24;

/// The page.
pub fn page(answer: &Answer) -> String {
    let by = answer.by.name();
    let page = WebPage {
        title: "pagescan share".into(),
        heading: "Which memory is shared, and which could be",
        style: STYLE,
        of: html! {
            @for snapshot in &answer.snapshots {
                bdi { (snapshot.file) } " of " bdi { (snapshot.host) } " "
            }
        },
        facts: facts(answer),
        main: html! {
            (classes(answer))
            (domains(answer, by))
            (matrix(answer, by))
            (largest(answer))
            (files(answer))
        },
        foot: html! { "A page is of " (answer.page_size) " bytes. " },
        written_by: concat!("pagescan ", env!("CARGO_PKG_VERSION")),
        id: "share",
    };
    page.with(answer)
}

fn frames(answer: &Answer, frames: u64) -> String {
    bytes(frames.saturating_mul(answer.page_size.into()))
}

/// The numbers that one looks for first.
fn facts(answer: &Answer) -> Markup {
    let savable = &answer.savable;
    html! {
        dl.facts {
            div { dt { "frames that are used" } dd { (frames(answer, answer.classes.all().frames)) } }
            div { dt { "savable at most" } dd { (frames(answer, savable.at_most)) } }
            div { dt { "attainable by KSM" } dd { (frames(answer, savable.attainable)) } }
            div { dt { "zeros besides" } dd { (frames(answer, savable.zero)) } }
            div { dt { "saved by KSM now" } dd { (frames(answer, answer.ksm.saved)) } }
        }
    }
}

fn classes(answer: &Answer) -> Markup {
    let mut of_classes = Vec::new();
    let mut all = Bar { name: "all pages".into(), parts: Vec::new(), label: String::new() };
    let mut own = Bar { name: "all frames".into(), parts: Vec::new(), label: String::new() };
    let total = answer.classes.all();
    for class in Class::ALL {
        let sides = answer.classes.of(class);
        all.parts.push(sides.all().pages as f64);
        own.parts.push(sides.all().frames as f64);
        if sides.all() != Count::default() {
            of_classes.push((class, sides));
        }
    }
    all.label = frames(answer, total.pages);
    own.label = frames(answer, total.frames);
    let svg = bars(&[all, own], &CLASSES);
    let words = "Bars: pages and frames of each class, as in the table.";
    let rows = html! {
        @for (class, sides) in &of_classes {
            tr {
                th scope="row" { (class.name()) }
                (number(sides.all().pages)) (number(sides.all().frames))
                (number(sides.internal.pages)) (number(sides.external.pages))
            }
        }
        tr { th scope="row" { "all" } (number(total.pages)) (number(total.frames)) td {} td {} }
    };
    section(
        "Classes",
        html! {
            (figure(&svg, words, "Pages, each as often as it is used, and frames", &LEGEND))
            (table("Pages by class", &["", "pages", "frames", "internal", "external"], rows))
        },
    )
}

fn domains(answer: &Answer, by: &str) -> Markup {
    let bar = |domain: &super::answer::Domain| Bar {
        name: domain.name.clone(),
        parts: vec![
            domain.shared as f64,
            domain.opportunity as f64,
            0.0,
            0.0,
            domain.private as f64,
            domain.zero as f64,
            domain.unread as f64,
        ],
        label: frames(answer, domain.count.pages),
    };
    let shown: Vec<Bar> = answer.domains.iter().take(MOST).map(bar).collect();
    let svg = bars(&shown, &CLASSES);
    let words = "Bars: pages of each domain by class, as in the table.";
    let rows = html! {
        @for domain in &answer.domains {
            tr {
                th scope="row" { bdi { (domain.name) } }
                (number(domain.count.pages)) (number(domain.count.frames)) (number(domain.own_frames))
                (number(domain.shared)) (number(domain.opportunity)) (number(domain.private))
                (number(domain.zero)) (number(domain.savable)) (number(domain.attainable))
            }
        }
    };
    let head = [
        "",
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
    section(
        &format!("By {by}"),
        html! {
            (figure(&svg, words, "Pages by class; opportunities of all kinds in one colour", &LEGEND))
            (table(&format!("Pages of each {by}; savable frames within it"), &head, rows))
        },
    )
}

fn matrix(answer: &Answer, by: &str) -> Markup {
    let names: Vec<String> =
        answer.domains.iter().take(MOST).map(|domain| domain.name.clone()).collect();
    let is_shown = |pair: &&super::answer::Pair| pair.a < names.len() && pair.b < names.len();
    let pairs = || answer.matrix.pairs.iter().filter(is_shown);
    let could: Vec<_> = pairs().map(|pair| (pair.a, pair.b, pair.could)).collect();
    let shared: Vec<_> = pairs().map(|pair| (pair.a, pair.b, pair.shared)).collect();
    let rows = html! {
        @for pair in &answer.matrix.pairs {
            tr {
                th scope="row" { bdi { (answer.domains[pair.a].name) } }
                th scope="row" { bdi { (answer.domains[pair.b].name) } }
                (number(pair.shared)) (number(pair.could))
            }
        }
    };
    section(
        "Who shares with whom",
        html! {
            (figure(&heat(&names, &could), "Squares: frames that could be saved, as in the table.",
                &format!("Frames that could be saved between two (by {by}), and in the diagonal within one"), &[]))
            (figure(&heat(&names, &shared), "Squares: frames that are shared, as in the table.",
                "Frames that are shared already", &[]))
            (table("Pairs, in frames", &["", "and", "shared", "could"], rows))
        },
    )
}

fn largest(answer: &Answer) -> Markup {
    let rows = html! {
        @for duplicate in &answer.largest {
            tr {
                th scope="row" { code { (duplicate.hash) } }
                (number(duplicate.count.frames)) (number(duplicate.count.pages))
                td { (duplicate.kind) }
                td { @for place in &duplicate.places { bdi { (place) } br; } }
            }
        }
    };
    section(
        "The largest duplicates",
        table(
            "Contents that several frames hold",
            &["hash", "frames", "pages", "kind", "where"],
            rows,
        ),
    )
}

fn files(answer: &Answer) -> Markup {
    let in_memory = || answer.files.iter().filter(|file| file.count.frames > 0);
    let bar = |file: &super::answer::MappedFile| Bar {
        name: file.path.clone(),
        parts: vec![file.count.pages as f64],
        label: format!("{} in {}", thousands(file.count.pages), thousands(file.count.frames)),
    };
    let shown: Vec<Bar> = in_memory().take(MOST).map(bar).collect();
    let rows = html! {
        @for file in in_memory() {
            tr {
                th scope="row" { bdi { (file.path) } }
                (number(file.processes)) (number(file.count.pages)) (number(file.count.frames))
                td.n { (format!("{:.2}", file.sharing)) } (number(file.copies))
            }
        }
    };
    let effect = &answer.effect;
    let head = ["", "processes", "pages", "frames", "pages/frame", "copies"];
    section(
        "Files in memory",
        html! {
            @if let Some(times) = effect.resident_effect {
                p { "Of all pages in memory, those in frames that are used more than once are used " (format!("{times:.2}")) " times." }
            }
            @if let Some(times) = effect.address_effect {
                p { "Of shared libraries, " (format!("{times:.2}")) " pages of address space are mapped for each frame." }
            }
            (figure(&bars(&shown, &CLASSES), "Bars: pages of each file, as in the table.", "Pages that are used, and the frames that they are in", &[]))
            (table("Files", &head, rows))
        },
    )
}

fn number(number: u64) -> Markup {
    html! { td.n { (thousands(number)) } }
}

fn section(title: &str, contents: Markup) -> Markup {
    html! { section { h2 { (title) } (contents) } }
}

/// A chart, for those who do not see it in words; its colours mean what `legend` says.
fn figure(svg: &str, words: &str, caption: &str, legend: &[(&str, &str)]) -> Markup {
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

fn table(caption: &str, head: &[&str], rows: Markup) -> Markup {
    html! {
        div.scroll.long tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody { (rows) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Domain, Duplicate, Matrix, Pair};
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        let name = "</script><script>alert(1)</script><img src=x onerror='alert(1)'>\"&amp;\x1b[31m\u{202e}";
        let domain = Domain {
            name: name.into(),
            count: Count { pages: 3, frames: 2 },
            shared: 3,
            ..Domain::default()
        };
        let pair = Pair { a: 0, b: 1, shared: 1, could: 2 };
        let answer = Answer {
            snapshots: Vec::new(),
            page_size: 4096,
            by: Default::default(),
            classes: Default::default(),
            free_frames: 0,
            contents: 0,
            savable: Default::default(),
            ksm: Default::default(),
            domains: vec![domain.clone(), domain],
            matrix: Matrix { domains: 2, pairs: vec![pair] },
            largest: vec![Duplicate {
                hash: "0".into(),
                count: Count::default(),
                kind: "mixed",
                places: vec![name.into()],
            }],
            files: Vec::new(),
            effect: Default::default(),
        };
        let page = page(&answer);
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
        assert!(!page.contains("<img") && page.contains("&lt;img src=x"));
        assert!(page.chars().all(|letter| letter == '\n' || statify_printable::is_shown(letter)));
        let json = page.split("id=\"share\">").nth(1).unwrap().split("</script").next().unwrap();
        let read: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(read, serde_json::to_value(&answer).unwrap());
    }
}
