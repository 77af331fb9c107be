//! Tests of the engine: a concern a file, and a model, a generator and hostile input that know nothing of its insides.

mod against_model;
mod audit;
mod bounds;
mod build;
mod command;
mod deadlines;
mod determinism;
mod events;
mod forge;
mod generate;
mod holds;
mod hostile;
mod idempotency;
mod image;
mod journal;
mod json;
mod limits;
mod model;
mod orders;
mod retention;
mod shop;
mod stock;
mod stream_ids;
mod sync;
mod told;
mod window;
