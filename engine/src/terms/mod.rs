//! The words: settings, counters, effects, refusals, streams, the journal.

pub mod counters;
pub mod effects;
pub mod journal;
pub mod refusal;
pub mod settings;
pub mod streams;
