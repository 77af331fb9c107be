//! The type `holdstore` as the server sees it: the value at a key, how it is opened, changed, replicated and saved, the
//! streams next to it, and what happens in it without a command.
//!
//! The way of a change is [`write`]: open the store, stamp, run the engine, write the streams, replicate. It reaches
//! the server through the trait [`crate::host::Host`] alone. There is no unsafe code in here.

pub mod apply;
pub mod claims;
pub mod config;
pub mod due;
pub mod eviction;
pub mod fields;
pub mod gate;
pub mod info;
pub mod keys;
pub mod repair;
pub mod saved;
pub mod slices;
pub mod streams;
pub mod sums;
#[cfg(test)]
mod tests;
pub mod timeseries;
pub mod value;
pub mod wire;
pub mod write;
