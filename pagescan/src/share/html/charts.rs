//! The charts, as SVG. Their colours are those of a light page; the page's style sheet puts its own in their place.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The classes' colours, in their order; opportunities have one.
pub const CLASSES: [RGBColor; 7] = [
    RGBColor(0x2f, 0x6f, 0xb0),
    RGBColor(0xc4, 0x54, 0x1a),
    RGBColor(0xc4, 0x54, 0x1a),
    RGBColor(0xc4, 0x54, 0x1a),
    RGBColor(0x7a, 0x7a, 0x7a),
    RGBColor(0xc9, 0xc9, 0xc9),
    RGBColor(0x4d, 0x4d, 0x4d),
];

/// What colours are called in the page's style sheet, and what they mean.
pub const LEGEND: [(&str, &str); 5] = [
    ("shared", "shared"),
    ("opportunity", "opportunity"),
    ("private", "private"),
    ("zero", "zero"),
    ("unread", "unread"),
];

const WIDTH: i32 = 900;
const FONT: &str = "sans-serif";
const FONT_SIZE: i32 = 16;
/// Of a bar and of the gap below it.
const BAR: i32 = 22;
const GAP: i32 = 8;
/// Left of the bars for their names, right of them for their numbers.
const NAMES: i32 = 260;
const NUMBERS: i32 = 160;
/// Letters of a name that fit.
const LETTERS: usize = 30;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Error = DrawingAreaErrorKind<std::io::Error>;

/// A bar of parts.
pub struct Bar {
    /// What it is of.
    pub name: String,
    /// How long its parts are, from the left.
    pub parts: Vec<f64>,
    /// What stands at its end.
    pub label: String,
}

/// Horizontal bars, the first on top.
pub fn bars(bars: &[Bar], colors: &[RGBColor]) -> String {
    let len = |bar: &Bar| bar.parts.iter().sum::<f64>();
    let most = bars.iter().map(len).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let room = f64::from(WIDTH - NAMES - NUMBERS);
    draw(bars.len() as i32 * (BAR + GAP) + GAP, |area| {
        for (index, bar) in bars.iter().enumerate() {
            let top = index as i32 * (BAR + GAP) + GAP;
            text(area, &shortened(&bar.name), HPos::Right, (NAMES - 10, top + BAR / 2))?;
            let mut at = 0.0;
            for (part, color) in bar.parts.iter().zip(colors) {
                let place = |value: f64| NAMES + (value / most * room) as i32;
                let corners = [(place(at), top), (place(at + part), top + BAR)];
                at += part;
                if *part > 0.0 {
                    area.draw(&Rectangle::new(corners, color.filled()))?;
                }
            }
            let end = NAMES + (at / most * room) as i32;
            text(area, &bar.label, HPos::Left, (end + 6, top + BAR / 2))?;
        }
        Ok(())
    })
}

/// Squares, the darker the larger the number, on a logarithmic scale. Pairs are places of names.
pub fn heat(names: &[String], pairs: &[(usize, usize, u64)]) -> String {
    let most = pairs.iter().map(|pair| pair.2).max().unwrap_or(0);
    if most == 0 || names.is_empty() {
        return String::new();
    }
    let side = ((WIDTH - NAMES - 40) / names.len() as i32).min(BAR + GAP);
    let color = CLASSES[1];
    draw(names.len() as i32 * side + 2 * GAP, |area| {
        for (index, name) in names.iter().enumerate() {
            let middle = GAP + index as i32 * side + side / 2;
            text(area, &shortened(name), HPos::Right, (NAMES - 10, middle))?;
        }
        for &(a, b, value) in pairs.iter().filter(|pair| pair.2 > 0) {
            let depth = (value as f64).ln_1p() / (most as f64).ln_1p();
            for (x, y) in [(a, b), (b, a)] {
                let (x, y) = (NAMES + x as i32 * side, GAP + y as i32 * side);
                let corners = [(x, y), (x + side - 1, y + side - 1)];
                area.draw(&Rectangle::new(corners, color.mix(0.1 + 0.9 * depth).filled()))?;
            }
        }
        Ok(())
    })
}

fn text(area: &Area<'_>, text: &str, side: HPos, at: (i32, i32)) -> Result<(), Error> {
    let style = (FONT, FONT_SIZE).into_text_style(area).pos(Pos::new(side, VPos::Center));
    area.draw_text(text, &style, at)
}

/// What fits of a name: its end, where names of files differ.
fn shortened(name: &str) -> String {
    match name.chars().count().checked_sub(LETTERS) {
        None | Some(0) => name.to_owned(),
        Some(more) => std::iter::once('…').chain(name.chars().skip(more + 1)).collect(),
    }
}

/// A chart as an SVG element.
fn draw(height: i32, chart: impl FnOnce(&Area<'_>) -> Result<(), Error>) -> String {
    let mut svg = String::new();
    let size = (WIDTH as u32, height.unsigned_abs());
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let drawn = chart(&area).and_then(|()| area.present());
    drop(area);
    // Numbers only went into it, and no file. Without it the table is there.
    if drawn.is_ok() { svg } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_for_each_number() {
        let bar = Bar { name: "</text>\"".into(), parts: vec![5.0, 0.0, 3.0], label: "8".into() };
        let svg = bars(&[bar], &CLASSES);
        assert_eq!(svg.matches(r##"fill="#2F6FB0""##).count(), 1, "{svg}");
        assert_eq!(svg.matches(r##"fill="#C4541A""##).count(), 1);
        assert!(svg.contains("&lt;/text&gt;&quot;"));
        assert_eq!(bars(&[], &CLASSES), "");
    }

    #[test]
    fn two_squares_for_each_pair() {
        let names = ["a".to_owned(), "b".to_owned()];
        let svg = heat(&names, &[(0, 1, 10), (1, 1, 0)]);
        assert_eq!(svg.matches(r##"fill="#C4541A""##).count(), 2, "{svg}");
        assert_eq!(heat(&names, &[]), "");
    }
}
