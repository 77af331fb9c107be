//! `/metrics`: the last sample of every store, its lanes, how long its orders took, and the server, as OpenMetrics
//! text. The names are those of [`holdfast_engine::terms::prometheus`].

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Debug;
use std::sync::Arc;

use holdfast_engine::terms::metrics::{Group, METRICS, Metric, MetricKind, Unit};
use holdfast_engine::terms::prometheus as names;
use holdfast_engine::terms::prometheus::Served;
use holdfast_engine::terms::refusal::Code;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelValue, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::watch::known::durations::{BOUNDS_MS, Histogram};
use crate::watch::known::id::label_of;
use crate::watch::known::lanes::Lane;
use crate::watch::known::model::{Key, Replica, ServerState, SourceState, StoreLine, Vitals};
use crate::watch::known::server::Known;
use crate::watch::known::words::LANE_COLUMNS;

/// The content type of what [`exposition`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A policy that lets the server delete any key begins with this.
const EVICTS_ANY_KEY: &str = "allkeys-";

/// Everything that is known now, ready to be sent. Never fails, as long as text can be written to memory.
pub async fn exposition(known: &Arc<Known>) -> Result<String, fmt::Error> {
    let lanes = known.lanes.now().await;
    let durations = known.durations.now().await;
    let model = &known.model;
    let (server, nodes, now_ms) = (model.server(), model.sources(), model.now_ms());
    let stores = model.stores().into_iter().map(|line| Store::of(line, &lanes, &durations)).collect();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot { server, nodes, now_ms, stores }));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// A store, and the labels that it has on every line.
#[derive(Debug)]
struct Store {
    label: String,
    /// The number of its database, if it is not the first.
    db: Option<String>,
    line: StoreLine,
    lanes: Vec<Lane>,
    durations: Option<Histogram>,
}

impl Store {
    fn of(line: StoreLine, lanes: &BTreeMap<Key, Vec<Lane>>, durations: &BTreeMap<Key, Histogram>) -> Store {
        let key = Key::of_id(&line.id);
        let db = (key.db() != 0).then(|| key.db().to_string());
        let (lanes, durations) = (lanes.get(&key).cloned().unwrap_or_default(), durations.get(&key).cloned());
        Store { label: label_of(&key), db, line, lanes, durations }
    }

    /// What its lanes say together, so that a number and those of the lanes are of one moment: its sample was taken at
    /// another. `None` for a store without lanes, and for what lanes do not count.
    fn of_lanes(&self, metric: &str) -> Option<i64> {
        let is_counted = !self.lanes.is_empty() && LANE_COLUMNS.iter().any(|column| column.name == metric);
        let values = self.lanes.iter().map(|lane| lane.get(metric));
        is_counted.then(|| if metric.ends_with("-ms") { values.max().unwrap_or(0) } else { values.sum() })
    }

    fn labels(&self) -> Vec<(&'static str, &str)> {
        let db = self.db.as_deref().map(|db| ("db", db));
        [("store", self.label.as_str())].into_iter().chain(db).collect()
    }
}

/// Everything at one moment, so that all numbers of a store are of the same sample.
#[derive(Debug)]
struct Snapshot {
    server: ServerState,
    /// By name.
    nodes: BTreeMap<String, SourceState>,
    /// By the server's clock.
    now_ms: u64,
    stores: Vec<Store>,
}

/// A line: its labels and its value.
type Line<T> = (Vec<(&'static str, T)>, f64);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.encode_server(&mut encoder)?;
        for metric in METRICS.iter().filter(|metric| metric.group != Group::Refusals) {
            let about = (names::name(metric), names::meaning(metric));
            encode(&mut encoder, about, metric.kind, self.values(metric))?;
        }
        let about = (names::REFUSED.to_string(), "writes refused, by the error's code".to_string());
        encode(&mut encoder, about, MetricKind::Counter, self.refusals())?;
        for column in LANE_COLUMNS {
            let name = format!("{}lane_{}", names::PREFIX, names::base(column.name));
            let about = format!("{}; of a lane, which is empty for orders that name none", column.meaning);
            encode(&mut encoder, (name, about), MetricKind::Gauge, self.lanes(column.name))?;
        }
        self.encode_stores(&mut encoder)
    }
}

