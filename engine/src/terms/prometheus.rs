//! The names under which `holdfast watch` serves numbers to Prometheus. Units are its base units: seconds and bytes.

use crate::terms::metrics::{Group, Metric, MetricKind, Unit};

/// What every name begins with.
pub const PREFIX: &str = "holdfast_";

/// The name of all refusals; the label `code` says of which.
pub const REFUSED: &str = "holdfast_refused_total";

/// What stands at the end of the engine's names of milliseconds.
const MS: &str = "-ms";

/// The name of a number of a sample.
pub fn name(metric: &Metric) -> String {
    if metric.group == Group::Refusals {
        return REFUSED.to_string();
    }
    format!("{PREFIX}{}{}", base(metric.name), if metric.kind == MetricKind::Counter { "_total" } else { "" })
}

/// A name of the engine in base units, with underscores: `oldest_waiting_seconds` for `oldest-waiting-ms`.
pub fn base(name: &str) -> String {
    match name.strip_suffix(MS) {
        Some(rest) => format!("{}_seconds", rest.replace('-', "_")),
        None => name.replace('-', "_"),
    }
}

/// What a number of a sample means, in the unit in which it is served.
pub fn meaning(metric: &Metric) -> String {
    match metric.unit {
        Unit::Ms => metric.meaning.replace("milliseconds", "seconds"),
        _ => metric.meaning.to_string(),
    }
}

/// How a number that is no metric of a sample moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Histogram,
}

/// A number that is served besides those of the samples.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    pub name: &'static str,
    pub kind: Kind,
    /// Its labels, separated by spaces.
    pub labels: &'static str,
    /// What it means, in a sentence without its full stop.
    pub meaning: &'static str,
}

macro_rules! served {
    ($($id:ident = $name:literal, $kind:ident, $labels:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $id: Served =
            Served { name: $name, kind: Kind::$kind, labels: $labels, meaning: $meaning };)*

        /// All of them, in the order they are served.
        pub const SERVED: &[Served] = &[$($id,)*];
    };
}

served! {
    BUILD_INFO = "holdfast_build_info", Gauge, "version", "1: the version of this program is in the label";
    UP = "holdfast_up", Gauge, "", "1: the server answers, 0: what follows is what it last said";
    STORES = "holdfast_stores", Gauge, "", "stores on the server";
    NODE_UP = "holdfast_node_up", Gauge, "node",
        "of a cluster: 1: the node answers, 0: what is said of its stores is what it last said";
    SERVER_INFO = "holdfast_server_info", Gauge, "product version role",
        "1: what INFO says of the server is in the labels";
    MEMORY_USED = "holdfast_memory_used_bytes", Gauge, "", "memory that the server uses (used_memory)";
    MEMORY_MAX = "holdfast_memory_max_bytes", Gauge, "", "how much it may use (maxmemory); 0: no bound";
    EVICTS_STORES = "holdfast_evicts_stores", Gauge, "policy",
        "1: memory is bounded, and the policy lets the server delete stores once it is full";
    REPLICA_LAG = "holdfast_replica_lag_bytes", Gauge, "replica",
        "how much of the replication stream a replica has not confirmed yet";
    REPLICA_ACK_AGE = "holdfast_replica_ack_age_seconds", Gauge, "replica",
        "how long ago a replica last confirmed anything, whole seconds";
    PRIMARY_LINK_UP = "holdfast_primary_link_up", Gauge, "",
        "1: the server is a replica and follows its primary, 0: it does not reach it; no replica has no such line";
    PAUSED = "holdfast_paused", Gauge, "store", "1: the store hands nothing to workers (paused)";
    SLA = "holdfast_sla_seconds", Gauge, "store", "how long an order may take (sla-ms); 0: no promise";
    SAMPLE_TIMESTAMP = "holdfast_sample_timestamp_seconds", Gauge, "store",
        "when the last sample was taken, Unix time; a store in which nothing changes takes none";
    ORDER_DURATION = "holdfast_order_duration_seconds", Histogram, "store",
        "how long orders took from placed to completed";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::metrics::METRICS;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_in_base_units_and_each_is_used_once() {
        let samples = METRICS.iter().filter(|metric| metric.group != Group::Refusals).map(name);
        let all: Vec<String> = samples.chain(SERVED.iter().map(|one| one.name.to_string())).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for name in &all {
            assert!(name.starts_with(PREFIX) && !name.contains("_ms") && !name.contains('-'), "{name}");
        }
        assert!(all.contains(&"holdfast_oldest_waiting_seconds".to_string()), "{all:?}");
        assert!(METRICS.iter().all(|metric| metric.unit != Unit::Ms || name(metric).ends_with("_seconds")));
    }
}
