//! The course of a watch on a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph};
use statify_printable::printable;

use super::course::Course;
use super::sample::Sample;

/// Draws it. Small terminals show what fits.
pub fn draw(frame: &mut Frame<'_>, course: &Course) {
    let Some(last) = &course.last else {
        frame.render_widget(Paragraph::new("The first snapshot is being taken..."), frame.area());
        return;
    };
    let [head, upper, lower] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(12), Constraint::Length(11)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(title(course, last)), head);
    let halves = Layout::horizontal([Constraint::Length(46), Constraint::Min(20)]);
    let [classes, savable] = halves.areas(upper);
    frame.render_widget(boxed("Pages", class_lines(course, last)), classes);
    chart(frame, savable, course);
    let [lifetimes, ksm] = halves.areas(lower);
    frame.render_widget(boxed("Sharings that last so long", lifetime_lines(last)), lifetimes);
    frame.render_widget(boxed("KSM", ksm_lines(course, last)), ksm);
}

fn boxed<'a>(title: &'a str, lines: Vec<Line<'a>>) -> Paragraph<'a> {
    Paragraph::new(lines).block(Block::bordered().title(title))
}

fn title<'a>(course: &Course, last: &Sample) -> Line<'a> {
    let text = format!(
        " {}: {:.0} s, sample {}, a snapshot takes {:.2} s ",
        printable(&course.of),
        last.seconds,
        course.taken,
        last.snapshot_seconds
    );
    Line::from(vec![text.bold(), Span::from(" q ends")])
}

fn mega(course: &Course, pages: u64) -> String {
    format!("{:.1}", course.bytes(pages) / 1e6)
}

fn bar(share: f64, width: usize) -> String {
    "█".repeat((share.clamp(0.0, 1.0) * width as f64).round() as usize)
}

fn class_lines<'a>(course: &Course, last: &Sample) -> Vec<Line<'a>> {
    let classes = &last.classes;
    let rows = [
        ("shared", classes.shared, Color::Blue),
        ("anonymous", classes.anonymous, Color::Red),
        ("mixed", classes.mixed, Color::Magenta),
        ("named", classes.named, Color::Green),
        ("zero", classes.zero, Color::Yellow),
        ("private", classes.private, Color::Gray),
        ("not read", classes.unread, Color::DarkGray),
    ];
    let all = rows.iter().map(|(_, pages, _)| *pages).sum::<u64>().max(1) as f64;
    let mut lines = vec![Line::from(format!("{:<10} {:>9} {:>6}", "", "MB", "%"))];
    for (name, pages, color) in rows {
        let share = pages as f64 / all;
        lines.push(Line::from(vec![
            Span::from(format!("{name:<10} {:>9} {:>6.1} ", mega(course, pages), share * 100.0)),
            Span::styled(bar(share, 14), Style::new().fg(color)),
        ]));
    }
    if let Some(changes) = last.changes {
        let share = changes.changed as f64 / changes.tracked.max(1) as f64 * 100.0;
        lines.push(Line::from(""));
        lines.push(Line::from(format!(
            "{:<10} {:>9} {share:>6.1}",
            "changed",
            mega(course, changes.changed)
        )));
    }
    if let Some(cache) = last.page_cache {
        lines.push(Line::from(format!("{:<10} {:>9.1}", "page cache", cache as f64 / 1e6)));
    }
    lines.extend(course.lacks.iter().map(|lack| Line::from(printable(lack))));
    lines
}

fn chart(frame: &mut Frame<'_>, area: Rect, course: &Course) {
    let mega = |pages: u64| course.bytes(pages) / 1e6;
    let lines = [
        ("savable", Color::Blue, course.line(|sample| Some(mega(sample.classes.savable)))),
        ("attainable", Color::Red, course.line(|sample| Some(mega(sample.classes.attainable)))),
        ("by KSM", Color::Green, course.line(|sample| sample.merged().map(mega))),
    ];
    let points = || lines.iter().flat_map(|(_, _, points)| points);
    let end = points().map(|point| point.0).fold(1.0, f64::max);
    let most = points().map(|point| point.1).fold(1.0, f64::max) * 1.05;
    let mut title = vec![Span::from("MB: ")];
    for (name, color, points) in &lines {
        let value = points.last().map_or("-".into(), |point| format!("{:.1}", point.1));
        title.push(Span::styled(format!("{name} {value}  "), Style::new().fg(*color)));
    }
    let datasets = lines.iter().map(|(_, color, points)| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(*color))
            .data(points)
    });
    let axis = |end: f64, unit: &str| {
        Axis::default().bounds([0.0, end]).labels(["0".into(), format!("{end:.0}{unit}")])
    };
    let chart = Chart::new(datasets.collect())
        .block(Block::bordered().title(Line::from(title)))
        .x_axis(axis(end, " s"))
        .y_axis(axis(most, ""));
    frame.render_widget(chart, area);
}

