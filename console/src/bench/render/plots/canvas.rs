//! What all pictures are drawn with: an area of pixels, text, colours, and a logarithmic axis.
//!
//! A picture has a white ground of its own, so that it can be read on a light page and on a dark one. The colours can
//! be told apart by colour-blind readers (Okabe and Ito), and every line and bar has its name next to it.

use std::ops::RangeInclusive;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::bench::suite::terms::Contender;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A point in pixels, from the upper left corner.
pub type Point = (i32, i32);

pub const INK: RGBColor = RGBColor(30, 30, 30);
pub const QUIET_INK: RGBColor = RGBColor(95, 95, 95);
pub const GRID: RGBColor = RGBColor(220, 220, 220);
/// Sizes of text. SVG shows them a fifth smaller.
pub const TITLE: i32 = 20;
pub const TEXT: i32 = 15;
pub const SMALL: i32 = 13;
const FONT: &str = "sans-serif";
/// How much of a pale colour is white.
const PALE: f64 = 0.55;

/// Draws a picture of this size. Fails as `draw` does.
pub fn picture(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
    area.fill(&WHITE).map_err(drawing)?;
    draw(&area)?;
    area.present().map_err(drawing)?;
    drop(area);
    Ok(text)
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}

/// How a text stands at its point.
#[derive(Clone, Copy)]
pub enum Side {
    /// It begins there.
    Left,
    Center,
    /// It ends there.
    Right,
}

/// Writes at a point, the middle of the line's height there.
pub fn write(area: &Area<'_>, text: &str, at: Point, size: i32, color: RGBColor, side: Side) -> Result<()> {
    styled(area, text, at, (size, FontStyle::Normal, color), side)
}

/// As [`write`], in bold ink.
pub fn write_bold(area: &Area<'_>, text: &str, at: Point, size: i32, side: Side) -> Result<()> {
    styled(area, text, at, (size, FontStyle::Bold, INK), side)
}

fn styled(
    area: &Area<'_>,
    text: &str,
    at: Point,
    (size, style, color): (i32, FontStyle, RGBColor),
    side: Side,
) -> Result<()> {
    let side = match side {
        Side::Left => HPos::Left,
        Side::Center => HPos::Center,
        Side::Right => HPos::Right,
    };
    let style = (FONT, size).into_font().style(style).color(&color).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_string(), at, style)).map_err(drawing)
}

pub fn line(area: &Area<'_>, points: &[Point], color: RGBColor, width: u32) -> Result<()> {
    area.draw(&PathElement::new(points.to_vec(), color.stroke_width(width))).map_err(drawing)
}

pub fn dot(area: &Area<'_>, at: Point, radius: i32, color: RGBColor) -> Result<()> {
    area.draw(&Circle::new(at, radius, color.filled())).map_err(drawing)
}

/// A filled rectangle between two corners.
pub fn block(area: &Area<'_>, corners: [Point; 2], color: RGBColor) -> Result<()> {
    area.draw(&Rectangle::new(corners, color.filled())).map_err(drawing)
}

/// The colour of a contender: that of its kind.
pub fn color_of(contender: Contender) -> RGBColor {
    match contender {
        Contender::Holdfast => RGBColor(0, 114, 178),
        Contender::HoldfastNode => RGBColor(86, 180, 233),
        Contender::Xadd => RGBColor(120, 120, 120),
        Contender::Lua => RGBColor(230, 159, 0),
        Contender::Function => RGBColor(190, 120, 0),
        Contender::Watch => RGBColor(204, 121, 167),
        Contender::PostgresRow => RGBColor(0, 158, 115),
        Contender::PostgresUnits => RGBColor(0, 105, 75),
        Contender::Bullmq => RGBColor(213, 94, 0),
    }
}

/// The same colour, paler.
pub fn pale(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let mix = |part: u8| (f64::from(part) + (255.0 - f64::from(part)) * PALE) as u8;
    RGBColor(mix(red), mix(green), mix(blue))
}

/// A logarithmic axis of whole decades.
#[derive(Clone, Copy, Debug)]
pub struct LogAxis {
    /// The powers of ten at the ends.
    decades: (i32, i32),
    /// The pixels at the ends.
    pixels: (i32, i32),
}

impl LogAxis {
    /// An axis that holds all values; what is not above 0 is left out.
    pub fn of(values: impl IntoIterator<Item = f64>, pixels: (i32, i32)) -> LogAxis {
        let logs: Vec<f64> = values.into_iter().filter(|value| *value > 0.0).map(f64::log10).collect();
        let least = logs.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let most = logs.iter().copied().reduce(f64::max).unwrap_or(1.0);
        let from = least.floor() as i32;
        LogAxis { decades: (from, (most.ceil() as i32).max(from + 1)), pixels }
    }

    /// Where a value is; what is beyond an end is at that end.
    pub fn at(&self, value: f64) -> i32 {
        let (from, to) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let part = ((value.max(f64::MIN_POSITIVE).log10() - from) / (to - from)).clamp(0.0, 1.0);
        self.pixels.0 + (part * f64::from(self.pixels.1 - self.pixels.0)).round() as i32
    }

    pub fn powers(&self) -> RangeInclusive<i32> {
        self.decades.0..=self.decades.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_whole_decades() {
        let axis = LogAxis::of([250.0, 90_000.0], (0, 300));
        assert_eq!(axis.powers(), 2..=5);
        assert_eq!([100.0, 1_000.0, 100_000.0, 1.0, 1e9].map(|value| axis.at(value)), [0, 100, 300, 0, 300]);
    }

    #[test]
    fn a_picture_is_svg() {
        let svg = picture((100, 50), |area| write(area, "a < b", (50, 25), TEXT, INK, Side::Center));
        let svg = svg.expect("a picture");
        assert!(svg.starts_with("<svg") && svg.contains("a &lt; b") && svg.trim_end().ends_with("</svg>"), "{svg}");
    }
}
