//! The report as one web page: no script, nothing from elsewhere, light or dark as the reader has it. What
//! it shows is what the JSON in it says; each number names its place there (a JSON pointer, RFC 6901).
//! maud escapes every text, plotters those in the charts.

pub(crate) mod cells;
pub(crate) mod charts;
pub(crate) mod sections;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use statify_files::path_text;
use statify_printable::{printable_json, printable_lines};

use super::contents::Report;
use cells::{dd, factor_text};

/// How pages of this tool look.
pub(crate) const STYLE: &str = include_str!("html/style.css");

/// The page.
pub fn html(report: &Report) -> String {
    let root = path_text::to_text(&report.root);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Were anything to slip through, it could neither run nor load anything.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                title { "rootfs-tools report: " (root) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "What self-contained programs cost" }
                    p.root { bdi { (root) } }
                    (facts(report))
                }
                main {
                    (sections::programs(report))
                    (sections::growth(report))
                    (sections::image(report))
                    (sections::directories(report))
                    (sections::libraries(report))
                    (sections::chunks(report))
                    (sections::statics(report))
                    (sections::failures(report))
                }
                footer {
                    p {
                        "Written by rootfs-tools " (env!("CARGO_PKG_VERSION"))
                        ". Sizes are in bytes. All of it is in this page as JSON, too: the element "
                        code { "report" } "."
                    }
                }
                script type="application/json" id="report" { (PreEscaped(json(report))) }
            }
        }
    };
    // Texts in it are printable already; what is forgotten is made so here.
    printable_lines(&page.into_string()).into_owned()
}

/// JSON in which nothing ends an element or begins one, and every letter is seen.
pub(crate) fn json(answer: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(answer).expect("strings and numbers only");
    printable_json(&json).replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
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
