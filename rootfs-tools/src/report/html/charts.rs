//! The charts, as SVG. Their colours are those of a light page; the page's style sheet puts its own in
//! their place.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Where charts are drawn on.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Why one could not be drawn.
pub(crate) type Error = DrawingAreaErrorKind<std::io::Error>;

/// The colour of originals.
pub(crate) const ORIGINAL: RGBColor = RGBColor(0x2f, 0x6f, 0xb0);
/// Converted.
pub const CONVERTED: RGBColor = RGBColor(0xc4, 0x54, 0x1a);
/// Statically linked.
pub(crate) const STATIC: RGBColor = RGBColor(0x7a, 0x7a, 0x7a);

const WIDTH: u32 = 900;
pub(crate) const FONT: &str = "sans-serif";
pub(crate) const FONT_SIZE: i32 = 17;
/// Of a bar and of what is between groups of bars.
const BAR: u32 = 20;
const GAP: u32 = 14;
/// Left of the bars for their names, right of them for the last one's number.
const NAMES: u32 = 250;
const NUMBERS: u32 = 140;
/// Above and below them.
const MARGIN: u32 = 8;
const AXIS: u32 = 34;
/// Letters of a name that fit.
const LETTERS: usize = 30;

/// Bars of a colour, one in each group, each with what stands at its end.
pub(crate) struct Series {
    /// Which.
    pub color: RGBColor,
    /// For each group; none where there is no bar.
    pub bars: Vec<Option<(f64, String)>>,
}

/// How long bars are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As large as the number.
    Linear,
    /// As its logarithm.
    Log,
}

/// Horizontal bars in groups, the first on top. `unit` says what a number on the axis is.
pub(crate) fn bars(
    names: &[String],
    series: &[Series],
    scale: Scale,
    unit: fn(f64) -> String,
) -> String {
    let values = || series.iter().flat_map(|s| s.bars.iter().flatten()).map(|(value, _)| *value);
    let most = values().fold(0.0, f64::max);
    let least = values().fold(f64::INFINITY, f64::min);
    if names.is_empty() || most <= 0.0 {
        return String::new();
    }
    let group = series.len() as u32 * BAR + GAP;
    let height = names.len() as u32 * group + MARGIN + AXIS;
    draw(height, |area| match scale {
        Scale::Linear => draw_bars(area, names, series, 0.0, 0.0..most, unit),
        Scale::Log => {
            let from = 10f64.powf(least.max(1.0).log10().floor());
            draw_bars(area, names, series, from, (from..most.max(from * 10.0)).log_scale(), unit)
        }
    })
}

fn draw_bars<X>(
    area: &Area<'_>,
    names: &[String],
    series: &[Series],
    from: f64,
    axis: X,
    unit: fn(f64) -> String,
) -> Result<(), Error>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    // From the top down, a group is as high as its bars, and as the gap below them.
    let group = f64::from(series.len() as u32 * BAR + GAP);
    let height = names.len() as f64 * group;
    let mut chart = ChartBuilder::on(area)
        .margin_left(NAMES)
        .margin_right(NUMBERS)
        .margin_top(MARGIN)
        .x_label_area_size(AXIS)
        .build_cartesian_2d(axis, height..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .x_label_formatter(&|value| unit(*value))
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .axis_style(BLACK.mix(0.5))
        .label_style((FONT, FONT_SIZE - 2))
        .draw()?;
    let style = (FONT, FONT_SIZE).into_text_style(area);
    let left = style.pos(Pos::new(HPos::Right, VPos::Center));
    let right = style.pos(Pos::new(HPos::Left, VPos::Center));
    for (index, name) in names.iter().enumerate() {
        let top = index as f64 * group + f64::from(GAP) / 2.0;
        let middle = top + (group - f64::from(GAP)) / 2.0;
        let (x, y) = chart.backend_coord(&(from, middle));
        area.draw_text(&shortened(name), &left, (x - 10, y))?;
        for (number, series) in series.iter().enumerate() {
            let Some((value, label)) = &series.bars[index] else {
                continue;
            };
            let top = top + number as f64 * f64::from(BAR);
            let bottom = top + f64::from(BAR) - 2.0;
            let bar = Rectangle::new([(from, top), (*value, bottom)], series.color.filled());
            chart.draw_series([bar])?;
            let (x, y) = chart.backend_coord(&(*value, (top + bottom) / 2.0));
            area.draw_text(label, &right, (x + 6, y))?;
        }
    }
    Ok(())
}

