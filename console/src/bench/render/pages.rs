//! The pages: prose with places for what was measured.

use super::tables;
use super::words::{ratio, rounded};
use crate::bench::suite::plan::{ONE_AT_A_TIME, PIPELINED};
use crate::bench::suite::results::{Cell, Machine, Results, ScaleCell};
use crate::bench::suite::terms::{Contender, Durability, Shape, Workload};
use crate::text::grouped;

const BENCHMARKS: &str = include_str!("benchmarks.md");
const SCALING: &str = include_str!("scaling.md");

/// The sale that the page on scaling plans: buyers, and the seconds in which all of them press the button.
const BUYERS: f64 = 10_000_000.0;
const RUSH_S: f64 = 60.0;
/// Part of a server's core that a plan may use: the rest is for the peak in the peak, and for workers.
const PLANNED_LOAD: f64 = 0.5;
const BYTES_A_GIB: f64 = 1_073_741_824.0;

/// Both pages, by the names of their files.
pub fn render(results: &Results) -> [(&'static str, String); 2] {
    [("benchmarks.md", benchmarks(results)), ("scaling.md", scaling(results))]
}

fn benchmarks(results: &Results) -> String {
    fill(
        BENCHMARKS,
        &[
            ("quick", quick(results)),
            ("summary", summary(results)),
            ("conditions", conditions(results)),
            ("skipped", skipped(results)),
            ("rounds", results.rounds.count.to_string()),
            ("round_ms", grouped(results.rounds.round_ms)),
            ("warm_ms", grouped(results.rounds.warm_ms)),
            ("durability", tables::durability(results)),
            ("workloads", tables::workloads(results)),
            ("shapes", tables::shapes(results)),
            ("bytes", tables::bytes(results)),
            ("bars", tables::bars(results)),
            ("postgres", results.postgres_settings.join("\n")),
        ],
    )
}

/// A warning where the numbers mean little.
fn quick(results: &Results) -> String {
    let text = "**These numbers are of a quick run, made to see that all works. They mean little: run `make bench`.**";
    if results.quick { text.into() } else { String::new() }
}

/// Puts each value at its place, `{{name}}`.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let text = values.iter().fold(template.to_string(), |text, (name, value)| {
        let place = format!("{{{{{name}}}}}");
        assert!(text.contains(&place), "the page has no place {place}");
        text.replace(&place, value)
    });
    assert!(!text.contains("{{"), "a place of the page has no value");
    // What is empty leaves no gap.
    let mut text = text;
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    text
}

/// What stands above all: how Holdfast compares with each, at each durability.
fn summary(results: &Results) -> String {
    let others = [
        Contender::Lua,
        Contender::Function,
        Contender::Watch,
        Contender::PostgresRow,
        Contender::PostgresUnits,
        Contender::Bullmq,
    ];
    let rows = others.iter().filter_map(|&other| {
        let cells = [
            (Durability::Second, ONE_AT_A_TIME),
            (Durability::Second, PIPELINED),
            (Durability::Always, ONE_AT_A_TIME),
            (Durability::Always, PIPELINED),
        ]
        .map(|(durability, shape)| times(results, other, durability, shape).unwrap_or_default());
        let cpu = cpu_times(results, other).unwrap_or_default();
        let has_any = cells.iter().any(|cell| !cell.is_empty());
        has_any.then(|| [other.to_string()].into_iter().chain(cells).chain([cpu]).collect::<Vec<_>>())
    });
    let header = [
        "Holdfast is … as fast as",
        "last second may be lost",
        "same, pipelines of 16",
        "nothing is lost",
        "same, pipelines of 16",
        "its CPU an order",
    ];
    crate::bench::report::table(&header, rows).to_string()
}

/// Holdfast with the same kind of client.
fn ours(other: Contender) -> Contender {
    if other.is_on_node() { Contender::HoldfastNode } else { Contender::Holdfast }
}

fn pair(results: &Results, other: Contender, durability: Durability, shape: Shape) -> Option<[&Cell; 2]> {
    let cell = |contender| results.cell(Workload::Hot, contender, durability, shape);
    Some([cell(ours(other))?, cell(other).filter(|cell| cell.shape == shape)?])
}

fn times(results: &Results, other: Contender, durability: Durability, shape: Shape) -> Option<String> {
    let per_s = pair(results, other, durability, shape)?.map(|cell| cell.figures.orders_per_s.median);
    Some(format!("{} ×", ratio(per_s[0], per_s[1])))
}

/// How many times Holdfast's server CPU the other takes, one order at a time.
fn cpu_times(results: &Results, other: Contender) -> Option<String> {
    let cpu = pair(results, other, Durability::Second, ONE_AT_A_TIME)?.map(|cell| cell.figures.server_cpu_us.median);
    Some(format!("{} ×", ratio(cpu[1], cpu[0])))
}

fn conditions(results: &Results) -> String {
    let Machine { cpu, cores, memory_bytes, kernel, filesystem, fsync_p50_us, stolen_ms } = &results.machine;
    let programs: Vec<String> = results.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let rows = [
        ("machine", format!("{cpu}, {cores} cores, {:.0} GiB", *memory_bytes as f64 / BYTES_A_GIB)),
        (
            "system",
            format!("Linux {kernel}; data on {filesystem}, a write of 4 KiB with fdatasync takes {fsync_p50_us} µs"),
        ),
        ("programs", programs.join(", ")),
        ("run", format!("{}, {} s; {stolen_ms} ms taken by the hypervisor", results.measured_on, results.took_s)),
    ];
    let rows = rows.map(|(name, value)| format!("| {name} | {value} |"));
    format!("| | |\n|---|---|\n{}", rows.join("\n"))
}

fn skipped(results: &Results) -> String {
    let lines: Vec<String> = results.skipped.iter().map(|what| format!("- not measured: {what}")).collect();
    lines.join("\n")
}

fn scaling(results: &Results) -> String {
    // The dearest of what was measured: the plan has room.
    let dearest_us = results.stores.iter().chain(&results.cluster).map(cpu_us).fold(0.0, f64::max);
    let per_core = 1e6 / dearest_us;
    let rush_per_s = BUYERS / RUSH_S;
    let primaries = (rush_per_s / (per_core * PLANNED_LOAD)).ceil();
    let holdfast = results.bytes.iter().find(|cell| cell.contender == Contender::Holdfast);
    let bytes = holdfast.map_or(0.0, |cell| cell.bytes_an_order);
    let spread = |cells: &[ScaleCell]| {
        let least = cells.iter().map(cpu_us).fold(f64::INFINITY, f64::min);
        let most = cells.iter().map(cpu_us).fold(0.0, f64::max);
        format!("{} to {}", rounded(least), rounded(most))
    };
    fill(
        SCALING,
        &[
            ("quick", quick(results)),
            ("stores", tables::stores(results)),
            ("cluster", tables::cluster(results)),
            ("stores_cpu", spread(&results.stores)),
            ("cluster_cpu", spread(&results.cluster)),
            ("cpu_us", rounded(dearest_us)),
            ("per_core", rounded(per_core)),
            ("rush_per_s", rounded(rush_per_s)),
            ("primaries", grouped(primaries as i64)),
            ("gib", rounded(BUYERS * bytes / BYTES_A_GIB)),
            ("bytes", rounded(bytes)),
        ],
    )
}

fn cpu_us(cell: &ScaleCell) -> f64 {
    cell.figures.server_cpu_us.median
}
