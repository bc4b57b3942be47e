//! The course of a watch in charts, as SVG.

use plotters::prelude::*;

use super::course::Course;
use super::plot::{Area, BLUE, FONT, FONT_SIZE, Failure, ORANGE, over_time, survival};
use super::sample::Sample;

/// A class of pages: its name, its colour, its number in a sample.
type Class = (&'static str, RGBColor, fn(&Sample) -> u64);

const WIDTH: u32 = 900;
const HEIGHT: u32 = 330;
const GREEN: RGBColor = RGBColor(0x5b, 0x96, 0x3c);
const PURPLE: RGBColor = RGBColor(0x8e, 0x5e, 0xa2);
const GREY: RGBColor = RGBColor(0x8a, 0x8a, 0x8a);
const YELLOW: RGBColor = RGBColor(0xc2, 0xa5, 0x33);

/// Classes, the lowest first.
const CLASSES: [Class; 6] = [
    ("shared", BLUE, |sample| sample.classes.shared),
    ("anonymous opportunities", ORANGE, |sample| sample.classes.anonymous),
    ("mixed", PURPLE, |sample| sample.classes.mixed),
    ("named", GREEN, |sample| sample.classes.named),
    ("zero", YELLOW, |sample| sample.classes.zero),
    ("private", GREY, |sample| sample.classes.private),
];

/// What a chart is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// Classes of pages.
    Classes,
    /// What could be saved, and what KSM saves.
    Savable,
    /// Pages that change.
    Changes,
    /// The page cache beside what is watched.
    Cache,
    /// How long sharings last.
    Lifetimes,
}

impl Chart {
    /// In the order in which they are shown.
    pub const ALL: [Self; 5] =
        [Self::Classes, Self::Savable, Self::Changes, Self::Cache, Self::Lifetimes];

    /// What stands above it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Classes => "Pages by class, MB",
            Self::Savable => "Savable and saved, MB",
            Self::Changes => "Pages that hold something else than in the sample before, %",
            Self::Cache => "Page cache and what is watched, MB",
            Self::Lifetimes => "Sharings that last so long or longer, %",
        }
    }

    /// It as an SVG element; empty if there is nothing to draw.
    pub fn svg(self, course: &Course) -> String {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let drawn = self.draw(&area, course).and_then(|is_there| area.present().map(|()| is_there));
        drop(area);
        if matches!(drawn, Ok(true)) { svg } else { String::new() }
    }

    /// False if there is nothing to draw.
    fn draw(self, area: &Area<'_>, course: &Course) -> Result<bool, Failure> {
        let mega = |pages: u64| course.bytes(pages) / 1e6;
        let of_pages = |value: fn(&Sample) -> u64| course.line(|sample| Some(mega(value(sample))));
        match self {
            Self::Classes => {
                // Each on top of those before; drawn from the top.
                let mut below = vec![0.0; course.line(|_| Some(0.0)).len()];
                let mut layers = Vec::new();
                for (name, color, value) in CLASSES {
                    let mut points = of_pages(value);
                    for (point, below) in points.iter_mut().zip(&mut below) {
                        *below += point.1;
                        point.1 = *below;
                    }
                    layers.push((name, color, points));
                }
                layers.reverse();
                over_time(area, &layers, true)
            }
            Self::Savable => {
                let lines = [
                    ("savable at most", BLUE, of_pages(|sample| sample.classes.savable)),
                    ("attainable by KSM", ORANGE, of_pages(|sample| sample.classes.attainable)),
                    (
                        "saved by KSM, whole machine",
                        GREEN,
                        course.line(|sample| sample.merged().map(mega)),
                    ),
                ];
                over_time(area, &lines, false)
            }
            Self::Changes => {
                let changed = course.line(|sample| {
                    let changes = sample.changes.filter(|changes| changes.tracked > 0)?;
                    Some(changes.changed as f64 / changes.tracked as f64 * 100.0)
                });
                over_time(area, &[("changed", ORANGE, changed)], false)
            }
            Self::Cache => {
                let cache = course.line(|sample| Some(sample.page_cache? as f64 / 1e6));
                let lines = [
                    ("page cache of the machine", GREEN, cache),
                    ("frames that are watched", BLUE, of_pages(|sample| sample.frames)),
                ];
                over_time(area, &lines, false)
            }
            Self::Lifetimes => {
                survival(area, course.last.as_ref().map_or(&[], |last| &last.lifetimes))
            }
        }
    }
}

/// All charts below one another, as a file.
pub fn svg(course: &Course) -> String {
    let count = Chart::ALL.len() as u32;
    let height = HEIGHT + FONT_SIZE as u32 * 2;
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height * count)).into_drawing_area();
    let drawn = area.fill(&WHITE).and_then(|()| {
        for (part, chart) in area.split_evenly((Chart::ALL.len(), 1)).iter().zip(Chart::ALL) {
            chart.draw(&part.titled(chart.title(), (FONT, FONT_SIZE + 2))?, course)?;
        }
        area.present()
    });
    drop(area);
    // Numbers only went into it, and no file.
    if drawn.is_ok() { svg } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::super::changes::Changes;
    use super::super::classes::Classes;
    use super::super::lifetimes::Survival;
    use super::*;

    fn course() -> Course {
        let mut course = Course::new("x", 4096);
        for second in 0..20 {
            let classes = Classes {
                shared: 500,
                anonymous: 100 * second,
                savable: 50 * second,
                ..Classes::default()
            };
            let changes = (second > 0).then_some(Changes {
                tracked: 100,
                changed: second,
                ..Changes::default()
            });
            let lifetimes = [2, 4, 8, 16].map(|seconds| Survival {
                seconds,
                share: 1.0 / f64::from(seconds),
                seen: 1,
            });
            course.add(Sample {
                seconds: second as f64,
                classes,
                changes,
                lifetimes: lifetimes.into(),
                page_cache: Some(9 << 20),
                frames: 5000,
                ..Sample::default()
            });
        }
        course
    }

    #[test]
    fn a_chart_for_each_thing() {
        let course = course();
        for chart in Chart::ALL {
            let svg = chart.svg(&course);
            assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{chart:?}: {svg}");
        }
        assert_eq!(Chart::Classes.svg(&course).matches("<polygon").count(), CLASSES.len());
        assert_eq!(Chart::Lifetimes.svg(&course).matches("fill=\"#2F6FB0\"").count(), 4);
        let all = svg(&course);
        for chart in Chart::ALL {
            assert!(all.contains(chart.title()), "{chart:?}");
        }
    }

    #[test]
    fn nothing_is_no_chart() {
        let course = Course::new("x", 4096);
        assert_eq!(Chart::ALL.map(|chart| chart.svg(&course)).concat(), "");
        assert!(svg(&course).starts_with("<svg"));
    }

    #[test]
    fn one_sample_is_drawn() {
        let mut course = Course::new("x", 4096);
        course.add(Sample { frames: 7, ..Sample::default() });
        assert!(Chart::Savable.svg(&course).contains("<circle"));
    }
}
