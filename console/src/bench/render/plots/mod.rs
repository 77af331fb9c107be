//! The pictures of the pages, as SVG.

mod canvas;
mod latency;
mod scale;
mod shapes;
mod throughput;
mod workloads;

use anyhow::Result;

use crate::bench::suite::results::Results;

type Draw = fn(&Results) -> Result<String>;

/// Each with the name of its file.
const PICTURES: [(&str, Draw); 5] = [
    ("bench-throughput.svg", throughput::draw),
    ("bench-latency.svg", latency::draw),
    ("bench-shapes.svg", shapes::draw),
    ("bench-workloads.svg", workloads::draw),
    ("bench-scale.svg", scale::draw),
];

/// All pictures, by the names of their files. Fails when one cannot be drawn.
pub fn draw(results: &Results) -> Result<Vec<(&'static str, String)>> {
    PICTURES.iter().map(|(name, draw)| Ok((*name, draw(results)?))).collect()
}
