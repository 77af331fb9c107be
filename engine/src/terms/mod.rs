//! The words: states, settings, counters and gauges, each with its meaning; effects, refusals, streams, the journal.

pub mod effects;
pub mod journal;
pub mod metrics;
pub mod refusal;
pub mod settings;
pub mod states;
pub mod streams;