/// What fits of a name: its end, where names of files differ.
fn shortened(name: &str) -> String {
    match name.chars().count().checked_sub(LETTERS) {
        None | Some(0) => name.to_owned(),
        Some(more) => std::iter::once('…').chain(name.chars().skip(more + 1)).collect(),
    }
}

/// How much each program grew, on a logarithmic scale, the least first.
pub(crate) fn growths(times: &[f64]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return String::new();
    };
    let (from, to) = (least.clamp(0.01, 1.0), most.max(10.0) * 1.1);
    draw(380, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(MARGIN)
            .margin_right(24)
            .x_label_area_size(AXIS + 24)
            .y_label_area_size(84)
            .build_cartesian_2d(0.0..sorted.len() as f64, (from..to).log_scale())?;
        chart
            .configure_mesh()
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|count| format!("{count:.0}"))
            .y_label_formatter(&|times| format!("{times}×"))
            .x_desc("programs, the least grown first")
            .y_desc("size after / before")
            .bold_line_style(BLACK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .axis_style(BLACK.mix(0.5))
            .label_style((FONT, FONT_SIZE - 2))
            .axis_desc_style((FONT, FONT_SIZE))
            .draw()?;
        let steps = sorted.iter().enumerate().flat_map(|(index, &times)| {
            let times = times.max(from);
            [(index as f64, times), (index as f64 + 1.0, times)]
        });
        let line: Vec<_> = steps.collect();
        let mut below = line.clone();
        below.extend([(sorted.len() as f64, from), (0.0, from)]);
        chart.draw_series([Polygon::new(below, CONVERTED.mix(0.25))])?;
        chart.draw_series([PathElement::new(line, CONVERTED.stroke_width(2))])?;
        Ok(())
    })
}

/// A chart as an SVG element.
pub(crate) fn draw(height: u32, chart: impl FnOnce(&Area<'_>) -> Result<(), Error>) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    let drawn = chart(&area).and_then(|()| area.present());
    drop(area);
    // Numbers only went into it, and no file. Without it the table is there.
    if drawn.is_ok() { svg } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(bars: &[f64]) -> Series {
        let bars = bars.iter().map(|&value| Some((value, format!("{value}")))).collect();
        Series { color: ORIGINAL, bars }
    }

    #[test]
    fn a_bar_for_each_number() {
        for scale in [Scale::Linear, Scale::Log] {
            let names = ["a".to_owned(), "b".to_owned()];
            let svg = bars(&names, &[series(&[5.0, 500.0]), series(&[7.0, 0.5])], scale, |value| {
                format!("{value}")
            });
            assert_eq!(svg.matches(r##"fill="#2F6FB0""##).count(), 4, "{svg}");
        }
    }

    #[test]
    fn names_are_text() {
        let names = ["</text><script>\"&".to_owned()];
        let svg = bars(&names, &[series(&[1.0])], Scale::Linear, |value| format!("{value}"));
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt;&quot;&amp;"), "{svg}");
        assert!(!svg.contains("<script"));
        assert_eq!(shortened(&"ä".repeat(40)).chars().count(), LETTERS);
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn nothing_is_no_chart() {
        assert_eq!(bars(&[], &[], Scale::Log, |_| String::new()), "");
        assert_eq!(bars(&["a".into()], &[series(&[0.0])], Scale::Log, |_| String::new()), "");
        assert_eq!(growths(&[]), "");
        assert!(growths(&[1.0]).contains("polyline"));
    }
}
