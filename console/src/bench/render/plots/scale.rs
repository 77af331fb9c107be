//! Past one store and one server: the CPU an order takes must stay as it is.

use anyhow::Result;

use super::canvas::{
    Area, GRID, INK, QUIET_INK, SMALL, Side, TEXT, TITLE, block, color_of, line, picture, write, write_bold,
};
use crate::bench::render::words::rounded;
use crate::bench::suite::results::{Results, ScaleCell};
use crate::bench::suite::terms::Contender;
use crate::text::grouped;

const SIZE: (u32, u32) = (900, 360);
const PANELS: [(i32, i32); 2] = [(70, 430), (540, 860)];
/// The pixels of 0 and of the highest value.
const VALUES: (i32, i32) = (290, 100);
const BAR: i32 = 46;
const STEPS: i32 = 4;

pub fn draw(results: &Results) -> Result<String> {
    let all = results.stores.iter().chain(&results.cluster).map(cpu_us);
    let most = all.fold(f64::MIN_POSITIVE, f64::max).ceil();
    picture(SIZE, |area| {
        let title = "Server CPU per order, microseconds, over more stores and more servers";
        write_bold(area, title, (16, 22), TITLE, Side::Left)?;
        write(
            area,
            "Flat is good: twice the machines then take twice the orders.",
            (16, 46),
            TEXT,
            QUIET_INK,
            Side::Left,
        )?;
        let stores = |cell: &ScaleCell| grouped(cell.stores);
        panel(area, most, PANELS[0], ("stores on one server", stores), &results.stores)?;
        let primaries = |cell: &ScaleCell| grouped(cell.primaries);
        panel(area, most, PANELS[1], ("primaries of a cluster, 60 stores", primaries), &results.cluster)
    })
}

fn cpu_us(cell: &ScaleCell) -> f64 {
    cell.figures.server_cpu_us.median
}

fn panel(
    area: &Area<'_>,
    most: f64,
    (from, to): (i32, i32),
    (name, label): (&str, fn(&ScaleCell) -> String),
    cells: &[ScaleCell],
) -> Result<()> {
    let y = |value: f64| VALUES.0 + (f64::from(VALUES.1 - VALUES.0) * value / most).round() as i32;
    for step in 0..=STEPS {
        let value = most * f64::from(step) / f64::from(STEPS);
        line(area, &[(from, y(value)), (to, y(value))], GRID, 1)?;
        write(area, &format!("{value:.1}"), (from - 8, y(value)), SMALL, QUIET_INK, Side::Right)?;
    }
    let width = (to - from) / cells.len().max(1) as i32;
    for (at, cell) in (0..).zip(cells) {
        let middle = from + width * at + width / 2;
        let top = y(cpu_us(cell));
        block(area, [(middle - BAR / 2, top), (middle + BAR / 2, VALUES.0)], color_of(Contender::Holdfast))?;
        write(area, &rounded(cpu_us(cell)), (middle, top - 10), SMALL, INK, Side::Center)?;
        write(area, &label(cell), (middle, VALUES.0 + 16), SMALL, INK, Side::Center)?;
    }
    write(area, name, ((from + to) / 2, VALUES.0 + 42), TEXT, INK, Side::Center)
}
