//! `/metrics`: the last sample of every store, as OpenMetrics text.

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

use crate::watch::known::model::{Model, StoreLine};

/// The content type of what [`exposition`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is known now, ready to be sent. Never fails, as long as text can be written to memory.
pub fn exposition(model: &Arc<Model>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot { is_up: model.server().connected, stores: model.stores() }));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// The stores at one moment, so that all metrics are of the same samples.
#[derive(Debug)]
struct Snapshot {
    is_up: bool,
    stores: Vec<StoreLine>,
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
        let about = ("holdfast_sample_time_ms", "when the sample was taken, Unix milliseconds");
        let times = self.stores.iter().filter_map(|store| Some((store.name.as_str(), "", store.at? as i64)));
        encode(&mut encoder, about, MetricKind::Gauge, times)
    }
}

impl Snapshot {
    fn values(&self, metric: &Metric) -> impl Iterator<Item = (&str, &str, i64)> {
        let value = |store: &StoreLine| store.metrics.as_ref()?.find(metric.name);
        self.stores.iter().filter_map(move |store| Some((store.name.as_str(), "", value(store)?)))
    }

    fn refusals(&self) -> impl Iterator<Item = (&str, &str, i64)> {
        let samples = self.stores.iter().filter_map(|store| Some((store.name.as_str(), store.metrics.as_ref()?)));
        samples.flat_map(|(store, sample)| {
            let code = |code: &Code| code.metric().trim_start_matches("refused-");
            Code::ALL.iter().filter_map(move |it| Some((store, code(it), sample.find(it.metric())?)))
        })
    }
}

/// Writes one metric: a line for every store, or for every store and code.
fn encode<'a>(
    encoder: &mut DescriptorEncoder,
    (name, about): (&str, &str),
    kind: MetricKind,
    values: impl Iterator<Item = (&'a str, &'a str, i64)>,
) -> Result<(), fmt::Error> {
    let metric_type = match kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
    };
    let mut metric = encoder.encode_descriptor(name, about, None, metric_type)?;
    for (store, code, value) in values {
        let labels = [("store", store), ("code", code)];
        let labels = if code.is_empty() { &labels[..1] } else { &labels[..] };
        let line = metric.encode_family(&labels)?;
        match kind {
            MetricKind::Counter => ConstCounter::new(value.unsigned_abs()).encode(line)?,
            MetricKind::Gauge => ConstGauge::new(value).encode(line)?,
        }
    }
    Ok(())
}
