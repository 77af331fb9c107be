//! `/metrics`: the last sample of every store, and its lanes, as OpenMetrics text.

use std::fmt;
use std::sync::Arc;

use holdfast_engine::terms::metrics::{Group, METRICS, Metric, MetricKind};
use holdfast_engine::terms::refusal::Code;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::watch::known::id::name_of;
use crate::watch::known::lanes::Lane;
use crate::watch::known::model::StoreLine;
use crate::watch::known::server::Known;
use crate::watch::known::words::LANE_COLUMNS;

/// The content type of what [`exposition`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is known now, ready to be sent. Never fails, as long as text can be written to memory.
pub async fn exposition(known: &Arc<Known>) -> Result<String, fmt::Error> {
    let lanes = known.lanes.now().await.into_iter().map(|(key, lanes)| (name_of(&key), lanes)).collect();
    let model = &known.model;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot { is_up: model.server().connected, stores: model.stores(), lanes }));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// The stores at one moment, so that all metrics are of the same samples.
#[derive(Debug)]
struct Snapshot {
    is_up: bool,
    stores: Vec<StoreLine>,
    /// The stores that have lanes, by name.
    lanes: Vec<(String, Vec<Lane>)>,
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let up = ConstGauge::new(i64::from(self.is_up));
        let about = "1: the server answers, 0: what follows is what it last said";
        up.encode(encoder.encode_descriptor("holdfast_up", about, None, MetricType::Gauge)?)?;
        for metric in METRICS.iter().filter(|metric| metric.group != Group::Refusals) {
            let name = format!("holdfast_{}", metric.name.replace('-', "_"));
            encode(&mut encoder, (&name, metric.meaning), metric.kind, self.values(metric))?;
        }
        let about = ("holdfast_refused", "writes refused, by the error's code");
        encode(&mut encoder, about, MetricKind::Counter, self.refusals())?;
        for column in LANE_COLUMNS {
            let name = format!("holdfast_lane_{}", column.name.replace('-', "_"));
            let about = format!("{}; of a lane, which is empty for orders that name none", column.meaning);
            encode(&mut encoder, (&name, &about), MetricKind::Gauge, self.lanes(column.name))?;
        }
        let about = ("holdfast_sample_time_ms", "when the sample was taken, Unix milliseconds");
        let times = self.stores.iter().filter_map(|store| Some((Labels::of(store), store.at? as i64)));
        encode(&mut encoder, about, MetricKind::Gauge, times)
    }
}

impl Snapshot {
    fn values(&self, metric: &Metric) -> impl Iterator<Item = (Labels<'_>, i64)> {
        let value = |store: &StoreLine| store.metrics.as_ref()?.find(metric.name);
        self.stores.iter().filter_map(move |store| Some((Labels::of(store), value(store)?)))
    }

    fn refusals(&self) -> impl Iterator<Item = (Labels<'_>, i64)> {
        let samples = self.stores.iter().filter_map(|store| Some((store, store.metrics.as_ref()?)));
        samples.flat_map(|(store, sample)| {
            let code = |code: &Code| code.metric().trim_start_matches("refused-");
            let labels = move |it| Labels { more: Some(("code", code(it))), ..Labels::of(store) };
            Code::ALL.iter().filter_map(move |it| Some((labels(it), sample.find(it.metric())?)))
        })
    }

    fn lanes(&self, column: &'static str) -> impl Iterator<Item = (Labels<'_>, i64)> {
        self.lanes.iter().flat_map(move |(store, lanes)| {
            lanes.iter().map(move |lane| (Labels { store, more: Some(("lane", &lane.name)) }, lane.get(column)))
        })
    }
}

/// The labels of a line: the store, and perhaps one more.
struct Labels<'a> {
    store: &'a str,
    more: Option<(&'static str, &'a str)>,
}

impl Labels<'_> {
    fn of(store: &StoreLine) -> Labels<'_> {
        Labels { store: &store.name, more: None }
    }
}

/// Writes one metric: a line for every store, for every store and code, or for every store and lane.
fn encode<'a>(
    encoder: &mut DescriptorEncoder,
    (name, about): (&str, &str),
    kind: MetricKind,
    values: impl Iterator<Item = (Labels<'a>, i64)>,
) -> Result<(), fmt::Error> {
    let metric_type = match kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
    };
    let mut metric = encoder.encode_descriptor(name, about, None, metric_type)?;
    for (Labels { store, more }, value) in values {
        let labels: Vec<(&str, &str)> = [("store", store)].into_iter().chain(more).collect();
        let line = metric.encode_family(&labels)?;
        match kind {
            MetricKind::Counter => ConstCounter::new(value.unsigned_abs()).encode(line)?,
            MetricKind::Gauge => ConstGauge::new(value).encode(line)?,
        }
    }
    Ok(())
}
