//! How long a buyer waits: p50, p99, p99.9 and the longest, of orders one at a time over 50 connections.

use anyhow::Result;
use clap::ValueEnum;

use super::canvas::{
    Area, GRID, INK, LogAxis, Point, QUIET_INK, SMALL, Side, TEXT, TITLE, block, color_of, dot, line, pale, picture,
    write, write_bold,
};
use crate::bench::probe::Waits;
use crate::bench::render::words::{as_ms, power_in_full};
use crate::bench::suite::plan::ONE_AT_A_TIME;
use crate::bench::suite::results::{Cell, Results};
use crate::bench::suite::terms::{Contender, Durability, Workload};

const WIDTH: i32 = 900;
const LABEL_END: i32 = 168;
const RANGE: (i32, i32) = (180, 730);
const P99_END: i32 = WIDTH - 16;
const ROW: i32 = 24;
const PANEL_HEAD: i32 = 38;
const HEAD: i32 = 92;
const FOOT: i32 = 40;
const US_A_MS: f64 = 1_000.0;
const SHOWN: [Durability; 2] = [Durability::Second, Durability::Always];

pub fn draw(results: &Results) -> Result<String> {
    let panels: Vec<_> = SHOWN.map(|durability| (durability, cells(results, durability))).into();
    let waits = panels.iter().flat_map(|(_, cells)| cells).flat_map(|cell| {
        let Waits { p50_us, max_us, .. } = cell.figures.latency;
        [p50_us as f64 / US_A_MS, max_us as f64 / US_A_MS]
    });
    let axis = LogAxis::of(waits, RANGE);
    let height = HEAD + FOOT + panels.iter().map(|(_, cells)| panel_height(cells)).sum::<i32>();
    picture((WIDTH as u32, height as u32), |area| {
        head(area)?;
        let mut top = HEAD;
        for (durability, cells) in &panels {
            panel(area, axis, (*durability, cells), top)?;
            top += panel_height(cells);
        }
        for exponent in axis.powers() {
            let at = (axis.at(10f64.powi(exponent)), top + 14);
            write(area, &format!("{} ms", power_in_full(exponent)), at, SMALL, QUIET_INK, Side::Center)?;
        }
        Ok(())
    })
}

/// The quickest first.
fn cells(results: &Results, durability: Durability) -> Vec<&Cell> {
    let contenders = Contender::value_variants().iter();
    let cell = |contender: &Contender| results.cell(Workload::Hot, *contender, durability, ONE_AT_A_TIME);
    let mut cells: Vec<_> = contenders.filter_map(cell).collect();
    cells.sort_by_key(|cell| cell.figures.latency.p50_us);
    cells
}

fn panel_height(cells: &[&Cell]) -> i32 {
    PANEL_HEAD + ROW * cells.len() as i32
}

fn head(area: &Area<'_>) -> Result<()> {
    write_bold(area, "How long a buyer waits for an order of a hot SKU", (16, 22), TITLE, Side::Left)?;
    let what = "50 connections under full load, one order at a time each. Logarithmic, milliseconds.";
    write(area, what, (16, 46), TEXT, QUIET_INK, Side::Left)?;
    let legend = [(180, "p50"), (240, "p99"), (300, "p99.9"), (370, "longest")];
    for (mark, (x, name)) in MARKS.iter().zip(legend) {
        mark(area, (x, 74), QUIET_INK)?;
        write(area, name, (x + 10, 74), SMALL, QUIET_INK, Side::Left)?;
    }
    write(area, "p99", (P99_END, 74), SMALL, QUIET_INK, Side::Right)
}

fn panel(area: &Area<'_>, axis: LogAxis, (durability, cells): (Durability, &[&Cell]), top: i32) -> Result<()> {
    let title = format!("After a power cut: {durability}");
    write_bold(area, &title, (16, top + PANEL_HEAD - 16), TEXT, Side::Left)?;
    for exponent in axis.powers() {
        let x = axis.at(10f64.powi(exponent));
        line(area, &[(x, top + PANEL_HEAD - 2), (x, top + panel_height(cells))], GRID, 1)?;
    }
    for (at, cell) in (0..).zip(cells) {
        row(area, axis, cell, top + PANEL_HEAD + at * ROW + ROW / 2)?;
    }
    Ok(())
}

fn row(area: &Area<'_>, axis: LogAxis, cell: &Cell, y: i32) -> Result<()> {
    match cell.contender {
        Contender::Holdfast => write_bold(area, "Holdfast", (LABEL_END, y), SMALL + 1, Side::Right)?,
        other => write(area, &other.to_string(), (LABEL_END, y), SMALL + 1, INK, Side::Right)?,
    }
    let (color, waits) = (color_of(cell.contender), &cell.figures.latency);
    let xs = [waits.p50_us, waits.p99_us, waits.p999_us, waits.max_us].map(|us| axis.at(us as f64 / US_A_MS));
    block(area, [(xs[0], y - 2), (xs[3], y + 2)], pale(color))?;
    for (mark, x) in MARKS.iter().zip(xs) {
        mark(area, (x, y), color)?;
    }
    write(area, &format!("{} ms", as_ms(waits.p99_us)), (P99_END, y), SMALL, INK, Side::Right)
}

type Mark = fn(&Area<'_>, Point, plotters::style::RGBColor) -> Result<()>;

/// One shape each for p50, p99, p99.9 and the longest.
const MARKS: [Mark; 4] = [
    |area, at, color| dot(area, at, 5, color),
    |area, (x, y), color| block(area, [(x - 4, y - 4), (x + 4, y + 4)], color),
    |area, (x, y), color| block(area, [(x - 2, y - 6), (x + 2, y + 6)], color),
    |area, (x, y), color| line(area, &[(x, y - 7), (x, y + 7)], color, 2),
];
