//! What is printed of the results.

use std::collections::BTreeMap;

use crate::check::Checked;

/// A table for a README.
pub fn markdown(results: &[(String, Checked)]) -> String {
    let mut text = String::from(
        "| C library | system | fixtures passed | failed | unfit | not applicable | its own programs: agreed | failed | refused |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (system, checked) in results {
        let not_applicable = checked.not_applicable.len();
        let (passed, failed) = (checked.passed.len(), checked.failed.len());
        let unfit = checked.unfit.len();
        let programs = match &checked.programs {
            Some(p) => format!("{} | {} | {}", p.agreed, p.failed.len(), p.refused),
            None => " | | ".to_owned(),
        };
        text += &format!(
            "| {} | {system} | {passed} | {failed} | {unfit} | {not_applicable} | {programs} |\n",
            checked.c_library
        );
    }
    text
}

/// How often each reason is given.
fn reasons(not_applicable: &BTreeMap<String, String>) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for reason in not_applicable.values() {
        *counts.entry(reason.as_str()).or_default() += 1;
    }
    counts
}

/// Each failure, and why fixtures say nothing, on standard error.
pub fn print_reasons(system: &str, checked: &Checked) {
    for (reason, count) in reasons(&checked.not_applicable) {
        eprintln!("{system} ({}): {count} not applicable: {reason}", checked.c_library);
    }
    let programs = checked.programs.iter().flat_map(|programs| &programs.failed);
    for (name, why) in checked.failed.iter().chain(&checked.unfit).chain(programs) {
        eprintln!("{system} ({}): {name}: {why}", checked.c_library);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::Programs;

    #[test]
    fn a_table() {
        let not_applicable = [("a", "avx: none"), ("b", "root: no"), ("c", "avx: none")]
            .map(|(k, v)| (k.into(), v.into()));
        let checked = Checked {
            c_library: "glibc 2.31".into(),
            passed: vec!["x".into()],
            failed: BTreeMap::new(),
            not_applicable: not_applicable.into(),
            programs: Some(Programs { agreed: 7, failed: BTreeMap::new(), refused: 2 }),
            ..Checked::default()
        };
        assert_eq!(reasons(&checked.not_applicable), [("avx: none", 2), ("root: no", 1)].into());
        let table = markdown(&[("Debian bullseye".into(), checked)]);
        let row = table.lines().last().unwrap_or_default();
        let expected = "| glibc 2.31 | Debian bullseye | 1 | 0 | 0 | 3 | 7 | 0 | 2 |";
        assert_eq!(row, expected);
    }
}
