//! What the server pays for an order: CPU by workload, for each contender that can do it.

use anyhow::Result;
use clap::ValueEnum;

use super::canvas::{
    Area, GRID, INK, LogAxis, QUIET_INK, SMALL, Side, TEXT, TITLE, block, color_of, line, picture, write, write_bold,
};
use crate::bench::render::words::{power, rounded};
use crate::bench::suite::plan::{PIPELINED, USUAL_DURABILITY};
use crate::bench::suite::results::{Cell, Results};
use crate::bench::suite::terms::{Contender, Workload};

const WIDTH: i32 = 980;
const COLUMNS: usize = 2;
const COLUMN: i32 = WIDTH / COLUMNS as i32;
const LABEL_END: i32 = 160;
const BARS: (i32, i32) = (168, 420);
const ROW: i32 = 18;
const BAR: i32 = 11;
const PANEL_HEAD: i32 = 32;
const PANEL_FOOT: i32 = 34;
const HEAD: i32 = 66;

pub fn draw(results: &Results) -> Result<String> {
    let panels: Vec<_> =
        Workload::value_variants().iter().map(|&workload| (workload, cells(results, workload))).collect();
    let axis = LogAxis::of(panels.iter().flat_map(|(_, cells)| cells).map(|cell| cpu_us(cell)), BARS);
    let lines: Vec<_> = panels.chunks(COLUMNS).collect();
    let height = HEAD + lines.iter().map(|line| line_height(line)).sum::<i32>();
    picture((WIDTH as u32, height as u32), |area| {
        write_bold(area, "Server CPU per order, microseconds: less is better", (16, 22), TITLE, Side::Left)?;
        let how =
            format!("{PIPELINED} (MULTI/WATCH: one at a time). After a power cut: {USUAL_DURABILITY}. Logarithmic.");
        write(area, &how, (16, 46), TEXT, QUIET_INK, Side::Left)?;
        let mut top = HEAD;
        for line in lines {
            for (left, (workload, cells)) in (0..).step_by(COLUMN as usize).zip(line) {
                panel(area, axis, (*workload, cells), (left, top))?;
            }
            top += line_height(line);
        }
        Ok(())
    })
}

fn line_height(panels: &[(Workload, Vec<&Cell>)]) -> i32 {
    let rows = panels.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0) as i32;
    PANEL_HEAD + ROW * rows + PANEL_FOOT
}

fn cpu_us(cell: &Cell) -> f64 {
    cell.figures.server_cpu_us.median
}

/// The cheapest first.
fn cells(results: &Results, workload: Workload) -> Vec<&Cell> {
    let contenders = Contender::value_variants().iter();
    let cell = |contender: &Contender| results.cell(workload, *contender, USUAL_DURABILITY, PIPELINED);
    let mut cells: Vec<_> = contenders.filter_map(cell).collect();
    cells.sort_by(|one, next| cpu_us(one).total_cmp(&cpu_us(next)));
    cells
}

fn panel(
    area: &Area<'_>,
    axis: LogAxis,
    (workload, cells): (Workload, &[&Cell]),
    (left, top): (i32, i32),
) -> Result<()> {
    write_bold(area, &workload.to_string(), (left + 16, top + PANEL_HEAD - 14), TEXT, Side::Left)?;
    let bottom = top + PANEL_HEAD + ROW * cells.len() as i32;
    for exponent in axis.powers() {
        let x = left + axis.at(10f64.powi(exponent));
        line(area, &[(x, top + PANEL_HEAD - 2), (x, bottom)], GRID, 1)?;
        write(area, &power(exponent), (x, bottom + 10), SMALL, QUIET_INK, Side::Center)?;
    }
    for (at, cell) in (0..).zip(cells) {
        let y = top + PANEL_HEAD + at * ROW;
        let name = (left + LABEL_END, y + BAR / 2);
        match cell.contender {
            Contender::Holdfast => write_bold(area, "Holdfast", name, SMALL, Side::Right)?,
            other => write(area, &other.to_string(), name, SMALL, INK, Side::Right)?,
        }
        let end = left + axis.at(cpu_us(cell));
        block(area, [(left + BARS.0, y), (end, y + BAR)], color_of(cell.contender))?;
        write(area, &rounded(cpu_us(cell)), (end + 6, y + BAR / 2), SMALL, INK, Side::Left)?;
    }
    Ok(())
}
