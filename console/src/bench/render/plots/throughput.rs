//! Who is how much faster, at what durability: a bar for orders one at a time, a paler one for pipelines.

use anyhow::Result;
use clap::ValueEnum;

use super::canvas::{
    Area, GRID, INK, LogAxis, QUIET_INK, SMALL, Side, TEXT, TITLE, block, color_of, line, pale, picture, write,
    write_bold,
};
use crate::bench::render::words::{power, ratio, rounded};
use crate::bench::suite::plan::{DURABILITIES, SHAPES};
use crate::bench::suite::results::{Cell, Results};
use crate::bench::suite::terms::{Contender, Durability, Shape, Workload};

const WIDTH: i32 = 900;
const LABEL_END: i32 = 168;
const BARS: (i32, i32) = (178, 690);
const RATIO_END: i32 = WIDTH - 16;
const BAR: i32 = 11;
const ROW: i32 = 2 * BAR + 9;
const PANEL_HEAD: i32 = 38;
const HEAD: i32 = 84;
const FOOT: i32 = 62;

/// A contender's cells: one at a time, and in pipelines.
struct Row<'a> {
    contender: Contender,
    cells: [Option<&'a Cell>; 2],
}

pub fn draw(results: &Results) -> Result<String> {
    let panels = DURABILITIES.map(|durability| (durability, rows(results, durability)));
    let panels: Vec<_> = panels.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
    let values = panels.iter().flat_map(|(_, rows)| rows.iter().flat_map(|row| row.cells).flatten()).map(per_s);
    let axis = LogAxis::of(values, BARS);
    let height = HEAD + FOOT + panels.iter().map(|(_, rows)| panel_height(rows)).sum::<i32>();
    picture((WIDTH as u32, height as u32), |area| {
        head(area)?;
        let mut top = HEAD;
        for (durability, rows) in &panels {
            panel(area, results, axis, (*durability, rows), top)?;
            top += panel_height(rows);
        }
        foot(area, axis, top)
    })
}

fn per_s(cell: &Cell) -> f64 {
    cell.figures.orders_per_s.median
}

fn rows(results: &Results, durability: Durability) -> Vec<Row<'_>> {
    let cell = |contender, shape: Shape| {
        let is_possible = shape.of(contender) == shape;
        results.cell(Workload::Hot, contender, durability, shape).filter(|_| is_possible)
    };
    let row = |contender| Row { contender, cells: SHAPES.map(|shape| cell(contender, shape)) };
    let all = Contender::value_variants().iter().copied().map(row);
    let mut rows: Vec<Row<'_>> = all.filter(|row| row.cells[0].is_some()).collect();
    let speed = |row: &Row<'_>| row.cells[0].map_or(0.0, per_s);
    rows.sort_by(|one, next| speed(next).total_cmp(&speed(one)));
    rows
}

fn panel_height(rows: &[Row<'_>]) -> i32 {
    PANEL_HEAD + ROW * rows.len() as i32
}

fn head(area: &Area<'_>) -> Result<()> {
    write_bold(area, "Orders per second for one hot SKU, by what a power cut can cost", (16, 22), TITLE, Side::Left)?;
    let what = "50 connections; full colour: one order at a time, pale: pipelines of 16. Logarithmic. Same machine.";
    write(area, what, (16, 46), TEXT, QUIET_INK, Side::Left)?;
    write(area, "Holdfast ÷ this", (RATIO_END, 70), SMALL, QUIET_INK, Side::Right)
}

fn panel(
    area: &Area<'_>,
    results: &Results,
    axis: LogAxis,
    (durability, rows): (Durability, &[Row<'_>]),
    top: i32,
) -> Result<()> {
    write_bold(area, &title(durability), (16, top + PANEL_HEAD - 14), TEXT, Side::Left)?;
    let bottom = top + panel_height(rows);
    for exponent in axis.powers() {
        let x = axis.at(10f64.powi(exponent));
        line(area, &[(x, top + PANEL_HEAD - 2), (x, bottom)], GRID, 1)?;
    }
    for (at, row) in (0..).zip(rows) {
        let y = top + PANEL_HEAD + at * ROW;
        let middle = if row.cells[1].is_some() { y + BAR } else { y + BAR / 2 };
        match row.contender {
            Contender::Holdfast => write_bold(area, "Holdfast", (LABEL_END, middle), SMALL + 1, Side::Right)?,
            other => write(area, &other.to_string(), (LABEL_END, middle), SMALL + 1, INK, Side::Right)?,
        }
        for (which, cell) in (0..).zip(row.cells) {
            let Some(cell) = cell else { continue };
            bar(area, results, axis, cell, (which == 1, y + which * (BAR + 1)))?;
        }
    }
    Ok(())
}

fn title(durability: Durability) -> String {
    let how = match durability {
        Durability::None => "everything (no persistence)",
        Durability::Second => "about the last second (appendfsync everysec; synchronous_commit off)",
        Durability::Always => "nothing (appendfsync always; synchronous_commit on)",
    };
    format!("A power cut can cost {how}")
}

fn bar(area: &Area<'_>, results: &Results, axis: LogAxis, cell: &Cell, (is_pale, y): (bool, i32)) -> Result<()> {
    let color = color_of(cell.contender);
    let color = if is_pale { pale(color) } else { color };
    let end = axis.at(per_s(cell));
    block(area, [(BARS.0, y), (end, y + BAR)], color)?;
    let middle = y + BAR / 2 + 1;
    write(area, &rounded(per_s(cell)), (end + 6, middle), SMALL, INK, Side::Left)?;
    // Clients on Node are slower by themselves: like is compared with like.
    let ours = if cell.contender.is_on_node() { Contender::HoldfastNode } else { Contender::Holdfast };
    match results.cell(cell.workload, ours, cell.durability, cell.shape) {
        Some(holdfast) if holdfast.contender != cell.contender => {
            let times = format!("{} ×", ratio(per_s(holdfast), per_s(cell)));
            write(area, &times, (RATIO_END, middle), SMALL, INK, Side::Right)
        }
        _ => Ok(()),
    }
}

fn foot(area: &Area<'_>, axis: LogAxis, top: i32) -> Result<()> {
    for exponent in axis.powers() {
        write(area, &power(exponent), (axis.at(10f64.powi(exponent)), top + 12), SMALL, QUIET_INK, Side::Center)?;
    }
    let notes =
        "Bare XADD and BullMQ check no stock and no limit. What runs on Node is compared with Holdfast from Node.";
    write(area, notes, (16, top + 38), SMALL, QUIET_INK, Side::Left)
}
