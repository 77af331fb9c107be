//! The tables of the pages.

use clap::ValueEnum;

use super::words::{as_ms, rounded};
use crate::bench::report::{bars_table, table};
use crate::bench::suite::plan::{DURABILITIES, OTHER_SHAPES, PIPELINED, SHAPES, USUAL_DURABILITY};
use crate::bench::suite::results::{BytesCell, Cell, Figures, Results, ScaleCell};
use crate::bench::suite::terms::{Contender, Shape, Workload};
use crate::text::grouped;

/// Orders a second, their spread, CPU and waits of the hot SKU, for each durability and shape.
pub fn durability(results: &Results) -> String {
    let mut text = String::new();
    for durability in DURABILITIES {
        for shape in SHAPES {
            let cells: Vec<_> =
                cells(|contender| results.cell(Workload::Hot, contender, durability, shape), Some(shape));
            if !cells.is_empty() {
                text += &format!("\n**{}; {shape}**\n\n{}\n", capital(&durability.to_string()), full_table(&cells));
            }
        }
    }
    text.trim().to_string()
}

/// CPU an order and orders a second of each workload.
pub fn workloads(results: &Results) -> String {
    let mut text = String::new();
    for &workload in Workload::value_variants() {
        let found = cells(|contender| results.cell(workload, contender, USUAL_DURABILITY, PIPELINED), None);
        if !found.is_empty() {
            text += &format!("\n**{}**\n\n{}\n", capital(&workload.to_string()), full_table(&found));
        }
    }
    text.trim().to_string()
}

/// The hot SKU with fewer and with more connections, and with the deepest pipeline.
pub fn shapes(results: &Results) -> String {
    let mut text = String::new();
    for shape in OTHER_SHAPES {
        let cell = |contender| results.cell(Workload::Hot, contender, USUAL_DURABILITY, shape);
        let found = cells(cell, Some(shape));
        if !found.is_empty() {
            text += &format!("\n**{}**\n\n{}\n", capital(&shape.to_string()), full_table(&found));
        }
    }
    text.trim().to_string()
}

/// The cells of all contenders, the fastest first; only those of exactly this shape, if one is given.
fn cells<'a>(cell: impl Fn(Contender) -> Option<&'a Cell>, only: Option<Shape>) -> Vec<&'a Cell> {
    let found = Contender::value_variants().iter().filter_map(|contender| cell(*contender));
    let mut cells: Vec<_> = found.filter(|cell| only.is_none_or(|shape| cell.shape == shape)).collect();
    cells.sort_by(|one, next| per_s(next).total_cmp(&per_s(one)));
    cells
}

fn per_s(cell: &Cell) -> f64 {
    cell.figures.orders_per_s.median
}

fn full_table(cells: &[&Cell]) -> String {
    let rows = cells.iter().map(|cell| {
        let mut row = vec![cell.contender.to_string()];
        row.extend(figures(&cell.figures));
        row
    });
    let header = ["", "orders/s", "spread", "server CPU µs", "p50 ms", "p99 ms", "p99.9 ms", "max ms"];
    table(&header, rows).to_string()
}

fn figures(figures: &Figures) -> Vec<String> {
    let Figures { orders_per_s, server_cpu_us, latency, .. } = figures;
    let waits = [latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us].map(as_ms);
    let spread = format!("± {:.0} %", orders_per_s.spread_percent());
    [rounded(orders_per_s.median), spread, rounded(server_cpu_us.median)].into_iter().chain(waits).collect()
}

pub fn bytes(results: &Results) -> String {
    let row = |cell: &BytesCell| vec![cell.contender.to_string(), rounded(cell.bytes_an_order)];
    table(&["", "bytes an open order"], results.bytes.iter().map(row)).to_string()
}

pub fn bars(results: &Results) -> String {
    if results.bars.is_empty() {
        "(A quick run measures no bars.)".into()
    } else {
        bars_table(&results.bars).to_string()
    }
}

pub fn stores(results: &Results) -> String {
    scale(&results.stores, "stores", |cell| cell.stores)
}

pub fn cluster(results: &Results) -> String {
    scale(&results.cluster, "primaries", |cell| cell.primaries)
}

fn scale(cells: &[ScaleCell], what: &str, count: fn(&ScaleCell) -> u32) -> String {
    let rows = cells.iter().map(|cell| {
        let mut row = vec![grouped(count(cell))];
        row.extend(figures(&cell.figures));
        row
    });
    table(&[what, "orders/s", "spread", "server CPU µs", "p50 ms", "p99 ms", "p99.9 ms", "max ms"], rows).to_string()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
