//! Lines through the course of a boot.

use plotters::prelude::*;

use crate::report::html::charts::{Error, FONT, FONT_SIZE, draw};

/// A line.
pub(super) struct Line {
    /// Its colour.
    pub color: RGBColor,
    /// Seconds, and what had come together by then; in order.
    pub points: Vec<(f64, f64)>,
}

/// What came together in the course of time, which goes up in steps. Nothing if there is nothing to draw.
pub(super) fn course(lines: &[Line], what: &str, unit: fn(f64) -> String) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let end = points().map(|(seconds, _)| *seconds).fold(0.0, f64::max);
    let most = points().map(|(_, value)| *value).fold(0.0, f64::max);
    if end <= 0.0 || most <= 0.0 {
        return String::new();
    }
    draw(360, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(58)
            .y_label_area_size(110)
            .build_cartesian_2d(0.0..end * 1.02, 0.0..most * 1.05)?;
        chart
            .configure_mesh()
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
            .y_label_formatter(&|value| unit(*value))
            .x_desc("since the server began")
            .y_desc(what)
            .bold_line_style(BLACK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .axis_style(BLACK.mix(0.5))
            .label_style((FONT, FONT_SIZE - 2))
            .axis_desc_style((FONT, FONT_SIZE))
            .draw()?;
        for line in lines {
            let mut last = 0.0;
            let mut steps = Vec::new();
            for &(seconds, value) in &line.points {
                steps.extend([(seconds, last), (seconds, value)]);
                last = value;
            }
            steps.push((end, last));
            chart.draw_series([PathElement::new(steps, line.color.stroke_width(2))])?;
        }
        Ok::<(), Error>(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::charts::{CONVERTED, ORIGINAL};

    #[test]
    fn a_line_for_each() {
        let line = |color| Line { color, points: vec![(0.5, 10.0), (3.0, 20.0)] };
        let svg = course(&[line(ORIGINAL), line(CONVERTED)], "bytes", |value| value.to_string());
        for color in ["#2F6FB0", "#C4541A"] {
            assert!(svg.contains(&format!("stroke=\"{color}\"")), "{svg}");
        }
        assert_eq!(course(&[Line { color: ORIGINAL, points: vec![] }], "", |_| String::new()), "");
    }
}
