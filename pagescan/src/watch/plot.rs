//! Lines and bars, drawn.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::lifetimes::Survival;

/// What is drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Why something could not be drawn.
pub type Failure = DrawingAreaErrorKind<std::io::Error>;
/// A line: its name, its colour, and seconds with what there was then, in order.
pub type Line = (&'static str, RGBColor, Vec<(f64, f64)>);

pub const FONT: &str = "sans-serif";
pub const FONT_SIZE: i32 = 15;
pub const BLUE: RGBColor = RGBColor(0x2f, 0x6f, 0xb0);
pub const ORANGE: RGBColor = RGBColor(0xc4, 0x54, 0x1a);
/// Left of a chart for numbers, and above it for what colours mean.
const LEFT: i32 = 76;
const TOP: i32 = 26;

/// Of the paper's figure 5.12: the share of sharings that last longer than 16 seconds, two guests of 128 MB building kernels.
pub const PAPER_16_SECONDS: f64 = 0.47;

/// Lines, or areas that cover one another, the last on top. False if there is nothing to draw.
pub fn over_time(area: &Area<'_>, lines: &[Line], is_filled: bool) -> Result<bool, Failure> {
    let points = || lines.iter().flat_map(|(_, _, points)| points);
    if points().next().is_none() {
        return Ok(false);
    }
    let end = points().map(|(seconds, _)| *seconds).fold(0.0, f64::max).max(1.0);
    let most = points().map(|(_, value)| *value).fold(0.0, f64::max).max(1.0);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_top(TOP)
        .margin_right(24)
        .x_label_area_size(24)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end, 0.0..most * 1.08)?;
    chart
        .configure_mesh()
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
        .y_label_formatter(&|value| number(*value, most))
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .axis_style(BLACK.mix(0.5))
        .label_style((FONT, FONT_SIZE - 2))
        .draw()?;
    let is_there = |line: &&Line| !line.2.is_empty();
    for (_, color, points) in lines.iter().filter(is_there) {
        let color = *color;
        if is_filled {
            let (first, last) = (points[0].0, points[points.len() - 1].0);
            let mut area = points.clone();
            area.extend([(last, 0.0), (first, 0.0)]);
            chart.draw_series([Polygon::new(area, color.filled())])?;
        } else {
            chart.draw_series([PathElement::new(points.clone(), color.stroke_width(2))])?;
        }
        // A single moment is a point.
        if points.len() == 1 {
            chart.draw_series([Circle::new(points[0], 3, color.filled())])?;
        }
    }
    // From the lowest up, as areas lie on one another.
    let mut entries: Vec<_> = lines.iter().filter(is_there).map(|line| (line.0, line.1)).collect();
    if is_filled {
        entries.reverse();
    }
    legend(area, &entries)?;
    Ok(true)
}

/// Bars, with the paper's number as a line. False if there is nothing to draw.
pub fn survival(area: &Area<'_>, rows: &[Survival]) -> Result<bool, Failure> {
    if rows.is_empty() {
        return Ok(false);
    }
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_top(TOP)
        .margin_right(24)
        .x_label_area_size(24)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..rows.len() as f64, 0.0..100.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(6)
        .y_label_formatter(&|share| format!("{share:.0}"))
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .axis_style(BLACK.mix(0.5))
        .label_style((FONT, FONT_SIZE - 2))
        .draw()?;
    let style = (FONT, FONT_SIZE - 2).into_text_style(area);
    let style = style.pos(Pos::new(HPos::Center, VPos::Top));
    for (index, row) in rows.iter().enumerate() {
        let left = index as f64;
        let bar = [(left + 0.15, 0.0), (left + 0.85, row.share * 100.0)];
        chart.draw_series([Rectangle::new(bar, BLUE.filled())])?;
        let (x, y) = chart.backend_coord(&(left + 0.5, 0.0));
        let (from_x, from_y) = area.get_base_pixel();
        area.draw_text(&format!("{} s", row.seconds), &style, (x - from_x, y - from_y + 6))?;
        if row.seconds == 16 {
            let line =
                vec![(left, PAPER_16_SECONDS * 100.0), (left + 1.0, PAPER_16_SECONDS * 100.0)];
            chart.draw_series([PathElement::new(line, ORANGE.stroke_width(3))])?;
            legend(area, &[("the paper's figure 5.12, guests of 128 MB", ORANGE)])?;
        }
    }
    Ok(true)
}

/// What colours mean, in a row above the chart.
fn legend(area: &Area<'_>, entries: &[(&str, RGBColor)]) -> Result<(), Failure> {
    let style = (FONT, FONT_SIZE - 2).into_text_style(area);
    let mut x = LEFT + 4;
    for (name, color) in entries {
        area.draw(&Rectangle::new([(x, 8), (x + 12, 18)], color.filled()))?;
        area.draw_text(name, &style, (x + 18, 6))?;
        // About as wide as letters are.
        x += 40 + name.chars().count() as i32 * (FONT_SIZE - 2) / 2;
    }
    Ok(())
}

fn number(value: f64, most: f64) -> String {
    if most < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