fn lifetime_lines<'a>(last: &Sample) -> Vec<Line<'a>> {
    let turnover = last.sharings;
    let mut lines = vec![Line::from(format!(
        "{} now, {} begun, {} ended",
        turnover.alive, turnover.begun, turnover.ended
    ))];
    for row in &last.lifetimes {
        lines.push(Line::from(vec![
            Span::from(format!("{:>8} s {:>5.1} % ", row.seconds, row.share * 100.0)),
            Span::styled(bar(row.share, 20), Style::new().fg(Color::Blue)),
        ]));
    }
    lines
}

fn ksm_lines<'a>(course: &Course, last: &Sample) -> Vec<Line<'a>> {
    let ksm = &last.ksm;
    let Some(run) = ksm.run else {
        return vec![Line::from("This kernel has none, or does not tell.")];
    };
    let number = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
    let mut lines = vec![
        Line::from(format!(
            "{}, {} scans; saves {} MB (whole machine)",
            if run == 1 { "on" } else { "off" },
            number(ksm.full_scans),
            last.merged().map_or("-".into(), |pages| mega(course, pages))
        )),
        Line::from(format!(
            "pages shared {}, sharing {}",
            number(ksm.pages_shared),
            number(ksm.pages_sharing)
        )),
        Line::from(format!(
            "zero {}, unshared {}, volatile {}",
            number(ksm.ksm_zero_pages),
            number(ksm.pages_unshared),
            number(ksm.pages_volatile)
        )),
    ];
    let mut processes: Vec<_> = last.process_ksm.iter().collect();
    processes.sort_by_key(|process| std::cmp::Reverse(process.merging_pages));
    for process in processes.iter().take(6) {
        lines.push(Line::from(format!(
            "{:>8} {:<16} {:>9} MB merged",
            process.pid,
            printable(&process.name),
            mega(course, process.merging_pages)
        )));
    }
    lines
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::changes::Changes;
    use super::super::classes::Classes;
    use super::super::counters::{Ksm, ProcessKsm};
    use super::super::lifetimes::Survival;
    use super::*;

    fn drawn(course: &Course, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, course)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        (0..height).map(row).collect::<Vec<_>>().join("\n")
    }

    fn course() -> Course {
        let mut course = Course::new("7\x1b[2J", 4096);
        course.lacks = vec!["No rights\x07.".into()];
        for second in 0..30 {
            course.add(Sample {
                seconds: f64::from(second),
                classes: Classes {
                    shared: 250,
                    private: 750,
                    savable: 10_000,
                    ..Classes::default()
                },
                changes: Some(Changes { tracked: 200, changed: 50, ..Changes::default() }),
                lifetimes: vec![Survival { seconds: 16, share: 0.47, seen: 9 }],
                ksm: Ksm { run: Some(1), pages_sharing: Some(1000), ..Ksm::default() },
                process_ksm: vec![ProcessKsm {
                    pid: 42,
                    name: "qemu\x1b]0;x\x07".into(),
                    merging_pages: 500,
                    ..ProcessKsm::default()
                }],
                ..Sample::default()
            });
        }
        course
    }

    #[test]
    fn numbers_and_names_are_shown() {
        let text = drawn(&course(), 100, 30);
        for part in [
            " 7\\u{1b}[2J: 29 s, sample 30",
            "No rights\\u{7}.",
            "shared           1.0   25.0 ████",
            "private          3.1   75.0 ███████████",
            "changed          0.2   25.0",
            "16 s  47.0 % █████████",
            "on, - scans; saves 4.1 MB",
            "42 qemu\\u{1b}]0;x",
            "MB: savable 41.0  attainable 0.0  by KSM 4.1",
            "zero -, unshared -, volatile -",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(text.chars().all(|letter| letter == '\n' || statify_printable::is_shown(letter)));
    }

    #[test]
    fn any_size_will_do() {
        for (width, height) in [(1, 1), (10, 3), (46, 12), (80, 24), (300, 100)] {
            drawn(&course(), width, height);
            drawn(&Course::new("x", 4096), width, height);
        }
    }
}
