//! The names of streams and of the fields of their entries.

use std::ffi::CStr;

use crate::host::OwnStr;
use holdfast_engine::terms::metrics::METRICS;
use holdfast_engine::terms::streams::StreamKind;

const ORDER_FIELDS: [&str; 4] = ["order", "customer", "items", "data"];
const RETRY_FIELDS: [&str; 3] = ["order", "attempt", "reason"];
const DEAD_FIELDS: [&str; 3] = ["order", "attempts", "reason"];

/// The fields of an entry of a stream of orders, in their order; none of another stream.
pub fn field_names(kind: StreamKind) -> &'static [&'static str] {
    match kind {
        StreamKind::Orders => &ORDER_FIELDS,
        StreamKind::Retry => &RETRY_FIELDS,
        StreamKind::Dead => &DEAD_FIELDS,
        StreamKind::Complete | StreamKind::Journal | StreamKind::Metrics | StreamKind::Alerts => &[],
    }
}

/// The name of a stream in a REENTRY.
pub fn kind_name(kind: StreamKind) -> &'static CStr {
    match kind {
        StreamKind::Orders => c"orders",
        StreamKind::Complete => c"complete",
        StreamKind::Journal => c"journal",
        StreamKind::Retry => c"retry",
        StreamKind::Dead => c"dead",
        StreamKind::Metrics => c"metrics",
        StreamKind::Alerts => c"alerts",
    }
}

/// The names of fields, made once.
pub struct Names {
    pub orders: [OwnStr; 4],
    pub complete: [OwnStr; 6],
    pub journal: [OwnStr; 7],
    pub retry: [OwnStr; 3],
    pub dead: [OwnStr; 3],
    pub metrics: [OwnStr; METRICS.len()],
    pub alerts: [OwnStr; 5],
    pub empty: OwnStr,
}

thread_local! {
    /// Made when the first entry is written, on the server's main thread, which writes all of them.
    pub static NAMES: Names = Names {
        orders: ORDER_FIELDS.map(|name| OwnStr::new(name.as_bytes())),
        complete: ["order", "customer", "items", "placed-at", "took-ms", "result"].map(|n| OwnStr::new(n.as_bytes())),
        journal: ["kind", "sku", "delta", "on-hand", "held", "ref", "reason"].map(|n| OwnStr::new(n.as_bytes())),
        retry: RETRY_FIELDS.map(|name| OwnStr::new(name.as_bytes())),
        dead: DEAD_FIELDS.map(|name| OwnStr::new(name.as_bytes())),
        alerts: ["kind", "sku", "order", "available", "reason"].map(|name| OwnStr::new(name.as_bytes())),
        metrics: METRICS.map(|metric| OwnStr::new(metric.name.as_bytes())),
        empty: OwnStr::new(b""),
    };
}
