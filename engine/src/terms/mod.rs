//! The words: states, settings, counters and gauges, each with its meaning; effects, refusals, streams, the journal,
//! alerts.

pub mod alerts;
pub mod audit;
pub mod effects;
pub mod items;
pub mod journal;
pub mod metrics;
pub mod prometheus;
pub mod refusal;
pub mod settings;
pub mod states;
pub mod streams;
