//! Lines over time, as SVG.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// A line: its name, and seconds with what there was then, in order.
pub type Line = (String, Vec<(f64, f64)>);

const SIZE: (u32, u32) = (900, 330);
const FONT: &str = "sans-serif";
const COLORS: [RGBColor; 5] = [
    RGBColor(0x2f, 0x6f, 0xb0),
    RGBColor(0xc4, 0x54, 0x1a),
    RGBColor(0x5b, 0x96, 0x3c),
    RGBColor(0x8e, 0x5e, 0xa2),
    RGBColor(0x8a, 0x8a, 0x8a),
];

/// Lines below a title, which says what the numbers are of.
pub fn over_time(title: &str, lines: &[Line]) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, title, lines).map_err(|error| anyhow!("{title}: {error}"))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    lines: &[Line],
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let end = points().map(|point| point.0).fold(1.0, f64::max);
    let most = points().map(|point| point.1).fold(1.0, f64::max);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 17))
        .margin(8)
        .margin_right(24)
        .x_label_area_size(24)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end, 0.0..most * 1.25)?;
    chart
        .configure_mesh()
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .axis_style(BLACK.mix(0.5))
        .label_style((FONT, 13))
        .draw()?;
    for ((name, points), color) in lines.iter().zip(COLORS) {
        chart
            .draw_series([PathElement::new(points.clone(), color.stroke_width(2))])?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 13))
        .draw()?;
    area.present()
}
