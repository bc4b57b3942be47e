//! The course of a watch as one web page.

use maud::{Markup, PreEscaped, html};
use statify_printable::printable;
use statify_web_page::WebPage;

use super::charts::Chart;
use super::course::Course;
use super::plot::PAPER_16_SECONDS;
use super::sample::Sample;

/// White is the color of what lies below.
const STYLE: &str = r##"svg [fill="#FFFFFF"] { fill: var(--box); }"##;

/// The page.
pub fn html(course: &Course) -> String {
    let page = WebPage {
        title: format!("pagescan watch: {}", printable(&course.of)),
        heading: "Memory over time",
        style: STYLE,
        of: html! { bdi { (printable(&course.of)) } ", " (course.taken) " samples" },
        facts: html! {},
        main: html! {
            @for lack in &course.lacks { p.note { bdi { (printable(lack)) } } }
            @for chart in Chart::ALL { (section(chart, course)) }
            @if let Some(last) = &course.last { (lifetimes(last)) (processes(last)) }
        },
        foot: html! {},
        written_by: concat!("pagescan ", env!("CARGO_PKG_VERSION")),
        id: "watch",
    };
    page.with(course)
}

fn section(chart: Chart, course: &Course) -> Markup {
    let svg = chart.svg(course);
    html! {
        @if !svg.is_empty() {
            section {
                h2 { (chart.title()) }
                div role="img" aria-label=(chart.title()) { (PreEscaped(svg)) }
            }
        }
    }
}

fn lifetimes(last: &Sample) -> Markup {
    html! {
        @if !last.lifetimes.is_empty() {
            section {
                h2 { "How long sharings last" }
                table {
                    thead { tr { th { "seconds" } th.n { "last so long or longer" } th.n { "seen so long" } th.n { "paper (5.12)" } } }
                    tbody {
                        @for (index, row) in last.lifetimes.iter().enumerate() {
                            tr {
                                th scope="row" { (row.seconds) }
                                td.n data-json=(format!("/last/lifetimes/{index}/share")) { (percent(row.share)) }
                                td.n data-json=(format!("/last/lifetimes/{index}/seen")) { (row.seen) }
                                td.n { @if row.seconds == 16 { (percent(PAPER_16_SECONDS)) } @else { "–" } }
                            }
                        }
                    }
                }
                p.note { "The paper's guests had 128 MB each and built kernels." }
            }
        }
    }
}

fn processes(last: &Sample) -> Markup {
    html! {
        @if !last.process_ksm.is_empty() {
            section {
                h2 { "KSM in processes, pages" }
                table {
                    thead { tr { th { "process" } th.n { "looked at" } th.n { "merged" } th.n { "zero" } th.n { "profit, bytes" } } }
                    tbody {
                        @for process in &last.process_ksm {
                            tr {
                                th scope="row" { (process.pid) " " bdi { (printable(&process.name)) } }
                                td.n { (process.rmap_items) }
                                td.n { (process.merging_pages) }
                                td.n { (process.zero_pages) }
                                td.n { (process.profit) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::counters::ProcessKsm;
    use super::super::lifetimes::Survival;
    use super::*;

    #[test]
    fn hostile_names_stay_names_and_numbers_are_those_of_the_json() {
        let name = "</script><script>alert(1)</script><img src=x>\"&amp;\x1b[31m\u{202e}";
        let mut course = Course::new(name, 4096);
        let process_ksm = vec![ProcessKsm { pid: 7, name: name.into(), ..ProcessKsm::default() }];
        let lifetimes = vec![Survival { seconds: 16, share: 0.5, seen: 3 }];
        course.add(Sample { frames: 5, process_ksm, lifetimes, ..Sample::default() });
        let page = html(&course);
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
        assert!(!page.contains("<img"));
        assert!(page.chars().all(|letter| letter == '\n' || statify_printable::is_shown(letter)));
        let json = page.split("id=\"watch\">").nth(1).unwrap().split("</script").next().unwrap();
        let read: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(read, serde_json::to_value(&course).unwrap());
        for pointer in page.split("data-json=\"").skip(1).filter_map(|rest| rest.split('"').next())
        {
            assert!(read.pointer(pointer).is_some(), "{pointer}");
        }
        assert!(page.contains("50.0 %") && page.contains("47.0 %"));
    }
}
