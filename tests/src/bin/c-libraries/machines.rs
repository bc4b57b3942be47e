//! The table of machines that is in the README.

use crate::check::Checked;

/// A column for each system, in the order of [`crate::trees::MACHINES`].
pub fn markdown(results: &[(String, Checked)]) -> String {
    let systems = results.iter().map(|(system, _)| system.as_str());
    let mut text = row("", systems.map(str::to_owned));
    text += &row("---", results.iter().map(|_| "---".to_owned()));
    let mut add = |name: &str, cell: &dyn Fn(&Checked) -> String| {
        text += &row(name, results.iter().map(|(_, checked)| cell(checked)));
    };
    add("fixtures: passed, failed; unfit, not applicable", &|checked| {
        let (passed, failed) = (checked.passed.len(), checked.failed.len());
        format!("{passed}, {failed}; {}, {}", checked.unfit.len(), checked.not_applicable.len())
    });
    add("its own programs: agreed, failed; refused", &|checked| {
        let programs = checked.programs.as_ref();
        programs.map_or("-".into(), |p| format!("{}, {}; {}", p.agreed, p.failed.len(), p.refused))
    });
    add("start, converted over original: hello, 100 libraries", &|checked| {
        let start = checked.start.as_ref();
        start.map_or("-".into(), |start| format!("{:.2}x, {:.2}x", start.hello, start.libraries))
    });
    add("starter, bytes", &|checked| checked.starter.to_string());
    text
}

fn row(name: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: String = cells.map(|cell| format!(" {cell} |")).collect();
    format!("| {name} |{cells}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::start::Start;

    #[test]
    fn a_table() {
        let start = Some(Start { hello: 0.625, libraries: 0.25 });
        let checked = Checked { starter: 14_312, start, ..Checked::default() };
        let table = markdown(&[("Debian bookworm".into(), checked)]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "|  | Debian bookworm |");
        assert_eq!(lines[1], "| --- | --- |");
        assert_eq!(lines[2], "| fixtures: passed, failed; unfit, not applicable | 0, 0; 0, 0 |");
        assert_eq!(
            lines[4],
            "| start, converted over original: hello, 100 libraries | 0.62x, 0.25x |"
        );
        assert_eq!(lines[5], "| starter, bytes | 14312 |");
    }
}
