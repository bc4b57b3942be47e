//! The report as one web page. What it shows is what the JSON in it says; each number names its place there (a JSON pointer,
//! RFC 6901). maud escapes every text, plotters those in the charts.

pub(crate) mod cells;
pub(crate) mod charts;
pub(crate) mod sections;

use maud::{Markup, html};
use statify_files::path_text;
use statify_web_page::WebPage;

use super::contents::Report;
use cells::{dd, factor_text};

/// Who writes pages.
pub(crate) const WRITTEN_BY: &str = concat!("rootfs-tools ", env!("CARGO_PKG_VERSION"));
/// The colors of this tool's pages.
pub(crate) const STYLE: &str = include_str!("html/style.css");

/// The page.
pub fn html(report: &Report) -> String {
    let root = path_text::to_text(&report.root);
    let page = WebPage {
        title: format!("rootfs-tools report: {root}"),
        heading: "What self-contained programs cost",
        style: STYLE,
        of: html! { bdi { (root) } },
        facts: facts(report),
        main: html! {
            (sections::programs(report))
            (sections::growth(report))
            (sections::image(report))
            (sections::directories(report))
            (sections::libraries(report))
            (sections::chunks(report))
            (sections::statics(report))
            (sections::failures(report))
        },
        foot: html! { "Sizes are in bytes. " },
        written_by: WRITTEN_BY,
        id: "report",
    };
    page.with(report)
}

/// The numbers that one looks for first.
fn facts(report: &Report) -> Markup {
    let image = &report.image;
    html! {
        dl.facts {
            div { dt { "programs converted" } (dd("/table/programs", report.table.programs)) }
            div {
                dt { "their size, after / before" }
                dd data-json="/table/total/times" { (factor_text(report.table.total.times)) }
            }
            div {
                dt { "the whole tree, after / before" }
                dd data-json="/image/apparent_times" { (factor_text(image.apparent_times)) }
            }
            @if let Some(times) = image.physical.times {
                div {
                    dt { "on the disk, shared blocks once" }
                    dd data-json="/image/physical/times" { (factor_text(times)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::measured::Measured;
    use super::*;
    use crate::journal::record::Size;
    use crate::report::contents::{Failure, Library};

    #[test]
    fn hostile_names_stay_names() {
        let mut report = super::super::of("/r".into(), &[], Size::default(), Measured::default());
        let name = "</script><script>alert(1)</script><img src=x onerror='alert(1)'>\"&amp;\
                    \x1b[31m\u{9b}\u{202e}\u{200b}\u{2028}";
        report.failures.push(Failure {
            names: vec![name.into()],
            reason: name.into(),
            message: name.into(),
        });
        report.failure_reasons.insert(name.into(), 1);
        report.libraries.push(Library {
            path: format!("{name}\n"),
            programs: 1,
            embedded: 1,
            percent: 100.0,
        });
        report.left.insert(name.into(), 1);
        report.originals_missing = Some(name.into());
        report.root = name.into();
        let page = html(&report);
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
        assert!(!page.contains("<img") && page.contains("&lt;img src=x"));
        assert!(page.chars().all(|letter| letter == '\n' || statify_printable::is_shown(letter)));
        // And nothing of it is changed.
        let json = page.split("id=\"report\">").nth(1).unwrap().split("</script").next().unwrap();
        let read: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(read, serde_json::to_value(&report).unwrap());
    }
}
