//! An answer as one web page: no script, nothing from elsewhere, light or dark as the reader has it. All of it is in the page
//! as JSON, too. maud escapes every text.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;
use statify_printable::{printable_json, printable_lines};

/// How all pages look.
const STYLE: &str = include_str!("style.css");

/// A page.
#[derive(Clone, Debug)]
pub struct WebPage<'a> {
    /// What the window is called.
    pub title: String,
    /// What stands above everything.
    pub heading: &'a str,
    /// CSS besides that of all pages: colors, mostly.
    pub style: &'a str,
    /// Of what it is, below the heading.
    pub of: Markup,
    /// The numbers that one looks for first: a list of class `facts`, or nothing.
    pub facts: Markup,
    /// Its sections.
    pub main: Markup,
    /// Sentences behind the one that says who has written it.
    pub foot: Markup,
    /// The program that writes it, with its version.
    pub written_by: &'a str,
    /// The name of the element that has all of it as JSON.
    pub id: &'a str,
}

impl WebPage<'_> {
    /// It as a file with this answer in it.
    pub fn with(self, answer: &impl Serialize) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // Were anything to slip through, it could neither run nor load anything.
                    meta http-equiv="Content-Security-Policy"
                        content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) (PreEscaped(self.style)) }
                }
                body {
                    header {
                        h1 { (self.heading) }
                        p.of { (self.of) }
                        (self.facts)
                    }
                    main { (self.main) }
                    footer {
                        p {
                            "Written by " (self.written_by) ". " (self.foot)
                            "All of it is in this page as JSON, too: the element " code { (self.id) } "."
                        }
                    }
                    script type="application/json" id=(self.id) { (PreEscaped(json(answer))) }
                }
            }
        };
        // Texts in it are printable already; what is forgotten is made so here.
        printable_lines(&page.into_string()).into_owned()
    }
}

/// JSON in which nothing ends an element or begins one, and every letter is seen.
fn json(answer: &impl Serialize) -> String {
    // An answer is strings and numbers only, of which JSON can be made.
    let json = serde_json::to_string(answer).unwrap_or_default();
    printable_json(&json).replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_stay_texts() {
        let name = "</script><script>alert(1)</script><img src=x onerror='alert(1)'>\"&amp;\x1b[31m\u{202e}\u{2028}";
        let page = WebPage {
            title: name.into(),
            heading: "Heading",
            style: ".own { color: red; }",
            of: html! { bdi { (name) } },
            facts: Markup::default(),
            main: html! { section { (name) } },
            foot: Markup::default(),
            written_by: "a test 1.0",
            id: "answer",
        };
        let page = page.with(&serde_json::json!({ "name": name }));
        assert!(page.ends_with("</html>") && page.contains(".own { color: red; }"), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(!page.contains("<img") && !page.contains('\x1b') && !page.contains('\u{202e}'));
        let json = page.split_once("id=\"answer\">").unwrap().1.split_once("</script>").unwrap().0;
        let answer: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(answer["name"], name);
    }
}
