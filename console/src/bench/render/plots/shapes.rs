//! What more orders under way do: orders a second by the pipeline of each connection, and by the connections.

use anyhow::Result;
use clap::ValueEnum;

use super::canvas::{
    Area, GRID, INK, LogAxis, QUIET_INK, SMALL, Side, TEXT, TITLE, color_of, dot, line, picture, write, write_bold,
};
use crate::bench::render::words::{power, rounded};
use crate::bench::suite::plan::{CONNECTIONS, USUAL_DURABILITY};
use crate::bench::suite::results::Results;
use crate::bench::suite::terms::{Contender, Shape, Workload};

const SIZE: (u32, u32) = (980, 470);
/// From the first to the last point of each panel.
const PANELS: [(i32, i32); 2] = [(70, 300), (560, 790)];
/// From the lowest value to the highest.
const VALUES: (i32, i32) = (410, 100);
const LEAST_DISTANCE: i32 = 17;

const PIPELINES: [u32; 3] = [1, 16, 64];
const CONNECTION_COUNTS: [u32; 3] = [1, 50, 500];

/// A contender's orders a second at each point of a panel.
struct Line {
    contender: Contender,
    per_s: [Option<f64>; 3],
}

pub fn draw(results: &Results) -> Result<String> {
    let pipelines = lines(results, PIPELINES.map(|pipeline| Shape::new(CONNECTIONS, pipeline)));
    let connections = lines(results, CONNECTION_COUNTS.map(|connections| Shape::new(connections, 1)));
    let all = pipelines.iter().chain(&connections).flat_map(|line| line.per_s).flatten();
    let axis = LogAxis::of(all, VALUES);
    picture(SIZE, |area| {
        let title = "What more orders under way do: orders per second, one hot SKU";
        write_bold(area, title, (16, 22), TITLE, Side::Left)?;
        let how = format!("After a power cut: {USUAL_DURABILITY}. Logarithmic.");
        write(area, &how, (16, 46), TEXT, QUIET_INK, Side::Left)?;
        panel(area, axis, PANELS[0], ("pipeline of each of 50 connections", PIPELINES), &pipelines)?;
        panel(area, axis, PANELS[1], ("connections, one order at a time", CONNECTION_COUNTS), &connections)
    })
}

fn lines(results: &Results, shapes: [Shape; 3]) -> Vec<Line> {
    let contenders = Contender::value_variants().iter().copied();
    let line = |contender| {
        let per_s = shapes.map(|shape| {
            let cell = results.cell(Workload::Hot, contender, USUAL_DURABILITY, shape);
            cell.filter(|cell| cell.shape == shape).map(|cell| cell.figures.orders_per_s.median)
        });
        Line { contender, per_s }
    };
    contenders.map(line).filter(|line| line.per_s.iter().flatten().count() > 1).collect()
}

fn panel(
    area: &Area<'_>,
    axis: LogAxis,
    (from, to): (i32, i32),
    (name, points): (&str, [u32; 3]),
    lines: &[Line],
) -> Result<()> {
    for exponent in axis.powers() {
        let y = axis.at(10f64.powi(exponent));
        line(area, &[(from - 10, y), (to + 10, y)], GRID, 1)?;
        write(area, &power(exponent), (from - 16, y), SMALL, QUIET_INK, Side::Right)?;
    }
    let xs = [from, (from + to) / 2, to];
    for (x, point) in xs.iter().zip(points) {
        write(area, &point.to_string(), (*x, VALUES.0 + 18), SMALL, QUIET_INK, Side::Center)?;
    }
    write(area, name, ((from + to) / 2, VALUES.0 + 40), TEXT, INK, Side::Center)?;
    for Line { contender, per_s } in lines {
        let points: Vec<_> = xs.iter().zip(per_s).filter_map(|(x, per_s)| Some((*x, axis.at((*per_s)?)))).collect();
        line(area, &points, color_of(*contender), 2)?;
        points.iter().try_for_each(|point| dot(area, *point, 4, color_of(*contender)))?;
    }
    names(area, axis, to, lines)
}

/// Writes the names at the ends of the lines, each with its value, as far apart as they need.
fn names(area: &Area<'_>, axis: LogAxis, end: i32, lines: &[Line]) -> Result<()> {
    let last = |line: &Line| line.per_s.iter().flatten().last().copied().unwrap_or_default();
    let mut ends: Vec<_> = lines.iter().map(|line| (axis.at(last(line)), line)).collect();
    ends.sort_by_key(|(y, _)| *y);
    let wanted: Vec<i32> = ends.iter().map(|(y, _)| *y).collect();
    for (y, (_, line)) in apart(&wanted).into_iter().zip(&ends) {
        let name = format!("{} {}", line.contender, rounded(last(line)));
        write(area, &name, (end + 14, y), SMALL, color_of(line.contender), Side::Left)?;
    }
    Ok(())
}

/// Heights in rising order, moved so that none is too near to the next, and none is below the panel.
fn apart(wanted: &[i32]) -> Vec<i32> {
    let mut heights = wanted.to_vec();
    for at in 1..heights.len() {
        heights[at] = heights[at].max(heights[at - 1] + LEAST_DISTANCE);
    }
    let mut lowest = VALUES.0 + LEAST_DISTANCE;
    for height in heights.iter_mut().rev() {
        *height = (*height).min(lowest);
        lowest = *height - LEAST_DISTANCE;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_touch() {
        let heights = apart(&[100, 101, 102, 420, 421]);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= LEAST_DISTANCE), "{heights:?}");
        assert_eq!(heights[0], 100);
    }
}
