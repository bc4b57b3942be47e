//! Samples as lines of a table, for people.

use super::course::Course;
use super::sample::Sample;

/// What stands above the numbers; the units are those of [`table_line`].
pub fn table_head() -> String {
    format!(
        "{:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8} {:>7} {:>7}\n",
        "seconds",
        "frames",
        "shared",
        "anon",
        "named",
        "mixed",
        "private",
        "zero",
        "savable",
        "attainable",
        "KSM",
        "changed",
        "16 s"
    )
}

/// A sample: millions of bytes, but for the seconds, the share of pages that have changed since the sample before, and that of sharings
/// that last 16 seconds.
pub fn table_line(sample: &Sample, course: &Course) -> String {
    let mega = |pages: u64| format!("{:.1}", course.bytes(pages) / 1e6);
    let percent =
        |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}%", share * 100.0));
    let classes = &sample.classes;
    let changed = sample.changes.filter(|changes| changes.tracked > 0);
    let changed = changed.map(|changes| changes.changed as f64 / changes.tracked as f64);
    format!(
        "{:>7.1} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8} {:>7} {:>7}\n",
        sample.seconds,
        mega(sample.frames),
        mega(classes.shared),
        mega(classes.anonymous),
        mega(classes.named),
        mega(classes.mixed),
        mega(classes.private),
        mega(classes.zero),
        mega(classes.savable),
        mega(classes.attainable),
        sample.merged().map_or("-".into(), mega),
        percent(changed),
        percent(sample.lasting(16)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::changes::Changes;
    use super::*;

    #[test]
    fn numbers_stand_below_their_names() {
        let changes = Some(Changes { tracked: 4, changed: 1, ..Changes::default() });
        let sample = Sample { frames: 1000, changes, ..Sample::default() };
        let line = table_line(&sample, &Course::new("x", 4096));
        assert_eq!(line.len(), table_head().len());
        assert!(line.contains("4.1") && line.contains("25.0%"), "{line}");
    }
}