impl Snapshot {
    fn encode_server(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        gauge(encoder, names::BUILD_INFO, [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)])?;
        gauge(encoder, names::UP, alone(f64::from(self.server.connected)))?;
        gauge(encoder, names::STORES, alone(self.stores.len() as f64))?;
        let up = self.server.nodes.iter().map(|node| (vec![("node", node.name.as_str())], f64::from(node.connected)));
        gauge(encoder, names::NODE_UP, up)?;
        gauge(
            encoder,
            names::SERVER_INFO,
            self.each_node(|node, _| {
                let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
                let [product, version, role] = [&node.product, &node.version, &node.role].map(text);
                let labels = [("product", product), ("version", version), ("role", role)];
                node.version.iter().map(|_| (labels.to_vec(), 1.0)).collect()
            }),
        )?;
        let of_node = |value: fn(&Vitals) -> u64| self.each_node(move |_, vitals| vec![(vec![], value(vitals) as f64)]);
        gauge(encoder, names::MEMORY_USED, of_node(|vitals| vitals.memory_used_bytes))?;
        gauge(encoder, names::MEMORY_MAX, of_node(|vitals| vitals.memory_max_bytes))?;
        gauge(
            encoder,
            names::EVICTS_STORES,
            self.each_node(|_, vitals| {
                let evicts = vitals.eviction_policy.starts_with(EVICTS_ANY_KEY) && vitals.memory_max_bytes > 0;
                vec![(vec![("policy", vitals.eviction_policy.clone())], f64::from(evicts))]
            }),
        )?;
        let of_replica = |value: fn(&Replica) -> u64| {
            let line = move |one: &Replica| (vec![("replica", one.address.clone())], value(one) as f64);
            self.each_node(move |_, vitals| vitals.replicas.iter().map(line).collect())
        };
        gauge(encoder, names::REPLICA_LAG, of_replica(|one| one.lag_bytes))?;
        gauge(encoder, names::REPLICA_ACK_AGE, of_replica(|one| one.ack_age_seconds))?;
        let link = |_: &SourceState, vitals: &Vitals| {
            vitals.primary_link_up.map(|up| (vec![], f64::from(up))).into_iter().collect()
        };
        gauge(encoder, names::PRIMARY_LINK_UP, self.each_node(link))
    }

    /// Lines of each node; where there are several, with its name as a label.
    fn each_node(&self, lines: impl Fn(&SourceState, &Vitals) -> Vec<Line<String>>) -> Vec<Line<String>> {
        let has_nodes = !self.server.nodes.is_empty();
        let all = self.nodes.iter().flat_map(|(name, node)| {
            lines(node, &node.vitals).into_iter().map(move |(mut labels, value)| {
                labels.extend(has_nodes.then(|| ("node", name.clone())));
                (labels, value)
            })
        });
        all.collect()
    }

    fn encode_stores(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let all = || self.stores.iter().map(|store| (store.labels(), &store.line));
        gauge(encoder, names::PAUSED, all().map(|(labels, line)| (labels, f64::from(line.window.paused))))?;
        gauge(encoder, names::SLA, all().map(|(labels, line)| (labels, seconds(line.window.sla_ms))))?;
        let sampled = all().filter_map(|(labels, line)| Some((labels, seconds(line.at? as i64))));
        gauge(encoder, names::SAMPLE_TIMESTAMP, sampled)?;
        let Served { name, meaning, .. } = names::ORDER_DURATION;
        let mut metric = encoder.encode_descriptor(name, meaning, None, MetricType::Histogram)?;
        for store in &self.stores {
            let Some(durations) = &store.durations else { continue };
            histogram(metric.encode_family(&store.labels())?, durations)?;
        }
        Ok(())
    }

    fn values(&self, metric: &Metric) -> impl Iterator<Item = Line<&str>> {
        let is_time = metric.unit == Unit::Ms;
        self.stores.iter().filter_map(move |store| {
            let value = store.line.metrics.as_ref()?.find(metric.name)?;
            if let Some(of_lanes) = store.of_lanes(metric.name) {
                return Some((store.labels(), if is_time { seconds(of_lanes) } else { of_lanes as f64 }));
            }
            let value = if metric.name == "oldest-waiting-ms" { self.aged(value, &store.line) } else { value };
            Some((store.labels(), if is_time { seconds(value) } else { value as f64 }))
        })
    }

    /// How long the oldest order waits by now: as long as nothing is sampled, nothing changed, and it waits on.
    fn aged(&self, waiting_ms: i64, line: &StoreLine) -> i64 {
        match line.at {
            Some(at) if waiting_ms > 0 && self.server.connected => {
                waiting_ms.saturating_add_unsigned(self.now_ms.saturating_sub(at))
            }
            _ => waiting_ms,
        }
    }

    fn refusals(&self) -> impl Iterator<Item = Line<&str>> {
        let samples = self.stores.iter().filter_map(|store| Some((store, store.line.metrics.as_ref()?)));
        samples.flat_map(|(store, sample)| {
            let code = |code: &Code| code.metric().trim_start_matches("refused-");
            let labels = move |it| [store.labels(), vec![("code", code(it))]].concat();
            Code::ALL.iter().filter_map(move |it| Some((labels(it), sample.find(it.metric())? as f64)))
        })
    }

    fn lanes(&self, column: &'static str) -> impl Iterator<Item = Line<&str>> {
        self.stores.iter().flat_map(move |store| {
            store.lanes.iter().map(move |lane| {
                let value = lane.get(column);
                let value = if column.ends_with("-ms") { seconds(value) } else { value as f64 };
                ([store.labels(), vec![("lane", lane.name.as_str())]].concat(), value)
            })
        })
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// The only line of a number without labels.
fn alone(value: f64) -> [Line<&'static str>; 1] {
    [(Vec::new(), value)]
}

fn gauge<T: EncodeLabelValue + Debug>(
    encoder: &mut DescriptorEncoder,
    served: Served,
    lines: impl IntoIterator<Item = Line<T>>,
) -> Result<(), fmt::Error> {
    encode(encoder, (served.name.to_string(), served.meaning.to_string()), MetricKind::Gauge, lines.into_iter())
}

/// Writes one metric, with a line for each of its sets of labels.
fn encode<T: EncodeLabelValue + Debug>(
    encoder: &mut DescriptorEncoder,
    (name, about): (String, String),
    kind: MetricKind,
    lines: impl Iterator<Item = Line<T>>,
) -> Result<(), fmt::Error> {
    // The encoder adds the end of a counter's name.
    let (name, metric_type) = match kind {
        MetricKind::Counter => (name.trim_end_matches("_total"), MetricType::Counter),
        MetricKind::Gauge => (name.as_str(), MetricType::Gauge),
    };
    let mut metric = encoder.encode_descriptor(name, &about, None, metric_type)?;
    for (labels, value) in lines {
        match (kind, labels.is_empty()) {
            (MetricKind::Counter, _) => ConstCounter::new(value as u64).encode(metric.encode_family(&labels)?)?,
            (MetricKind::Gauge, false) => one_gauge(value, metric.encode_family(&labels)?)?,
            (MetricKind::Gauge, true) => return one_gauge(value, metric),
        }
    }
    Ok(())
}

/// A whole number is written without a point.
fn one_gauge(value: f64, line: MetricEncoder) -> Result<(), fmt::Error> {
    match value == value.trunc() {
        true => ConstGauge::new(value as i64).encode(line),
        false => ConstGauge::new(value).encode(line),
    }
}

fn histogram(mut line: MetricEncoder, durations: &Histogram) -> Result<(), fmt::Error> {
    let bounds = BOUNDS_MS.iter().map(|ms| seconds(*ms as i64)).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(durations.counts).collect();
    let count = durations.counts.iter().sum();
    line.encode_histogram::<NoLabelSet>(seconds(durations.sum_ms as i64), count, &buckets, None)
}
