//! Everything that touches the server: the only unsafe code of the module.
//!
//! The commands call in here for keys, replies and the write path ([`write`]); the engine never does. What runs outside a
//! command (deadlines, slices of long work, persistence, events) starts in here too and works on the engine's store.

pub mod call;
pub mod claims;
pub mod clock;
pub mod config;
pub mod ctx;
pub mod deadlines;
pub mod events;
pub mod eviction;
pub mod gate;
pub mod info;
pub mod keys;
pub mod line;
pub mod locks;
pub mod memory;
pub mod memory_full;
pub mod migration;
pub mod register;
pub mod repair;
pub mod slices;
pub mod streams;
pub mod table;
pub mod tally;
pub mod timeseries;
pub mod turn;
pub mod value;
pub mod wire;
pub mod write;

pub use call::{Call, Stop};
pub use ctx::{Ctx, Str};
